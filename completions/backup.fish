# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_backup_global_optspecs
    string join \n c/config= json v/verbose q/quiet no-progress color= log-format= wait= h/help V/version
end

function __fish_backup_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_backup_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_backup_using_subcommand
    set -l cmd (__fish_backup_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c backup -n "__fish_backup_needs_command" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_needs_command" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_needs_command" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_needs_command" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_needs_command" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_needs_command" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_needs_command" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_needs_command" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_needs_command" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_needs_command" -f -a "create" -d 'Back up the installation, one tenant, or some modules'
complete -c backup -n "__fish_backup_needs_command" -f -a "verify-collections" -d 'Compare expected with existing collections, and check their relationships'
complete -c backup -n "__fish_backup_needs_command" -f -a "list-modules" -d 'List the modules: enabled, licensed, or excluded with the reason'
complete -c backup -n "__fish_backup_needs_command" -f -a "license" -d 'Show what is licensed, until when, and which modules that enables'
complete -c backup -n "__fish_backup_needs_command" -f -a "restore" -d 'Restore a backup, or some modules, collections or files of it'
complete -c backup -n "__fish_backup_needs_command" -f -a "list" -d 'List the backups, newest first'
complete -c backup -n "__fish_backup_needs_command" -f -a "show" -d 'Show one backup\'s manifest'
complete -c backup -n "__fish_backup_needs_command" -f -a "verify" -d 'Verify stored backups against their manifests'
complete -c backup -n "__fish_backup_needs_command" -f -a "prune" -d 'Remove the backups that retention no longer wants'
complete -c backup -n "__fish_backup_needs_command" -f -a "hold" -d 'Keep a backup from pruning until it is released'
complete -c backup -n "__fish_backup_needs_command" -f -a "release" -d 'Let a held backup go again'
complete -c backup -n "__fish_backup_needs_command" -f -a "forget" -d 'Remove backups by hand: some by their ids, or all of a tenant'
complete -c backup -n "__fish_backup_needs_command" -f -a "run" -d 'Run a job of the configuration'
complete -c backup -n "__fish_backup_needs_command" -f -a "schedule" -d 'Hand the jobs of the configuration to cron or systemd'
complete -c backup -n "__fish_backup_needs_command" -f -a "stats" -d 'Show figures over all backups: how many, how large, how good, how old'
complete -c backup -n "__fish_backup_needs_command" -f -a "check" -d 'Probe for monitoring: is there a recent good copy of everything?'
complete -c backup -n "__fish_backup_needs_command" -f -a "doctor" -d 'Look at all that a backup needs: servers, privileges, tools, space, clocks, keys, the schedule'
complete -c backup -n "__fish_backup_needs_command" -f -a "notify" -d 'Try the notifications of the configuration'
complete -c backup -n "__fish_backup_needs_command" -f -a "key" -d 'Make and check the keys that encrypt archives and sign manifests'
complete -c backup -n "__fish_backup_needs_command" -f -a "config" -d 'Check, show or begin a configuration'
complete -c backup -n "__fish_backup_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c backup -n "__fish_backup_needs_command" -f -a "man" -d 'Write the manual pages into a directory'
complete -c backup -n "__fish_backup_needs_command" -f -a "words" -d 'Print the names that a shell completes with'
complete -c backup -n "__fish_backup_using_subcommand create" -l tenant -d 'Only this tenant\'s data and declared shared data; repeated: a backup for each' -r
complete -c backup -n "__fish_backup_using_subcommand create" -l tenants-file -d 'A backup of its own for each tenant this file names: one id a line, `#` begins a comment' -r -F
complete -c backup -n "__fish_backup_using_subcommand create" -l jobs -d 'How much is done at once: of one backup N collections are read and N blocks compressed [default: 2, and as many blocks as there are processors]; of many tenants, N are backed up [default: 2]' -r
complete -c backup -n "__fish_backup_using_subcommand create" -l rate-limit -d 'Read at most this much of all sources in a second, like 20MiB [default: the configuration\'s `rateLimit`]' -r
complete -c backup -n "__fish_backup_using_subcommand create" -s m -l module -d 'Only this module; may be repeated' -r
complete -c backup -n "__fish_backup_using_subcommand create" -l type -d 'Retention class of the backup [default: daily]' -r -f -a "daily\t''
weekly\t''
monthly\t''"
complete -c backup -n "__fish_backup_using_subcommand create" -l only -d 'Only databases, or only files' -r -f -a "database\t'Databases'
files\t'Upload directories and extra files'"
complete -c backup -n "__fish_backup_using_subcommand create" -l job -d 'The request that the configuration names so' -r
complete -c backup -n "__fish_backup_using_subcommand create" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand create" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand create" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand create" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand create" -l all-tenants -d 'A backup of its own for each tenant there is'
complete -c backup -n "__fish_backup_using_subcommand create" -l accept-shrink -d 'This run\'s data is meant to be less than before: record what `anomaly` finds as a warning, and fail nothing'
complete -c backup -n "__fish_backup_using_subcommand create" -l dry-run -d 'Resolve everything and show the plan, but back nothing up'
complete -c backup -n "__fish_backup_using_subcommand create" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand create" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand create" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand create" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand create" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand verify-collections" -l tenant -d 'Only what this tenant\'s backup would cover' -r
complete -c backup -n "__fish_backup_using_subcommand verify-collections" -s m -l module -d 'Only this module; may be repeated' -r
complete -c backup -n "__fish_backup_using_subcommand verify-collections" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand verify-collections" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand verify-collections" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand verify-collections" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand verify-collections" -l strict -d 'End with code 3 where there are warnings'
complete -c backup -n "__fish_backup_using_subcommand verify-collections" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand verify-collections" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand verify-collections" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand verify-collections" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand verify-collections" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand verify-collections" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand list-modules" -l tenant -d 'As this tenant\'s licence and choice have it' -r
complete -c backup -n "__fish_backup_using_subcommand list-modules" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand list-modules" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand list-modules" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand list-modules" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand list-modules" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand list-modules" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand list-modules" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand list-modules" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand list-modules" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand list-modules" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand license" -l tenant -d 'Also this tenant\'s own licence, and the modules it has' -r
complete -c backup -n "__fish_backup_using_subcommand license" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand license" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand license" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand license" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand license" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand license" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand license" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand license" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand license" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand license" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand restore" -l before -d 'With `latest`: the newest one at or before this moment' -r
complete -c backup -n "__fish_backup_using_subcommand restore" -l tenant -d 'A backup of this tenant' -r
complete -c backup -n "__fish_backup_using_subcommand restore" -l as-tenant -d 'Restore that tenant\'s data as this tenant\'s: whatever names the owner is rewritten' -r
complete -c backup -n "__fish_backup_using_subcommand restore" -s m -l module -d 'Only this module; may be repeated' -r
complete -c backup -n "__fish_backup_using_subcommand restore" -l collection -d 'Only this collection; may be repeated' -r
complete -c backup -n "__fish_backup_using_subcommand restore" -l only -d 'Only databases, or only files' -r -f -a "database\t'Databases'
files\t'Upload directories and extra files'"
complete -c backup -n "__fish_backup_using_subcommand restore" -l into -d 'Send a source\'s data to another database; may be repeated' -r
complete -c backup -n "__fish_backup_using_subcommand restore" -l files-into -d 'Write upload directories and extra files below this directory' -r -F
complete -c backup -n "__fish_backup_using_subcommand restore" -l to-directory -d 'Write everything as plain files below this directory, and touch no database' -r -F
complete -c backup -n "__fish_backup_using_subcommand restore" -l existing -d 'What to do where the target holds data already' -r -f -a "refuse\t'Change nothing and end with code 5'
add\t'Add only what is not there'
merge\t'Add what is not there, and overwrite what is'
replace\t'Make the target equal to the backup: overwrite, and delete what the backup does not hold'"
complete -c backup -n "__fish_backup_using_subcommand restore" -l jobs -d 'Collections that are loaded, and parts of archives that are proven, at once [default: 2, and as many parts as there are processors]' -r
complete -c backup -n "__fish_backup_using_subcommand restore" -s i -l identity -d 'File of the private key that opens encrypted archives; may be repeated' -r -F
complete -c backup -n "__fish_backup_using_subcommand restore" -l target-name -d 'Name of a database whose collections are to be replaced whole; may be repeated' -r
complete -c backup -n "__fish_backup_using_subcommand restore" -l allow-protected -d 'Name of a protected source or upload root that may be written to; may be repeated' -r
complete -c backup -n "__fish_backup_using_subcommand restore" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand restore" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand restore" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand restore" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand restore" -l allow-unsigned -d 'Believe a manifest without a signature, though `repository.signing` is set up'
complete -c backup -n "__fish_backup_using_subcommand restore" -l dry-run -d 'Resolve, check and count, but change nothing'
complete -c backup -n "__fish_backup_using_subcommand restore" -s y -l yes -d 'Consent to overwriting and deleting what the plan shows'
complete -c backup -n "__fish_backup_using_subcommand restore" -l no-safety-backup -d 'Do not back up first what will be overwritten or deleted'
complete -c backup -n "__fish_backup_using_subcommand restore" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand restore" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand restore" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand restore" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand restore" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand list" -l tenant -d 'Only this tenant\'s' -r
complete -c backup -n "__fish_backup_using_subcommand list" -l type -d 'Only this type' -r -f -a "daily\t''
weekly\t''
monthly\t''"
complete -c backup -n "__fish_backup_using_subcommand list" -l limit -d 'At most this many' -r
complete -c backup -n "__fish_backup_using_subcommand list" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand list" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand list" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand list" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand list" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand list" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand list" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand list" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand list" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand show" -l before -d 'With `latest`: the newest one at or before this moment' -r
complete -c backup -n "__fish_backup_using_subcommand show" -l tenant -d 'With `latest`: among this tenant\'s backups' -r
complete -c backup -n "__fish_backup_using_subcommand show" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand show" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand show" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand show" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand show" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand show" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand show" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand show" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand show" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand verify" -l slice -d 'Every backup whose turn is K of N; all N turns together are all backups' -r
complete -c backup -n "__fish_backup_using_subcommand verify" -l tenant -d 'With `latest`: among this tenant\'s backups' -r
complete -c backup -n "__fish_backup_using_subcommand verify" -l level -d 'How deep; default: decoded, or stored where no key here opens an encrypted archive' -r -f -a "stored\t'The stored bytes hash to what the manifest says'
decoded\t'Every record and file is read, counted and digested'
restored\t'And everything is restored into scratch databases and a scratch folder, compared, and dropped'"
complete -c backup -n "__fish_backup_using_subcommand verify" -l scratch -d 'With `--level restored`: where to restore files and SQLite databases for a look; default: the temporary folder' -r -F
complete -c backup -n "__fish_backup_using_subcommand verify" -l scratch-server -d 'With `--level restored`: the server that gets a source\'s scratch database; default: the source\'s own' -r
complete -c backup -n "__fish_backup_using_subcommand verify" -l jobs -d 'Archives that are read at once [default: as many as there are processors]' -r
complete -c backup -n "__fish_backup_using_subcommand verify" -s i -l identity -d 'File of the private key that opens encrypted archives; may be repeated' -r -F
complete -c backup -n "__fish_backup_using_subcommand verify" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand verify" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand verify" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand verify" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand verify" -l all -d 'Every backup'
complete -c backup -n "__fish_backup_using_subcommand verify" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand verify" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand verify" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand verify" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand verify" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand prune" -l policy -d 'Judge by this policy (default, aggressive, conservative, compliance) instead of the configured retention' -r
complete -c backup -n "__fish_backup_using_subcommand prune" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand prune" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand prune" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand prune" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand prune" -l dry-run -d 'Only say what would go, what would stay, and why'
complete -c backup -n "__fish_backup_using_subcommand prune" -l yes -d 'Consent to removing more than half of the backups of a scope, or of all'
complete -c backup -n "__fish_backup_using_subcommand prune" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand prune" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand prune" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand prune" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand prune" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand hold" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand hold" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand hold" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand hold" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand hold" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand hold" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand hold" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand hold" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand hold" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand hold" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand release" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand release" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand release" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand release" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand release" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand release" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand release" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand release" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand release" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand release" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand forget" -l tenant -d 'Every backup of this tenant, and all that its runs left behind' -r
complete -c backup -n "__fish_backup_using_subcommand forget" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand forget" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand forget" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand forget" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand forget" -l yes -d 'Do not ask'
complete -c backup -n "__fish_backup_using_subcommand forget" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand forget" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand forget" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand forget" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand forget" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand forget" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand run" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand run" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand run" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand run" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand run" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand run" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand run" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand run" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand run" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand schedule" -l format -d 'For which scheduler' -r -f -a "cron\t'The crontab of the user who runs this'
systemd\t'Services and timers'"
complete -c backup -n "__fish_backup_using_subcommand schedule" -l unit-dir -d 'Folder of systemd\'s units' -r -F
complete -c backup -n "__fish_backup_using_subcommand schedule" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand schedule" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand schedule" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand schedule" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand schedule" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand schedule" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand schedule" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand schedule" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand schedule" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand schedule" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand stats" -l tenant -d 'Only this tenant\'s' -r
complete -c backup -n "__fish_backup_using_subcommand stats" -l html -d 'Write the figures with plots to this file too: one page that loads nothing. It is the owner\'s alone to read' -r -F
complete -c backup -n "__fish_backup_using_subcommand stats" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand stats" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand stats" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand stats" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand stats" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand stats" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand stats" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand stats" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand stats" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand check" -l tenant -d 'Only this tenant\'s backups' -r
complete -c backup -n "__fish_backup_using_subcommand check" -s m -l module -d 'Only this module; may be repeated' -r
complete -c backup -n "__fish_backup_using_subcommand check" -l type -d 'Only copies of this type; default: of any, and those of `checks.types`' -r -f -a "daily\t''
weekly\t''
monthly\t''"
complete -c backup -n "__fish_backup_using_subcommand check" -l warning -d 'Warn of copies that are older [default: `checks` of the configuration, else 26h]' -r
complete -c backup -n "__fish_backup_using_subcommand check" -l critical -d 'Critical are copies that are older [default: `checks` of the configuration, else 50h]' -r
complete -c backup -n "__fish_backup_using_subcommand check" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand check" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand check" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand check" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand check" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand check" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand check" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand check" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand check" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand doctor" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand doctor" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand doctor" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand doctor" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand doctor" -l strict -d 'End with code 3 where there are warnings'
complete -c backup -n "__fish_backup_using_subcommand doctor" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand doctor" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand doctor" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand doctor" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand notify; and not __fish_seen_subcommand_from test" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand notify; and not __fish_seen_subcommand_from test" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand notify; and not __fish_seen_subcommand_from test" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand notify; and not __fish_seen_subcommand_from test" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand notify; and not __fish_seen_subcommand_from test" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand notify; and not __fish_seen_subcommand_from test" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand notify; and not __fish_seen_subcommand_from test" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand notify; and not __fish_seen_subcommand_from test" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand notify; and not __fish_seen_subcommand_from test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand notify; and not __fish_seen_subcommand_from test" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand notify; and not __fish_seen_subcommand_from test" -f -a "test" -d 'Send a test message to each notifier, or to one, and say what became of it'
complete -c backup -n "__fish_backup_using_subcommand notify; and __fish_seen_subcommand_from test" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand notify; and __fish_seen_subcommand_from test" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand notify; and __fish_seen_subcommand_from test" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand notify; and __fish_seen_subcommand_from test" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand notify; and __fish_seen_subcommand_from test" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand notify; and __fish_seen_subcommand_from test" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand notify; and __fish_seen_subcommand_from test" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand notify; and __fish_seen_subcommand_from test" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand notify; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand notify; and __fish_seen_subcommand_from test" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand key; and not __fish_seen_subcommand_from generate rotate check" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand key; and not __fish_seen_subcommand_from generate rotate check" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand key; and not __fish_seen_subcommand_from generate rotate check" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand key; and not __fish_seen_subcommand_from generate rotate check" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand key; and not __fish_seen_subcommand_from generate rotate check" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand key; and not __fish_seen_subcommand_from generate rotate check" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand key; and not __fish_seen_subcommand_from generate rotate check" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand key; and not __fish_seen_subcommand_from generate rotate check" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand key; and not __fish_seen_subcommand_from generate rotate check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand key; and not __fish_seen_subcommand_from generate rotate check" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand key; and not __fish_seen_subcommand_from generate rotate check" -f -a "generate" -d 'Make a new key: writes the private one to a new file and prints the public one'
complete -c backup -n "__fish_backup_using_subcommand key; and not __fish_seen_subcommand_from generate rotate check" -f -a "rotate" -d 'Make a new key for new backups and keep the old ones for reading'
complete -c backup -n "__fish_backup_using_subcommand key; and not __fish_seen_subcommand_from generate rotate check" -f -a "check" -d 'Check that the configured keys work and open what is stored'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from generate" -l recipients -d 'Also write the public key to this new file, for `recipientsFile`' -r -F
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from generate" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from generate" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from generate" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from generate" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from generate" -l signing -d 'A key that signs manifests, instead of one that encrypts archives'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from generate" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from generate" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from generate" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from generate" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from generate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from generate" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from rotate" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from rotate" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from rotate" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from rotate" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from rotate" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from rotate" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from rotate" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from rotate" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from rotate" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from check" -s i -l identity -d 'File of a private key; may be repeated' -r -F
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from check" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from check" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from check" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from check" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from check" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from check" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand key; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand config; and not __fish_seen_subcommand_from check show schema init" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand config; and not __fish_seen_subcommand_from check show schema init" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand config; and not __fish_seen_subcommand_from check show schema init" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand config; and not __fish_seen_subcommand_from check show schema init" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand config; and not __fish_seen_subcommand_from check show schema init" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand config; and not __fish_seen_subcommand_from check show schema init" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand config; and not __fish_seen_subcommand_from check show schema init" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand config; and not __fish_seen_subcommand_from check show schema init" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand config; and not __fish_seen_subcommand_from check show schema init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand config; and not __fish_seen_subcommand_from check show schema init" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand config; and not __fish_seen_subcommand_from check show schema init" -f -a "check" -d 'Check the configuration and report every mistake at once'
complete -c backup -n "__fish_backup_using_subcommand config; and not __fish_seen_subcommand_from check show schema init" -f -a "show" -d 'Show the configuration as it is understood, defaults filled in and secrets masked'
complete -c backup -n "__fish_backup_using_subcommand config; and not __fish_seen_subcommand_from check show schema init" -f -a "schema" -d 'Print a JSON Schema of the configuration for editors'
complete -c backup -n "__fish_backup_using_subcommand config; and not __fish_seen_subcommand_from check show schema init" -f -a "init" -d 'Write an annotated sample configuration'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from check" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from check" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from check" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from check" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from check" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from show" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from show" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from show" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from show" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from schema" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from schema" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from schema" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from schema" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from schema" -l module-file -d 'Of a file that `modulesFrom` names'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from schema" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from schema" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from schema" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from schema" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from schema" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from init" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from init" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from init" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from init" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from init" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from init" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from init" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from init" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand config; and __fish_seen_subcommand_from init" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand completions" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand completions" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand completions" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand completions" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand completions" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand completions" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand completions" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand completions" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand completions" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand man" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand man" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand man" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand man" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand man" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand man" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand man" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand man" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand man" -s V -l version -d 'Print version'
complete -c backup -n "__fish_backup_using_subcommand words" -s c -l config -d 'Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]' -r -F
complete -c backup -n "__fish_backup_using_subcommand words" -l color -d 'When to use colours; NO_COLOR is honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup -n "__fish_backup_using_subcommand words" -l log-format -d 'Form of the log on stderr' -r -f -a "text\t''
json\t''"
complete -c backup -n "__fish_backup_using_subcommand words" -l wait -d 'Wait this long for a lock (30s, 10m, 2h) instead of giving up at once' -r
complete -c backup -n "__fish_backup_using_subcommand words" -l json -d 'Print one JSON document on stdout, errors included'
complete -c backup -n "__fish_backup_using_subcommand words" -s v -l verbose -d 'Log more; twice: everything'
complete -c backup -n "__fish_backup_using_subcommand words" -s q -l quiet -d 'Print nothing when all goes well'
complete -c backup -n "__fish_backup_using_subcommand words" -l no-progress -d 'Show no progress bars, even on a terminal'
complete -c backup -n "__fish_backup_using_subcommand words" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup -n "__fish_backup_using_subcommand words" -s V -l version -d 'Print version'

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
