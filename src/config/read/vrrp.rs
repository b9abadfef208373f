//! VRRP instances, sync groups and what stands beside them.

mod instance;
mod lists;

use super::draft::Draft;
use super::field::{decimal_seconds, integer};
use super::rule::Preferences;
use super::tracking::{self, FileDraft, ProcessDraft, ScriptDraft, What};
use super::{Context, Flow, Section, complete, notify};
use crate::config::diagnostic::{Class, Pass};
use crate::config::keyword::Keyword;
use crate::config::line::Line;
use crate::config::number;
use crate::model::route::Family;
use crate::model::vrrp::{GarpGroup, SyncGroup, TrackGroup};
use instance::{authentication, instance};
use lists::{instance_entry, static_entry};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// Longest interface name.
pub(super) const INTERFACE_NAME: usize = 15;
/// Longest delay in whole seconds.
const MOST_SECONDS: u32 = 4294;

/// The block that is being read.
#[derive(Debug, Default)]
enum Open {
    #[default]
    None,
    Instance(Box<Draft>),
    Group(Box<GroupDraft>),
    TrackGroup(TrackGroup),
    Garp(GarpGroup),
    Script(ScriptDraft),
    File(FileDraft),
    Process(ProcessDraft),
}

/// A sync group being read.
#[derive(Debug, Default)]
pub(super) struct GroupDraft {
    pub(super) group: SyncGroup,
    pub(super) has_list: bool,
    pub(super) smtp_alert: Option<bool>,
    pub(super) notify_priority_changes: Option<bool>,
}

/// The reader.
#[derive(Debug, Default)]
pub struct Vrrp {
    open: Open,
    pub(super) drafts: Vec<Draft>,
    pub(super) groups: Vec<GroupDraft>,
    preferences: Preferences,
    names: BTreeSet<String>,
}

impl Section for Vrrp {
    fn keyword(&mut self, keyword: &'static Keyword, line: &Line, context: &mut Context) -> Flow {
        if keyword.block == "(root)" {
            return self.top(keyword.name, line, context);
        }
        match &mut self.open {
            Open::Instance(draft) => match keyword.block {
                "vrrp_instance/authentication" => authentication(draft, keyword.name, line, context),
                "vrrp_instance/auth_hmac" => super::hmac::keyword(draft, keyword.name, line, context),
                _ => instance(draft, keyword.name, line, context),
            },
            Open::Group(draft) => group(draft, keyword.name, line, context),
            Open::Garp(group) => garp_group(group, keyword.name, line, context),
            Open::Script(draft) => draft.keyword(keyword.name, line, context),
            Open::File(draft) => draft.keyword(keyword.name, line, context),
            Open::Process(draft) => draft.keyword(keyword.name, line, context),
            Open::TrackGroup(_) | Open::None => Flow::Continue,
        }
    }

    fn entry(&mut self, list: &'static Keyword, line: &Line, context: &mut Context) -> Flow {
        let what = match list.name {
            "track_interface" => Some(What::Interface),
            "track_script" => Some(What::Script),
            "track_file" => Some(What::File),
            "track_process" => Some(What::Process),
            "track_bfd" => Some(What::Bfd),
            _ => None,
        };
        match &mut self.open {
            Open::Instance(draft) => {
                let instance = &mut draft.instance;
                if let Some(what) = what {
                    let list = match what {
                        What::Interface => &mut instance.track_interfaces,
                        What::Script => &mut instance.track_scripts,
                        What::File => &mut instance.track_files,
                        What::Process => &mut instance.track_processes,
                        What::Bfd => &mut instance.track_bfd,
                    };
                    tracking::reference(what, &instance.name, line, list, context);
                    return Flow::Continue;
                }
                instance_entry(draft, list.name, line, &mut self.preferences, context)
            }
            Open::Group(draft) => {
                let group = &mut draft.group;
                let Some(what) = what else {
                    group.members.extend(line.text(0).map(str::to_owned));
                    return Flow::Continue;
                };
                let list = match what {
                    What::Interface => &mut group.track_interfaces,
                    What::Script => &mut group.track_scripts,
                    What::File => &mut group.track_files,
                    What::Process => &mut group.track_processes,
                    What::Bfd => &mut group.track_bfd,
                };
                tracking::reference(what, &group.name, line, list, context);
                Flow::Continue
            }
            Open::TrackGroup(group) => {
                group.members.extend(line.text(0).map(str::to_owned));
                Flow::Continue
            }
            Open::Garp(group) => {
                group.aggregated = true;
                group.interfaces.extend(line.text(0).map(str::to_owned));
                Flow::Continue
            }
            _ => static_entry(list.name, line, &mut self.preferences, context),
        }
    }

