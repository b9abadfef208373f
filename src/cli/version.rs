//! What `--version` and the first log lines say.

use nix::sys::utsname::{UtsName, uname};

/// Version of keepalived whose place we take.
pub const KEEPALIVED: &str = "Keepalived v2.4.3 (07/20,2026)";
/// Kernel whose interfaces we know; keepalived names the headers that it was built with.
pub const LINUX: &str = "6.1.187";

/// keepalived's parts that are here, as its `Config options` line names them. Monitoring looks for the
/// words of `configure options`.
const CONFIGURE: &str = "--enable-vrrp --enable-vrrp-auth --enable-nftables --enable-json --enable-log-file";
const CONFIG: &str =
    "NFTABLES VRRP VRRP_AUTH JSON OLD_CHKSUM_COMPAT FILE_LOGGING LOG_FILE_APPEND INIT=systemd SYSTEMD_NOTIFY";
const SYSTEM: &str = "VSYSLOG MEMFD_CREATE CLOSE_RANGE IPV6_MULTICAST_ALL F_OFD_SETLK IFA_FLAGS IFA_PROTO GLOB_BRACE GLOB_ALTDIRFUNC";

/// The text of `--version`.
pub fn text() -> String {
    format!(
        "{KEEPALIVED}\n{}\n\nBuilt with kernel headers for Linux {LINUX}\nRunning on {}\n{}\n\
         configure options: {CONFIGURE}\n\nConfig options:  {CONFIG}\n\nSystem options:  {SYSTEM}\n",
        ours(),
        running_kernel(),
        distribution()
            .map(|d| format!("Distro: {d}\n"))
            .unwrap_or_default(),
    )
}

/// Our own name and version.
pub fn ours() -> String {
    format!(
        "keepalived-rs {} (in the place of {})",
        env!("CARGO_PKG_VERSION"),
        "keepalived 2.4.3"
    )
}

/// `sysname release version` of the running kernel.
pub fn running_kernel() -> String {
    let field = |f: fn(&UtsName) -> &std::ffi::OsStr, u: &UtsName| f(u).to_string_lossy().into_owned();
    match uname() {
        Ok(u) => format!(
            "{} {} {}",
            field(UtsName::sysname, &u),
            field(UtsName::release, &u),
            field(UtsName::version, &u)
        ),
        Err(_) => "Linux".into(),
    }
}

/// The running kernel is older than [`LINUX`].
pub fn kernel_is_older() -> bool {
    let numbers = |text: &str| {
        let mut parts = text
            .split(|c: char| !c.is_ascii_digit())
            .map(|p| p.parse::<u32>().unwrap_or(0));
        [(); 3].map(|()| parts.next().unwrap_or(0))
    };
    uname().is_ok_and(|u| numbers(&u.release().to_string_lossy()) < numbers(LINUX))
}

fn distribution() -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("PRETTY_NAME="))?;
    Some(line.trim_matches('"').to_owned())
}
