# Completion of tare for bash.
_tare() {
    local words word line
    # Not COMP_WORDS, which are split at equals signs, too.
    read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
    [[ ${COMP_LINE:0:COMP_POINT} == *' ' ]] && words+=('')
    word=${words[${#words[@]} - 1]}
    COMPREPLY=()
    while IFS=$'\t' read -r line _; do
        case $line in
        :files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "${word##*=}") ;;
        :directories) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "${word##*=}") ;;
        # bash replaces what is behind the equals sign.
        "$word"*) case $word in *=*) COMPREPLY+=("${line#*=}") ;; *) COMPREPLY+=("$line") ;; esac ;;
        esac
    done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
}
complete -F _tare tare