    fn end(&mut self, block: &'static Keyword, context: &mut Context) {
        if block.block != "(root)" {
            match (&mut self.open, block.name) {
                (Open::Instance(draft), "auth_hmac") => super::hmac::end(draft, context),
                (Open::Group(draft), "group") if draft.group.members.is_empty() => {
                    let name = &draft.group.name;
                    let text = format!("Warning - sync group {name} has empty group block");
                    context.complain(Class::General, text);
                }
                _ => {}
            }
            return;
        }
        match std::mem::take(&mut self.open) {
            Open::None => {}
            Open::Instance(draft) => {
                if let Some(draft) = complete::at_end_of_block(*draft, context) {
                    self.drafts.push(draft);
                }
            }
            Open::Group(draft) => {
                if draft.group.members.is_empty() && !draft.has_list {
                    let text = format!(
                        "No group list specified for sync group {} - ignoring",
                        draft.group.name
                    );
                    context.complain(Class::General, text);
                } else {
                    self.groups.push(*draft);
                }
            }
            Open::TrackGroup(group) => {
                if group.members.is_empty() {
                    let text = format!("track_group {} has no instances - removing", group.name);
                    context.complain(Class::General, text);
                } else {
                    context.config.track_groups.push(group);
                }
            }
            Open::Garp(group) => {
                if group.garp_interval.is_none() && group.gna_interval.is_none() {
                    context.complain(
                        Class::General,
                        "Removing garp_group with no garp_interval or gna_interval",
                    );
                } else {
                    context.config.garp_groups.push(group);
                }
            }
            Open::Script(draft) => draft.end(context),
            Open::File(draft) => draft.end(context),
            Open::Process(draft) => draft.end(context),
        }
    }

    fn finish(&mut self, context: &mut Context) {
        complete::finish(self, context);
    }
}

impl Vrrp {
    fn top(&mut self, name: &str, line: &Line, context: &mut Context) -> Flow {
        match name {
            "static_ipaddress"
            | "static_routes"
            | "static_rules"
            | "linkbeat_interfaces"
            | "interface_up_down_delays" => {
                self.open = Open::None;
                return Flow::Continue;
            }
            "garp_group" => {
                self.open = Open::Garp(GarpGroup {
                    garp_interval: None,
                    gna_interval: None,
                    interfaces: Vec::new(),
                    aggregated: false,
                });
                return Flow::Continue;
            }
            "vrrp_instance" if line.words.len() != 2 => {
                context
                    .diagnostics
                    .at(Class::General, line.span, "vrrp_instance must have a name");
                return Flow::SkipBlock;
            }
            "vrrp_sync_group" if line.words.len() != 2 => {
                context.diagnostics.at(
                    Class::General,
                    line.span,
                    "vrrp_sync_group must have a name - skipping",
                );
                return Flow::SkipBlock;
            }
            _ => {}
        }
        let Some(object) = context.parameter(line, 1).map(str::to_owned) else {
            return Flow::Missing;
        };
        let duplicate = |text: String, context: &mut Context| {
            context.diagnostics.at(Class::General, line.span_of(1), text);
            Flow::SkipBlock
        };
        match name {
            "vrrp_instance" => {
                if !self.names.insert(object.clone()) {
                    return duplicate(format!("vrrp instance {object} already defined"), context);
                }
                self.open = Open::Instance(Box::new(Draft::new(&object, line.span)));
            }
            "vrrp_sync_group" => {
                if self.groups.iter().any(|g| g.group.name == object) {
                    return duplicate(format!("vrrp sync group {object} already defined"), context);
                }
                let group = SyncGroup {
                    name: object,
                    ..SyncGroup::default()
                };
                self.open = Open::Group(Box::new(GroupDraft {
                    group,
                    ..GroupDraft::default()
                }));
            }
            "track_group" => {
                if context.config.track_groups.iter().any(|g| g.name == object) {
                    return duplicate(format!("track_group {object} already defined"), context);
                }
                self.open = Open::TrackGroup(TrackGroup {
                    name: object,
                    members: Vec::new(),
                });
            }
            "vrrp_script" => {
                if context.config.scripts.iter().any(|s| s.name == object) {
                    let text = format!("vrrp_script {object} is defined twice; the first one is used");
                    context.diagnostics.hint(Some(line.span_of(1)), text);
                }
                self.open = Open::Script(ScriptDraft::new(&object));
            }
            "track_file" | "vrrp_track_file" => {
                if name == "vrrp_track_file" && context.pass == Pass::Vrrp {
                    let text = "\"vrrp_track_file\" is deprecated, please use \"track_file\"";
                    context.diagnostics.hint(None, text);
                }
                if context.config.files.iter().any(|f| f.name == object) {
                    let text = format!("track file {object} already exists - ignoring");
                    return duplicate(text, context);
                }
                self.open = Open::File(FileDraft::new(&object));
            }
            _ => {
                if context.config.processes.iter().any(|p| p.name == object) {
                    let text = format!("vrrp_track_process {object} already exists - ignoring");
                    return duplicate(text, context);
                }
                self.open = Open::Process(ProcessDraft::new(&object));
            }
        }
        Flow::Continue
    }
}

