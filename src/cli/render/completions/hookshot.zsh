#compdef hookshot

_hookshot() {
    local line kind value program=${words[1]-hookshot}
    local -a described files folders homely
    program=${program/#\~\//$HOME/}
    whence -p -- $program >/dev/null || program=hookshot
    if ! whence -p -- $program >/dev/null; then
        compadd -- @WORDS@
        return
    fi
    for line in "${(@f)$("$program" complete words "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        kind=${line%%$'\t'*}
        line=${line#*$'\t'}
        value=${line%%$'\t'*}
        case $kind in
            w) described+=("${value//:/\\:}:${line#*$'\t'}") ;;
            # A tilde stays as it is; everything else is quoted as the line is.
            f) [[ $value == \~* ]] && homely+=("~${(q)value#\~}") || files+=("$value") ;;
            d) [[ $value == \~* ]] && homely+=("~${(q)value#\~}/") || folders+=("$value/") ;;
        esac
    done
    (( ! $#described )) || _describe -V hookshot described
    (( ! $#files )) || compadd -f -- $files
    (( ! $#folders )) || compadd -f -S '' -- $folders
    (( ! $#homely )) || compadd -Q -f -S '' -- $homely
}

if [ "$funcstack[1]" = "_hookshot" ]; then
    _hookshot "$@"
else
    compdef _hookshot hookshot
fi
