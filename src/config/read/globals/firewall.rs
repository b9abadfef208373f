//! iptables, ipsets and nftables: the names that the rules go by.

use super::{invalid, say};
use crate::config::diagnostic::Class;
use crate::config::line::Line;
use crate::config::read::field::{integer, u32_in};
use crate::config::read::{Context, Flow};
use crate::model::globals::Iptables;

pub(super) fn firewall(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    match name {
        "vrrp_iptables" => {
            let long = line.words.iter().skip(1).find(|w| w.text.len() > 28);
            if let Some(word) = long {
                let text = format!(
                    "VRRP Error : iptables chain name too long - ignored: {}",
                    word.text
                );
                context.diagnostics.at(Class::General, word.span, text);
                return Some(Flow::Continue);
            }
            let input = line.text(1).unwrap_or("INPUT").to_owned();
            let output = match (line.text(1), line.text(2)) {
                (None, _) => Some("OUTPUT".to_owned()),
                (_, second) => second.map(str::to_owned),
            };
            if output.as_ref() == Some(&input) {
                say(
                    line,
                    "VRRP Error : iptables in and out chain names must be different",
                    context,
                );
                return Some(Flow::Continue);
            }
            context.config.globals.iptables = Some(Iptables { input, output });
        }
        "nftables" | "nftables_ipvs" => {
            let globals = &context.config.globals;
            let (already, default) = match name {
                "nftables" => (globals.nftables.is_some(), "keepalived"),
                _ => (globals.nftables_ipvs.is_some(), "keepalived_ipvs"),
            };
            let table = line.text(1).unwrap_or(default).to_owned();
            if already {
                say(line, format!("{name} already specified - ignoring"), context);
            } else if table.len() > 254 {
                say(line, format!("{name} table name too long - ignoring"), context);
            } else if name == "nftables" {
                context.config.globals.nftables = Some(table);
            } else {
                context.config.globals.nftables_ipvs = Some(table);
            }
        }
        "nftables_priority" | "nftables_ipvs_priority" => {
            match integer(line, 1, i32::MIN.into(), i32::MAX.into(), context) {
                Some(n) => {
                    let n = i32::try_from(n).unwrap_or(-1);
                    match name {
                        "nftables_priority" => context.config.globals.nftables_priority = n,
                        _ => context.config.globals.nftables_ipvs_priority = n,
                    }
                }
                None => invalid(line, "invalid nftables chain priority", context),
            }
        }
        "nftables_ifindex" => context.config.globals.nftables_ifindex = true,
        "nftables_ipvs_start_fwmark" => match u32_in(line, 1, 1, u32::MAX, context) {
            Some(mark) => context.config.globals.nftables_ipvs_start_fwmark = mark,
            None => invalid(line, "invalid nftables_ipvs_start_fwmark", context),
        },
        "nftables_counters" => context.config.globals.nftables_counters = true,
        _ => return None,
    }
    Some(Flow::Continue)
}

pub(super) fn ipsets(line: &Line, context: &mut Context) {
    const DEFAULTS: [&str; 6] = [
        "keepalived",
        "keepalived6",
        "keepalived_if6",
        "keepalived_igmp",
        "keepalived_mld",
        "keepalived_nd",
    ];
    const SUFFIXES: [&str; 6] = ["", "6", "_if6", "_igmp", "_mld", "_nd"];
    if line.words.len() < 2 {
        context.config.globals.ipsets = None;
        return;
    }
    if let Some(word) = line.words.iter().skip(1).find(|w| w.text.len() > 30) {
        let text = format!("VRRP Error : ipset name too long - ignored: {}", word.text);
        context.diagnostics.at(Class::General, word.span, text);
        return;
    }
    let first = line.text(1).unwrap_or(DEFAULTS[0]);
    let sets: Vec<String> = SUFFIXES
        .iter()
        .enumerate()
        .map(|(i, suffix)| match line.text(i + 1) {
            Some(name) => name.to_owned(),
            None => format!("{first}{suffix}"),
        })
        .collect();
    for (i, name) in sets.iter().enumerate() {
        if sets[..i].contains(name) {
            let text = format!("VRRP Error : ipset names must be different ({name})");
            say(line, text, context);
            return;
        }
    }
    context.config.globals.ipsets = Some(sets);
}