/// A complaint about the value of a line.
fn say(line: &Line, index: usize, text: String, context: &mut Context) {
    context.diagnostics.at(Class::General, line.span_of(index), text);
}

fn garp_group(group: &mut GarpGroup, name: &str, line: &Line, context: &mut Context) -> Flow {
    match name {
        "garp_interval" | "gna_interval" => {
            if context.parameter(line, 1).is_none() {
                return Flow::Missing;
            }
            match decimal_seconds(line, 1, 0, 4_294_967_295, context) {
                Some(time) => {
                    if time >= Duration::from_secs(1) {
                        let value = line.text(1).unwrap_or_default();
                        let text = format!("The garp_group {name} is very large - {value} seconds");
                        context.diagnostics.hint(Some(line.span_of(1)), text);
                    }
                    match name {
                        "garp_interval" => group.garp_interval = Some(time),
                        _ => group.gna_interval = Some(time),
                    }
                }
                None => {
                    let value = line.text(1).unwrap_or_default().to_owned();
                    say(line, 1, format!("garp_group {name} '{value}' invalid"), context);
                }
            }
        }
        "interface" => {
            let Some(interface) = context.parameter(line, 1) else {
                return Flow::Missing;
            };
            if group.interfaces.is_empty() {
                group.interfaces.push(interface.to_owned());
            } else {
                say(
                    line,
                    1,
                    format!("garp_group interface already specified - ignoring {interface}"),
                    context,
                );
            }
        }
        _ => {}
    }
    Flow::Continue
}

fn group(draft: &mut GroupDraft, keyword: &str, line: &Line, context: &mut Context) -> Flow {
    let name = draft.group.name.clone();
    match keyword {
        "group" => {
            if draft.has_list {
                let text = format!("Group list already specified for sync group {name}");
                context.diagnostics.at(Class::General, line.span, text);
                return Flow::SkipBlock;
            }
            draft.has_list = true;
        }
        "smtp_alert" => match line.text(1).map(number::boolean) {
            None => draft.smtp_alert = Some(true),
            Some(Some(on)) => draft.smtp_alert = Some(on),
            Some(None) => {
                let value = line.text(1).unwrap_or_default();
                say(
                    line,
                    1,
                    format!("Invalid vrrp_group smtp_alert parameter {value}"),
                    context,
                );
            }
        },
        "global_tracking" => {
            let text = format!(
                "({name}) global_tracking is deprecated. Use track_interface/script/file on the sync group"
            );
            context.diagnostics.at(Class::Deprecated, line.span, text);
            draft.group.tracking_weight = true;
        }
        "sync_group_tracking_weight" => draft.group.tracking_weight = true,
        "notify_priority_changes" => match line.text(1).map(number::boolean) {
            None => draft.notify_priority_changes = Some(true),
            Some(Some(on)) => draft.notify_priority_changes = Some(on),
            Some(None) => {
                let value = line.text(1).unwrap_or_default();
                let text = format!(
                    "({name}) Invalid value '{value}' for sync group notify_priority_changes specified"
                );
                say(line, 1, text, context);
            }
        },
        _ => {
            let owner = notify::Owner::Group(&name);
            return notify::keyword(&mut draft.group.notify, owner, keyword, line, context);
        }
    }
    Flow::Continue
}

/// An address; a prefix length after it is passed over, as keepalived does.
fn plain_address(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}

/// Family of an address.
pub(super) fn family_of(address: IpAddr) -> Family {
    if address.is_ipv4() {
        Family::Inet
    } else {
        Family::Inet6
    }
}

/// An integer that may be negative, for those who need one elsewhere in this part.
pub(super) fn group_number(line: &Line, index: usize, context: &mut Context) -> Option<u32> {
    integer(line, index, 0, i32::MAX.into(), context).and_then(|n| u32::try_from(n).ok())
}
