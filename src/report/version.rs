//! `--version`: keepalived's layout, so that what reads it goes on working, and our own name.

use std::fmt::Write;

/// The keepalived that this program stands in for, as its version line says it.
pub const KEEPALIVED: &str = "Keepalived v2.4.3 (07/20,2026)";

/// What `configure options` says: only what this program really does. Exporters look for
/// `--enable-json` before they ask for the JSON file.
const CONFIGURE: &str = "--enable-json --enable-vrrp --enable-vrrp-auth --enable-nftables --enable-log-file";

/// What `Config options` says.
const OPTIONS: &str =
    "NFTABLES VRRP VRRP_AUTH JSON OLD_CHKSUM_COMPAT FILE_LOGGING LOG_FILE_APPEND INIT=systemd SYSTEMD_NOTIFY";

/// What `--version` prints. `running` is uname's system, release and version; `distribution` is
/// PRETTY_NAME of os-release, where there is one.
pub fn version(running: &str, distribution: Option<&str>) -> String {
    let mut text = format!("{KEEPALIVED}\n");
    let own = env!("CARGO_PKG_VERSION");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "keepalived-rs {own}, in place of the above (Apache-2.0)\n");
    let _ = writeln!(text, "Running on {running}");
    if let Some(distribution) = distribution {
        let _ = writeln!(text, "Distro: {distribution}");
    }
    let _ = writeln!(text, "\nconfigure options: {CONFIGURE}\n");
    let _ = writeln!(text, "Config options:  {OPTIONS}\n");
    let _ = writeln!(
        text,
        "System options:  IPV4_DEVCONF IFA_PROTO CLOSE_RANGE F_OFD_SETLK"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_keepalived_s_and_the_second_is_ours() {
        let text = version("Linux 6.1.0 #1 SMP", Some("Debian GNU/Linux 12 (bookworm)"));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "Keepalived v2.4.3 (07/20,2026)");
        assert!(lines[1].starts_with(concat!("keepalived-rs ", env!("CARGO_PKG_VERSION"))));
        assert!(text.contains("--enable-json"));
        assert!(lines.contains(&"Running on Linux 6.1.0 #1 SMP"));
        assert!(lines.contains(&"Distro: Debian GNU/Linux 12 (bookworm)"));
    }
}
