# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_keepalived_rs_global_optspecs
	string join \n h/help
end

function __fish_keepalived_rs_needs_command
	# Figure out if the current invocation already has a command.
	set -l cmd (commandline -opc)
	set -e cmd[1]
	argparse -s (__fish_keepalived_rs_global_optspecs) -- $cmd 2>/dev/null
	or return
	if set -q argv[1]
		# Also print the command, so this can be used to figure out what it is.
		echo $argv[1]
		return 1
	end
	return 0
end

function __fish_keepalived_rs_using_subcommand
	set -l cmd (__fish_keepalived_rs_needs_command)
	test -z "$cmd"
	and return 1
	contains -- $cmd[1] $argv
end

complete -c keepalived-rs -n "__fish_keepalived_rs_needs_command" -s h -l help -d 'Print help'
complete -c keepalived-rs -n "__fish_keepalived_rs_needs_command" -f -a "check" -d 'Read configuration files and explain every complaint; changes nothing'
complete -c keepalived-rs -n "__fish_keepalived_rs_needs_command" -f -a "convert" -d 'Write keepalived\'s configuration for an ldirectord.cf, and say what it cannot carry over'
complete -c keepalived-rs -n "__fish_keepalived_rs_needs_command" -f -a "explain" -d 'Say what a keyword means, where it may stand, what it takes, and its default'
complete -c keepalived-rs -n "__fish_keepalived_rs_needs_command" -f -a "reload" -d 'Have a running daemon read its configuration again, and wait for the verdict'
complete -c keepalived-rs -n "__fish_keepalived_rs_needs_command" -f -a "status" -d 'Say who is master of what, why and since when, as the running daemon has it'
complete -c keepalived-rs -n "__fish_keepalived_rs_needs_command" -f -a "watch" -d 'Follow a running daemon: each change of state on a line, until it ends'
complete -c keepalived-rs -n "__fish_keepalived_rs_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand check" -s i -l config-id -d 'Skip lines for other configuration ids (keepalived\'s -i)' -r
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand check" -l quiet -d 'Name only what keepalived names; no advice'
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand check" -s h -l help -d 'Print help'
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand convert" -s h -l help -d 'Print help'
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand explain" -s h -l help -d 'Print help'
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand reload" -s p -l pid -d 'Its pid file' -r -F
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand reload" -l timeout -d 'Seconds to wait for the verdict' -r
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand reload" -s h -l help -d 'Print help'
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand status" -s p -l pid -d 'Its pid file' -r -F
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand status" -l json -d 'All that is known, as JSON'
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand status" -s h -l help -d 'Print help'
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand watch" -s p -l pid -d 'Its pid file' -r -F
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand watch" -s h -l help -d 'Print help'
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand help; and not __fish_seen_subcommand_from check convert explain reload status watch help" -f -a "check" -d 'Read configuration files and explain every complaint; changes nothing'
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand help; and not __fish_seen_subcommand_from check convert explain reload status watch help" -f -a "convert" -d 'Write keepalived\'s configuration for an ldirectord.cf, and say what it cannot carry over'
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand help; and not __fish_seen_subcommand_from check convert explain reload status watch help" -f -a "explain" -d 'Say what a keyword means, where it may stand, what it takes, and its default'
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand help; and not __fish_seen_subcommand_from check convert explain reload status watch help" -f -a "reload" -d 'Have a running daemon read its configuration again, and wait for the verdict'
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand help; and not __fish_seen_subcommand_from check convert explain reload status watch help" -f -a "status" -d 'Say who is master of what, why and since when, as the running daemon has it'
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand help; and not __fish_seen_subcommand_from check convert explain reload status watch help" -f -a "watch" -d 'Follow a running daemon: each change of state on a line, until it ends'
complete -c keepalived-rs -n "__fish_keepalived_rs_using_subcommand help; and not __fish_seen_subcommand_from check convert explain reload status watch help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
