//! What is taken out of dumps and logs before they are compared, and the comparison.

use std::collections::BTreeMap;

/// Takes out of a dump what belongs to its moment or to the machine.
pub fn mask(text: &str, suffix: &str) -> String {
    let reloaded = suffix == ".after-reload";
    let kernel = [
        "   rp_filter ",
        "   Original ",
        "   Not IPv6 forwarding",
        "   IPv6 forwarding",
    ];
    let mut masked = String::new();
    for line in text.lines() {
        if kernel.iter().any(|start| line.starts_with(start)) {
            continue;
        }
        // Which interface the kernel chose for a route is not asked for.
        let line = stamps(line).replace(" [dev eth0]", "");
        let next = [" GARP next time ", " GNA next time "];
        let line = match next.iter().find(|start| line.starts_with(*start)) {
            // What the kernel's thread paces by is not asked for.
            Some(start) => format!("{start}<TIME>"),
            None => line,
        };
        let line = match line.split_once(" = ") {
            // keepalived does not start a master's timer again when it reloads.
            // One bit for each kind of error, in an order of its own.
            Some((key @ "   Rate-limit flags", _)) => format!("{key} = <N>"),
            Some((key @ "   Master down timer", _)) if reloaded => format!("{key} = <USEC>"),
            _ => line,
        };
        let line = match line.split_once(": ") {
            Some((key @ ("    Received" | "    Sent" | "    Length" | "    Advertisement Interval"), _)) => {
                format!("{key}: <N>")
            }
            _ if line.trim_start().starts_with("fd_") => numbers(&line),
            // Addresses of keepalived's timers.
            _ if line.trim_start().starts_with("thread_") => line.replace("0x1", "0x<ADDR>"),
            _ if line.contains(" discriminator = 0x") && !line.ends_with(" 0x0") => {
                let (before, _) = line.split_once(" = ").unwrap_or((&line, ""));
                format!("{before} = <ADDR>")
            }
            _ => line,
        };
        masked.push_str(&json_counts(&line));
        masked.push('\n');
    }
    masked
}

/// `<TIME>` for each `seconds.micro (date)` or `seconds.micro`.
fn stamps(line: &str) -> String {
    let mut out = line.to_owned();
    for word in line.split(|c: char| !(c.is_ascii_digit() || c == '.')) {
        let stamp = word
            .split_once('.')
            .is_some_and(|(seconds, part)| seconds.len() >= 10 && !part.is_empty());
        if stamp && let Some(at) = out.find(word) {
            let end = at + word.len();
            let after = match out[end..].strip_prefix(" (") {
                Some(bracket) => bracket.find(')').map_or(end, |close| end + 2 + close + 1),
                None => end,
            };
            out.replace_range(at..after, "<TIME>");
        }
    }
    out
}

fn numbers(line: &str) -> String {
    let mut out = String::new();
    for c in line.chars() {
        match c {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            c => out.push(c),
        }
    }
    out
}

fn json_counts(line: &str) -> String {
    let mut out = line.to_owned();
    for key in [
        "\"advert_rcvd\":",
        "\"advert_sent\":",
        "\"packet_len_err\":",
        "\"advert_interval_err\":",
    ] {
        let mut parts = out.split(key);
        let mut joined = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            joined.push_str(key);
            joined.push_str("<N>");
            joined.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        out = joined;
    }
    out
}

pub fn differences(what: &str, ours: &str, theirs: &str) -> Vec<String> {
    let (ours, theirs): (Vec<_>, Vec<_>) = (ours.lines().collect(), theirs.lines().collect());
    let mut found = Vec::new();
    if ours.len() != theirs.len() {
        let extra = ours.iter().find(|line| !theirs.contains(line));
        let missing = theirs.iter().find(|line| !ours.contains(line));
        found.push(format!(
            "{what}: {} lines instead of {}; ours only: {extra:?}; keepalived's only: {missing:?}",
            ours.len(),
            theirs.len()
        ));
        return found;
    }
    for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        if ours != theirs {
            let same = ours
                .bytes()
                .zip(theirs.bytes())
                .take_while(|(a, b)| a == b)
                .count();
            let part = |line: &str| {
                line.get(same.saturating_sub(30)..(same + 50).min(line.len()))
                    .unwrap_or(line)
                    .to_owned()
            };
            let number = number + 1;
            found.push(format!(
                "{what}, line {number}: {:?} instead of {:?}",
                part(ours),
                part(theirs)
            ));
        }
    }
    found
}

/// Lines of a log that keepalived's processes say and ours, one process that has none of the things they speak
/// of, does not, or says in its own words (docs/compatibility.md); and lines of the machine.
const OF_PROCESSES: &[&str] = &[
    "Running on ",
    "Command line: ",
    "Starting VRRP ",
    "Starting BFD ",
    "keepalived-rs ",
    "Registering Kernel netlink",
    "Registering gratuitous",
    "Script user 'keepalived_script' does not exist",
    "Stopped - used",
    "CPU usage ",
    // What the kernel refuses: ours says which address.
    "Netlink: error:",
    "(VI_1) the kernel refused",
    // keepalived takes a wrong version for a wrong length, and tells one of them.
    "(VI_1) vrrp packet from",
    "(VI_1) wrong VRRP version",
];

/// How often each line stands in a log, after masking.
pub fn counted<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for line in lines {
        if line.starts_with("exit status")
            || line.ends_with(": not yet acted on")
            // A hint of our own.
            || line.contains(") strict mode drops packets")
            // keepalived removes routes at the start that are not there, and says so for each.
            || line.starts_with("Netlink: error: No such process(3), type=RTM_DELROUTE")
            || OF_PROCESSES.iter().any(|start| line.starts_with(start))
        {
            continue;
        }
        let line = match line.split_once("process(") {
            Some((before, after)) if line.starts_with("Printing ") => {
                let rest = after.split_once(')').map_or("", |(_, rest)| rest);
                format!("{before}process(<PID>){rest}")
            }
            _ => line.to_owned(),
        };
        let line = match line.split_once("fd(") {
            Some((before, after)) => {
                let rest = after.split_once(')').map_or("", |(_, rest)| rest);
                format!("{before}fd(#,#){rest}")
            }
            None => line,
        };
        let line = match line.split_once(" (delivered in ") {
            Some((before, _)) => format!("{before} (delivered in <USEC> usec)"),
            None => line,
        };
        let line = match line.split_once(" Expired after ") {
            Some((before, _)) => format!("{before} Expired after <MSEC> ms (<USEC> usec overdue)"),
            None => line,
        };
        // How often they are removed at the start is a matter of keepalived's processes.
        let once = line.contains(") removing ");
        let times = counted.entry(line).or_insert(0);
        *times = if once { 1 } else { *times + 1 };
    }
    counted
}
