# Names that only the program knows. It is asked quietly, reads files alone, and says nothing when something is wrong.
# The last argument says which; those before it are for compadd.
_backup_words() {
    local program=${(Q)~${_comp_command1:-backup}} kind=${@[-1]} word before=
    local -a found config
    # The whole line, for the option may stand before the command.
    for word in ${(z)LBUFFER}; do
        case $word in
            --config=*) config=(--config ${(Q)~${word#*=}}) ;;
            *) [[ $before == (-c|--config) ]] && config=(--config ${(Q)~word}) ;;
        esac
        before=$word
    done
    found=(${(f)"$($program $config words $kind 2>/dev/null)"})
    if [[ $kind == sources ]]; then
        compadd "${@[1,-2]}" -S '' -a found
    else
        compadd "${@[1,-2]}" -V names -a found
    fi
}
