//! Lines of track lists: which object, with which weight.

use crate::config::diagnostic::Class;
use crate::config::line::Line;
use crate::config::read::Context;
use crate::config::read::field::integer;
use crate::model::track::Tracked;

/// Kinds of tracked things, with their largest weight and the words of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// `track_interface`.
    Interface,
    /// `track_script`.
    Script,
    /// `track_file`.
    File,
    /// `track_process`.
    Process,
    /// `track_bfd`.
    Bfd,
}

impl What {
    /// As in keepalived's messages.
    pub fn words(self) -> &'static str {
        match self {
            What::Interface => "interface",
            What::Script => "script",
            What::File => "file",
            What::Process => "process",
            What::Bfd => "bfd",
        }
    }

    /// Largest weight.
    fn limit(self) -> i64 {
        match self {
            What::File | What::Process => 254,
            _ => 253,
        }
    }
}

/// A line of a `track_*` block: `NAME [weight N [reverse|noreverse]]`. `owner` is the name of the instance or
/// group.
pub fn reference(what: What, owner: &str, line: &Line, list: &mut Vec<Tracked>, context: &mut Context) {
    let Some(name) = line.text(0).map(str::to_owned) else {
        return;
    };
    let word = what.words();
    let Some((weight, reverse)) = find(what, &name, context) else {
        let text = if what == What::Interface {
            format!("({owner}) tracked interface {name} doesn't exist")
        } else {
            format!("({owner}) track {word} {name} not found, ignoring...")
        };
        if what == What::Interface {
            context.shared.missing_interface = true;
        }
        context
            .diagnostics
            .at(Class::General, line.span_of(0), text)
            .help(match what {
                What::Interface => "there is no such interface on this host".to_owned(),
                _ => format!("nothing of that name is defined above this line; define it with `{}` before the instance",
                    match what {
                        What::Script => "vrrp_script",
                        What::File => "track_file",
                        What::Process => "vrrp_track_process",
                        _ => "bfd_instance",
                    }),
            });
        return;
    };
    if list.iter().any(|t| t.name == name) {
        context.diagnostics.at(
            Class::General,
            line.span_of(0),
            format!("({owner}) duplicate track_{word} {name} - ignoring"),
        );
        return;
    }
    let mut tracked = Tracked {
        name: name.clone(),
        weight,
        reverse,
    };
    match line.text(1) {
        None => {}
        Some("weight") => {
            if line.text(2).is_none() {
                context.diagnostics.at(
                    Class::General,
                    line.span_of(1),
                    format!(
                        "({owner}) weight without value specified for track{}{word} {name} - ignoring",
                        if what == What::Interface { "_" } else { " " }
                    ),
                );
                return;
            }
            let limit = what.limit();
            match integer(line, 2, -254, 254, context) {
                Some(n) => {
                    if n.abs() > limit {
                        let text = format!("({owner}) weight for {name} cannot be +/-254. Setting to +/-253");
                        context.diagnostics.at(Class::General, line.span_of(2), text);
                    }
                    tracked.weight = i32::try_from(n.clamp(-limit, limit)).unwrap_or(0);
                    tracked.reverse = false;
                }
                None => {
                    let text = if what == What::Interface {
                        format!(
                            "({owner}) weight {} for {name} must be between [-253..253] inclusive. Ignoring...",
                            line.text(2).unwrap_or_default()
                        )
                    } else {
                        match what {
                            What::File | What::Process => format!(
                                "({owner}) weight for track {word} {name} must be in [-254..254] inclusive. Ignoring..."
                            ),
                            _ => format!(
                                "({owner}) track {word} {name}: weight must be between [-253..253] inclusive, ignoring..."
                            ),
                        }
                    };
                    context.diagnostics.at(Class::General, line.span_of(2), text);
                }
            }
            match line.text(3) {
                None => {}
                Some("reverse") => tracked.reverse = true,
                Some("noreverse") => tracked.reverse = false,
                Some(other) => {
                    let text = match what {
                        What::File => {
                            format!("({owner}) unknown track file {name} weight option {other} - ignoring")
                        }
                        _ => {
                            format!("({owner}) unknown track_{word} {name} weight option {other} - ignoring")
                        }
                    };
                    context.diagnostics.at(Class::General, line.span_of(3), text);
                }
            }
        }
        Some(other) => {
            let text = match what {
                What::Interface => {
                    format!("({owner}) unknown track_interface {name} option {other} - ignoring")
                }
                _ => format!("({owner}) unknown track {word} option {other} - ignoring"),
            };
            context.diagnostics.at(Class::General, line.span_of(1), text);
        }
    }
    list.push(tracked);
}

/// The object's own weight, if it is there.
pub(super) fn find(what: What, name: &str, context: &Context) -> Option<(i32, bool)> {
    let config = &context.config;
    match what {
        What::Interface => {
            let dynamic = config.globals.dynamic_interfaces != crate::model::globals::DynamicInterfaces::No;
            (dynamic || context.host.interface(name).is_some()).then_some((0, false))
        }
        What::Script => config
            .scripts
            .iter()
            .find(|s| s.name == name)
            .map(|s| (s.weight, s.reverse)),
        What::File => config
            .files
            .iter()
            .find(|f| f.name == name)
            .map(|f| (f.weight, f.reverse)),
        What::Process => config
            .processes
            .iter()
            .find(|p| p.name == name)
            .map(|p| (p.weight, p.reverse)),
        What::Bfd => config
            .bfd
            .iter()
            .find(|b| b.name == name)
            .map(|b| (b.weight, b.reverse)),
    }
}

/// `weight N [reverse]` of an object.
pub(super) fn weight(line: &Line, limit: i64, what: &str, context: &mut Context) -> Option<(i32, bool)> {
    match integer(line, 1, -limit, limit, context) {
        Some(n) => {
            let reverse = match line.text(2) {
                Some("reverse") => true,
                None => false,
                Some(other) => {
                    let text = format!("{what} unknown weight option {other}");
                    context.diagnostics.at(Class::General, line.span_of(2), text);
                    false
                }
            };
            Some((i32::try_from(n).unwrap_or(0), reverse))
        }
        None => {
            let value = line.text(1).unwrap_or_default();
            let text = format!("{what} weight {value} must be in [-{limit}, {limit}]");
            context.diagnostics.at(Class::General, line.span_of(1), text);
            None
        }
    }
}
