function __hookshot_candidates
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -l program (string replace -r '^~/' "$HOME/" -- $before[1])
    type -q -- $program; or set program hookshot
    if not type -q -- $program
        string split ' ' -- '@WORDS@'
        return
    end
    for line in ($program complete words $before[2..-1] "$current" 2>/dev/null)
        set -l parts (string split \t -- $line)
        switch $parts[1]
            case d
                printf '%s/\n' $parts[2]
            case '*'
                printf '%s\t%s\n' $parts[2] $parts[3]
        end
    end
end

complete -c hookshot -f -k -a '(__hookshot_candidates)'
