# Names that only the program knows. It is asked quietly, reads files alone, and says nothing when something is wrong.
_backup_words() {
    local program=${(Q)~${_comp_command1:-backup}} file=${opt_args[--config]:-${opt_args[-c]}}
    local -a found config
    [[ -n $file ]] && config=(--config ${(Q)~file})
    found=(${(f)"$(_call_program words ${(q)program} ${(q)config} words $1 2>/dev/null)"})
    if [[ $1 == sources ]]; then compadd -S '' -a found; else compadd -V words -a found; fi
}
