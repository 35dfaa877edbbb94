# Names that only the program knows. It is asked quietly, reads files alone, and says nothing when something is wrong.
function __fish_backup_words
    set -l words (commandline -opc)
    set -l config
    for i in (seq 2 (count $words))
        switch $words[$i]
            case -c --config
                set -q words[(math $i + 1)]; and set config --config $words[(math $i + 1)]
            case '--config=*'
                set config $words[$i]
        end
    end
    command $words[1] $config words $argv[1] 2>/dev/null
end

for command in create verify-collections list-modules restore
    complete -c backup -n "__fish_backup_using_subcommand $command" -s m -l module -x -a '(__fish_backup_words modules)'
end
for command in create verify-collections list-modules license restore list show verify forget stats
    complete -c backup -n "__fish_backup_using_subcommand $command" -l tenant -x -a '(__fish_backup_words tenants)'
end
complete -c backup -n "__fish_backup_using_subcommand create" -l job -x -a '(__fish_backup_words jobs)'
complete -c backup -n "__fish_backup_using_subcommand restore" -l collection -x -a '(__fish_backup_words collections)'
complete -c backup -n "__fish_backup_using_subcommand restore" -l into -x -a '(__fish_backup_words sources)'
complete -c backup -n "__fish_backup_using_subcommand verify" -l scratch-server -x -a '(__fish_backup_words sources)'
for command in restore show verify
    complete -c backup -n "__fish_backup_using_subcommand $command" -k -f -a '(__fish_backup_words which)'
end
for command in hold release forget
    complete -c backup -n "__fish_backup_using_subcommand $command" -k -f -a '(__fish_backup_words backups)'
end
complete -c backup -n "__fish_backup_using_subcommand run" -f -a '(__fish_backup_words jobs)'
