//! `--help`, in keepalived's layout.

const OPTIONS: &str = "\
  -f, --use-file=FILE          Use the specified configuration file
                                default '/etc/keepalived/keepalived.conf'
  -P, --vrrp                   Only run with VRRP subsystem
  -C, --check                  Only run with Health-checker subsystem
  -B, --no_bfd                 Don't run BFD subsystem
      --all                    Run all subsystems, even if they have no configuration
  -l, --log-console            Log messages to local console
  -D, --log-detail             Detailed log messages
  -S, --log-facility=([0-7]|local[0-7]|user|daemon)
                               Set syslog facility to LOG_LOCAL[0-7], user or daemon (default)
  -g, --log-file=FILE          Also log to FILE (default $TMPDIR/keepalived.log)
      --flush-log-file         Flush log file on write
  -G, --no-syslog              Don't log via syslog
  -u, --umask=MASK             umask for file creation (in numeric form)
  -X, --release-vips           Drop VIP on transition from signal.
  -V, --dont-release-vrrp      Don't remove VRRP VIPs and VROUTEs on daemon stop
  -I, --dont-release-ipvs      Don't remove IPVS topology on daemon stop
  -R, --dont-respawn           Don't start a failed part again
  -n, --dont-fork              Don't fork the daemon process
  -d, --dump-conf              Dump the configuration data
  -p, --pid=FILE               Use specified pidfile for the daemon
  -r, --vrrp_pid=FILE          Use specified pidfile for VRRP
  -T, --genhash                Enter into genhash utility mode (this should be the first option used).
  -c, --checkers_pid=FILE      Use specified pidfile for checkers
  -a, --address-monitoring     Report all address additions/deletions notified via netlink
  -b, --bfd_pid=FILE           Use specified pidfile for BFD
  -x, --snmp                   Enable SNMP subsystem
  -A, --snmp-agent-socket=FILE Use the specified socket for master agent
  -s, --namespace=NAME         Run in network namespace NAME (overrides config)
  -m, --core-dump              Produce core dump if terminate abnormally
  -M, --core-dump-pattern=PATN Also set /proc/sys/kernel/core_pattern to PATN (default 'core')
  -e, --all-config             Error if any configuration file missing (same as include_check with all checks)
  -i, --config-id id           Skip any configuration lines beginning '@' that don't match id
                                or any lines beginning @^ that do match.
                                The config-id defaults to the node name if option not used
      --ignore-sigint          Don't stop on SIGINT (for debuggers)
      --signum=SIGFUNC         Return signal number for STOP, RELOAD, DATA, STATS, STATS_CLEAR, JSON
  -t, --config-test[=LOG_FILE] Check the configuration for obvious errors, output to
                                stderr by default
  -v, --version                Display the version number
  -h, --help                   Display this help message
";

/// The whole text. Under any other name than keepalived, our own commands follow.
pub(super) fn text(program: &str) -> String {
    let mut text = format!("Usage: {program} [OPTION...]\n{OPTIONS}");
    if !program.ends_with("keepalived") {
        text.push_str(
            "\nCommands of keepalived-rs:\n  \
             check [FILE...]              Read configuration files and explain every complaint\n  \
             convert FILE                 Write a configuration for an ldirectord.cf\n  \
             explain KEYWORD...           Say what a keyword means, where it may stand and what it takes\n  \
             reload [--pid FILE]          Have the daemon read its configuration again, wait for the verdict\n  \
             status [--pid FILE] [--json] Say who is master of what, why and since when\n  \
             watch [--pid FILE]           Follow the changes of state\n  \
             help [COMMAND]               More about a command\n",
        );
    }
    text
}
