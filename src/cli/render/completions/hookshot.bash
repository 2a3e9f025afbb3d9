_hookshot() {
    local kind value help program asked has_files=
    COMPREPLY=()
    program=${COMP_WORDS[0]-hookshot}
    program=${program/#\~\//$HOME/}
    type -P -- "$program" >/dev/null || program=hookshot
    if [[ -n ${COMP_LINE-} ]]; then
        asked=(line "${COMP_LINE:0:${COMP_POINT-${#COMP_LINE}}}" "${@:2:1}")
    else
        asked=(words "${COMP_WORDS[@]:1:COMP_CWORD}")
    fi
    if ! type -P -- "$program" >/dev/null; then
        COMPREPLY=($(compgen -W "@WORDS@" -- "${COMP_WORDS[COMP_CWORD]}"))
        return
    fi
    while IFS=$'\t' read -r kind value help; do
        COMPREPLY+=("$value")
        case $kind in f|d) has_files=1 ;; esac
    done < <("$program" complete "${asked[@]}" 2>/dev/null)
    # Not known outside of a completion.
    [[ -z $has_files ]] || compopt -o filenames 2>/dev/null
}

complete -o nosort -F _hookshot hookshot 2>/dev/null || complete -F _hookshot hookshot
