//! Which processes a `vrrp_track_process` means.

use crate::model::TrackProcess;
use crate::model::track::ParamMatch;

/// The kernel keeps this much of a name.
const NAME: usize = 15;

/// What `/proc` says of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Process {
    /// Its name, at most 15 bytes.
    pub name: Vec<u8>,
    /// `cmdline`: the arguments, each ended by a NUL. Empty when nobody asks for it.
    pub arguments: Vec<u8>,
}

/// Whether this process is meant.
pub(super) fn matches(config: &TrackProcess, process: &Process) -> bool {
    let program = config.process.as_bytes();
    if !config.full_command {
        return process.name == program.get(..NAME).unwrap_or(program);
    }
    let text = process
        .arguments
        .strip_suffix(b"\0")
        .unwrap_or(&process.arguments);
    if text.is_empty() {
        return false;
    }
    let mut arguments = text.split(|byte| *byte == 0);
    if arguments.next() != Some(program) {
        return false;
    }
    let mut wanted = config.params.iter().map(String::as_bytes).peekable();
    match config.param_match {
        ParamMatch::None => true,
        ParamMatch::Exact => arguments.eq(wanted),
        ParamMatch::Partial => wanted.all(|param| arguments.next() == Some(param)),
        ParamMatch::Initial => {
            while let Some(param) = wanted.next() {
                let last = wanted.peek().is_none();
                let found = arguments
                    .next()
                    .is_some_and(|argument| argument == param || (last && argument.starts_with(param)));
                if !found {
                    return false;
                }
            }
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn config(words: &[&str], param_match: ParamMatch, full_command: bool) -> TrackProcess {
        TrackProcess {
            name: "p".into(),
            process: words[0].into(),
            params: words[1..].iter().map(|&word| word.into()).collect(),
            param_match,
            weight: 0,
            reverse: false,
            quorum: 1,
            quorum_max: None,
            fork_delay: Duration::ZERO,
            terminate_delay: Duration::ZERO,
            full_command,
        }
    }

    /// Counts as keepalived 2.2.7 made them of these processes.
    #[test]
    fn counts_as_keepalived() {
        use ParamMatch::{Exact, Initial, None, Partial};
        let process = |name: &str, arguments: &str| Process {
            name: name.as_bytes().to_vec(),
            arguments: arguments
                .split(' ')
                .flat_map(|word| [word.as_bytes(), b"\0"].concat())
                .collect(),
        };
        let all = [
            process("sl", "/bin/sl 300"),
            process("sl", "/bin/sl 300 301"),
            process("sl", "/bin/sl 301 300"),
            process("sl", "/bin/sl 3000 300"),
            process("sl", "argz 300"),
            process("a_very_long_pro", "/bin/a_very_long_process_name 400"),
            Process {
                name: b"kthreadd".to_vec(),
                arguments: Vec::new(),
            },
        ];
        for (words, kind, full, count) in [
            (&["sl"][..], None, false, 5),
            (&["/bin/sl"], None, false, 0),
            (&["/bin/sl"], None, true, 4),
            (&["sl"], None, true, 0),
            (&["/bin/sl", "300"], Exact, true, 1),
            (&["/bin/sl", "300"], Initial, true, 3),
            (&["/bin/sl", "300"], Partial, true, 2),
            (&["/bin/sl", "300", "30"], Initial, true, 1),
            (&["/bin/sl", "300", "30"], Partial, true, 0),
            (&["/bin/sl"], Exact, true, 0),
            (&["/bin/sl"], Initial, true, 4),
            (&["/bin/sl"], Partial, true, 4),
            (&["a_very_long_pro"], None, false, 1),
            (&["argz"], None, true, 1),
            (&["/bin/sl", "300", "301"], Exact, true, 1),
            (&["/bin/sl", "300", "301", "302"], Initial, true, 0),
            (&["/bin/sl", "30"], Initial, true, 4),
            (&["/bin/sl", "30"], Partial, true, 0),
            // keepalived finds none: the kernel has cut the name.
            (&["a_very_long_process_name"], None, false, 1),
        ] {
            let config = config(words, kind, full);
            let found = all.iter().filter(|process| matches(&config, process)).count();
            assert_eq!(found, count, "{words:?} {kind:?}");
        }
    }
}
