//! Names of numbers that iproute2 keeps: routing tables, protocols, scopes, traffic classes, realms, groups.

//! A name is looked for among those that every system has, then in /etc/iproute2 and /usr/share/iproute2 (also in
//! `NAME.d/*.conf`), or where `iproute_etc_dir` and `iproute_usr_dir` say.

use super::Context;
use crate::config::Host;
use std::path::Path;

/// Which table of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// `rt_tables`.
    Tables,
    /// `rt_protos`.
    Protocols,
    /// `rt_scopes`.
    Scopes,
    /// `rt_dsfield`.
    DsField,
    /// `rt_realms`.
    Realms,
    /// `group`.
    Groups,
}

impl Names {
    /// The number that a word stands for: a number itself (decimal, 0x hexadecimal, 0 octal), or a name.
    pub(super) fn lookup(self, context: &Context, text: &str) -> Option<u32> {
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let base = if self == Names::DsField { 16 } else { 0 };
            return unsigned_base(text, base)
                .and_then(|n| u32::try_from(n).ok())
                .filter(|n| *n <= self.largest());
        }
        if let Some((_, number)) = self.known().iter().find(|(name, _)| *name == text) {
            return Some(*number);
        }
        let globals = &context.config.globals;
        let etc = globals.iproute_etc_dir.as_deref().unwrap_or("/etc/iproute2");
        let usr = globals
            .iproute_usr_dir
            .as_deref()
            .unwrap_or("/usr/share/iproute2");
        [etc, usr]
            .iter()
            .find_map(|directory| self.in_directory(context.host, directory, text))
    }

    fn in_directory(self, host: &dyn Host, directory: &str, text: &str) -> Option<u32> {
        let main = format!("{directory}/{}", self.file());
        let more = host.glob(&format!("{main}.d/*.conf")).unwrap_or_default();
        std::iter::once(Path::new(&main).to_path_buf())
            .chain(more)
            .filter_map(|path| host.read(&path).ok())
            .find_map(|bytes| {
                String::from_utf8_lossy(&bytes).lines().find_map(|line| {
                    let mut words = line.split('#').next()?.split_ascii_whitespace();
                    let number = unsigned_base(words.next()?, 0)?;
                    (words.next()? == text)
                        .then(|| u32::try_from(number).ok())
                        .flatten()
                })
            })
            .filter(|n| *n <= self.largest())
    }

    fn file(self) -> &'static str {
        match self {
            Names::Tables => "rt_tables",
            Names::Protocols => "rt_protos",
            Names::Scopes => "rt_scopes",
            Names::DsField => "rt_dsfield",
            Names::Realms => "rt_realms",
            Names::Groups => "group",
        }
    }

    fn largest(self) -> u32 {
        match self {
            Names::Tables => u32::MAX,
            Names::Protocols | Names::Scopes | Names::DsField => 255,
            Names::Realms => 65535,
            Names::Groups => i32::MAX as u32,
        }
    }

    fn known(self) -> &'static [(&'static str, u32)] {
        match self {
            Names::Tables => &[("default", 253), ("main", 254), ("local", 255), ("unspec", 0)],
            Names::Protocols => &[
                ("unspec", 0),
                ("redirect", 1),
                ("kernel", 2),
                ("boot", 3),
                ("static", 4),
                ("gated", 8),
                ("ra", 9),
                ("mrt", 10),
                ("zebra", 11),
                ("bird", 12),
                ("dnrouted", 13),
                ("xorp", 14),
                ("ntk", 15),
                ("dhcp", 16),
                ("mrouted", 17),
                ("keepalived", 18),
                ("babel", 42),
                ("bgp", 186),
                ("isis", 187),
                ("ospf", 188),
                ("rip", 189),
                ("eigrp", 192),
            ],
            Names::Scopes => &[
                ("global", 0),
                ("nowhere", 255),
                ("host", 254),
                ("link", 253),
                ("site", 200),
            ],
            Names::DsField => &[("default", 0)],
            Names::Realms => &[("cosmos", 0)],
            Names::Groups => &[("default", 0)],
        }
    }
}

/// An unsigned number as strtoul(3) reads it: base 0 knows 0x and 0; no sign, nothing behind it.
pub(super) fn unsigned_base(text: &str, base: u32) -> Option<u64> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, base) = match (base, hexadecimal) {
        (0 | 16, Some(rest)) => (rest, 16),
        (0, None) if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        (0, None) => (text, 10),
        (base, _) => (text, base),
    };
    if digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(digits, base).ok()
}
