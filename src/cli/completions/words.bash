# Names that only the program knows. It is asked quietly, reads files alone, and says nothing when something is wrong.
_backup_words() {
    local program=${COMP_WORDS[0]/#\~\//$HOME/} config=() i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -c | --config)
                # `--config=FILE` is three words to bash.
                if [[ ${COMP_WORDS[i + 1]} == "=" ]]; then i=$((i + 1)); fi
                config=(--config "${COMP_WORDS[i + 1]/#\~\//$HOME/}")
                ;;
        esac
    done
    "$program" "${config[@]}" words "$1" 2>/dev/null
}

_backup_with_words() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} kind= command= i
    if [[ $current == "=" ]]; then current=; elif [[ $before == "=" ]]; then before=${COMP_WORDS[COMP_CWORD - 2]}; fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            create | verify-collections | list-modules | license | restore | list | show | verify | prune | hold | release | \
                forget | run | schedule | stats | doctor | key | config | completions | man)
                command=${COMP_WORDS[i]}
                break
                ;;
        esac
    done
    case $before in
        -m | --module) kind=modules ;;
        --tenant) kind=tenants ;;
        --collection) kind=collections ;;
        --job) kind=jobs ;;
        --into | --scratch-server) kind=sources ;;
        -*) ;;
        *)
            if [[ $current != -* ]]; then
                case $command in
                    restore | show | verify) kind=which ;;
                    hold | release | forget) kind=backups ;;
                    run) kind=jobs ;;
                esac
            fi
            ;;
    esac
    if [[ -n $kind ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_backup_words "$kind")" -- "$current")
        if [[ $kind == sources ]]; then compopt -o nospace 2>/dev/null; fi
    else
        _backup "$@"
    fi
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _backup_with_words -o nosort -o bashdefault -o default backup
else
    complete -F _backup_with_words -o bashdefault -o default backup
fi
