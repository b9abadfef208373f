//! VRRP instances, sync groups and what stands beside them.

use super::address::{self, Place};
use super::complete;
use super::draft::{Draft, Given};
use super::field::{decimal_seconds, integer, seconds, u8_in, u32_in};
use super::rule::Preferences;
use super::tracking::{self, FileDraft, ProcessDraft, ScriptDraft, What};
use super::{Context, Flow, Section, notify, route, rule};
use crate::config::diagnostic::{Class, Pass};
use crate::config::keyword::Keyword;
use crate::config::line::Line;
use crate::config::number;
use crate::model::globals::DynamicInterfaces;
use crate::model::route::Family;
use crate::model::secret::Password;
use crate::model::vrrp::{
    Accept, GarpGroup, InitialState, InterfaceDelay, LinkbeatInterface, SyncGroup, TrackGroup,
    UnicastChecksum, UnicastPeer, Version,
};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use zeroize::Zeroize;

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
                    context.diagnostics.general(Class::Ok, text);
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

fn authentication(draft: &mut Draft, keyword: &str, line: &Line, context: &mut Context) -> Flow {
    let name = &draft.instance.name;
    let Some(value) = context.parameter(line, 1) else {
        return Flow::Missing;
    };
    match keyword {
        "auth_type" => match value {
            "PASS" => draft.given.auth_type = Some(super::draft::AuthType::Pass),
            "AH" => draft.given.auth_type = Some(super::draft::AuthType::Ah),
            _ => {
                let text = format!("({name}) unknown authentication type '{value}'");
                context
                    .diagnostics
                    .at(Class::General, line.span_of(1), text)
                    .help("expected PASS or AH");
            }
        },
        _ => {
            let bytes = value.as_bytes();
            if bytes.len() > 8 {
                context
                    .diagnostics
                    .at(
                        Class::General,
                        line.span_of(1),
                        "Truncating auth_pass to 8 characters",
                    )
                    .help("VRRPv2 sends eight bytes of it, in the clear");
            }
            let mut password = [0; 8];
            for (to, from) in password.iter_mut().zip(bytes) {
                *to = *from;
            }
            draft.given.auth_pass = Some(Password::new(password));
            password.zeroize();
        }
    }
    Flow::Continue
}

/// A keyword of an instance.
fn instance(draft: &mut Draft, keyword: &str, line: &Line, context: &mut Context) -> Flow {
    if let Some(flow) = switches(draft, keyword, line, context) {
        return flow;
    }
    if let Some(flow) = garp(draft, keyword, line, context) {
        return flow;
    }
    if let Some(flow) = super::vmac::keyword(draft, keyword, line, context) {
        return flow;
    }
    if keyword.starts_with("notify") {
        let name = draft.instance.name.clone();
        if keyword == "notify_deleted" {
            draft.instance.notify_deleted = true;
            if line.words.len() < 2 {
                return Flow::Continue;
            }
        }
        let owner = notify::Owner::Instance(&name);
        return notify::keyword(&mut draft.instance.notify, owner, keyword, line, context);
    }
    let takes_value = !matches!(
        keyword,
        "authentication"
            | "auth_hmac"
            | "unicast_peer"
            | "virtual_ipaddress"
            | "virtual_ipaddress_excluded"
            | "virtual_routes"
            | "virtual_rules"
            | "timer_expired_backup"
            | "thread_timer_expired"
            | "old_unicast_checksum"
    ) && !keyword.starts_with("track_");
    if takes_value && context.parameter(line, 1).is_none() {
        return Flow::Missing;
    }
    let value = line.text(1).unwrap_or_default();
    let name = draft.instance.name.clone();
    let Draft { instance, given, .. } = draft;
    match keyword {
        "unicast_peer" => given.unicast = true,
        "state" => state(draft, line, context),
        "interface" => interface(draft, line, context),
        "vrf" => instance.vrf = Some(value.to_owned()),
        "virtual_router_id" => match u8_in(line, 1, 1, 255, context) {
            Some(vrid) => instance.vrid = vrid,
            None => say(
                line,
                1,
                format!("({name}): VRID '{value}' not valid - must be between 1 & 255"),
                context,
            ),
        },
        "priority" => match u8_in(line, 1, 1, 255, context) {
            Some(priority) => given.priority = Some(priority),
            None => {
                say(
                    line,
                    1,
                    format!("({name}) Priority not valid! must be between 1 & 255. Using default 100"),
                    context,
                );
                given.priority = Some(100);
            }
        },
        "advert_int" => match decimal_seconds(line, 1, 10_000, 255_000_000, context) {
            Some(interval) => given.advert_interval = interval,
            None => say(
                line,
                1,
                format!("({name}) Advert interval ({value}) not valid! Must be > 0 - ignoring"),
                context,
            ),
        },
        "version" => version(draft, line, context),
        "unicast_ttl" => match u8_in(line, 1, 0, 255, context) {
            Some(ttl) => given.unicast_ttl = Some(ttl),
            None => say(
                line,
                1,
                format!("({name}): TTL '{value}' not valid - must be between 0 & 255"),
                context,
            ),
        },
        "mcast_src_ip" | "unicast_src_ip" => source(draft, keyword, line, context),
        "mcast_dst_ip" => match value.parse::<IpAddr>() {
            Ok(group) if !group.is_multicast() => say(
                line,
                1,
                format!("({name}) mcast_dst_ip {value} not multicast. Skipping..."),
                context,
            ),
            Ok(group) => given.multicast_group = Some(group),
            Err(_) => say(
                line,
                1,
                format!("({name}) malformed mcast dest address {value}. Skipping..."),
                context,
            ),
        },
        "preempt_delay" => match decimal_seconds(line, 1, 0, 1_000_000_000, context) {
            Some(delay) => instance.preempt_delay = delay,
            None => {
                say(
                    line,
                    1,
                    format!("({name}) Preempt_delay not valid! must be between 0-1000"),
                    context,
                );
                instance.preempt_delay = Duration::ZERO;
            }
        },
        "debug" => match u32_in(line, 1, 0, 4, context) {
            Some(level) => instance.debug = level,
            None => say(
                line,
                1,
                format!("({name}) Debug value '{value}' not valid; must be between 0-4"),
                context,
            ),
        },
        "lvs_sync_daemon_interface" => {
            let text = format!("({name}) Specifying lvs_sync_daemon_interface against a vrrp is deprecated.");
            context.diagnostics.at(Class::Deprecated, line.span, text);
            let blanks = " ".repeat(name.len() + 4);
            let text = format!("{blanks}Please use global lvs_sync_daemon");
            context.diagnostics.at(Class::Deprecated, line.span, text);
            match &context.config.globals.lvs_sync_daemon {
                Some(daemon) => {
                    let text = format!(
                        "({name}) lvs_sync_daemon_interface has already been specified as {} - ignoring",
                        daemon.interface
                    );
                    context.diagnostics.at(Class::General, line.span_of(1), text);
                }
                None => {
                    context.config.globals.lvs_sync_daemon = Some(crate::model::globals::LvsSyncDaemon {
                        interface: value.to_owned(),
                        instance: name,
                        id: None,
                        max_length: None,
                        port: None,
                        ttl: None,
                        group: None,
                    });
                }
            }
        }
        "down_timer_adverts" => match u32_in(line, 1, 1, 100, context) {
            Some(n) => given.down_timer_adverts = Some(n),
            None => say(
                line,
                1,
                format!("({name}): Invalid down_timer_adverts [1:100] '{value}'"),
                context,
            ),
        },
        "timer_expired_backup" | "thread_timer_expired" => {
            if keyword == "thread_timer_expired" {
                let text = format!(
                    "({name}) thread_timer_expired is deprecated, please replace with timer_expired_backup"
                );
                context.diagnostics.at(Class::General, line.span_of(0), text);
            }
            if line.words.len() < 2 {
                instance.timer_expired_backup = Some(254);
            } else if let Some(n) = u8_in(line, 1, 1, 254, context) {
                instance.timer_expired_backup = Some(n);
            } else {
                say(
                    line,
                    1,
                    format!("({name}) invalid {keyword} '{value}' - ignoring"),
                    context,
                );
            }
        }
        "kernel_rx_buf_size" => match u32_in(line, 1, 0, i32::MAX as u32, context) {
            Some(size) => instance.kernel_rx_buffer = Some(size),
            None => say(
                line,
                1,
                format!("({name}) invalid kernel_rx_buf_size specified"),
                context,
            ),
        },
        "old_unicast_checksum" => match line.text(1) {
            None => instance.unicast_checksum = UnicastChecksum::Old,
            Some("never") => instance.unicast_checksum = UnicastChecksum::Never,
            Some(other) => say(
                line,
                1,
                format!("({name}) Unknown old_unicast_chksum mode {other} - ignoring"),
                context,
            ),
        },
        _ => {}
    }
    Flow::Continue
}

fn state(draft: &mut Draft, line: &Line, context: &mut Context) {
    let name = &draft.instance.name;
    let value = line.text(1).unwrap_or_default();
    let wanted = match value {
        "MASTER" => InitialState::Master,
        "BACKUP" => InitialState::Backup,
        _ => {
            let text = format!("({name}) unknown state '{value}', defaulting to BACKUP");
            context
                .diagnostics
                .at(Class::General, line.span_of(1), text)
                .help("expected MASTER or BACKUP");
            InitialState::Backup
        }
    };
    if wanted == InitialState::Backup && draft.given.state == Some(InitialState::Master) {
        let text = format!("({name}) state previously set as MASTER - ignoring BACKUP");
        say(line, 1, text, context);
        return;
    }
    draft.given.state = Some(wanted);
}

fn interface(draft: &mut Draft, line: &Line, context: &mut Context) {
    let name = draft.instance.name.clone();
    let value = line.text(1).unwrap_or_default();
    if value.len() > INTERFACE_NAME {
        let text = format!("Interface name '{value}' too long - ignoring");
        say(line, 1, text, context);
        return;
    }
    match context.host.interface(value) {
        None if context.config.globals.dynamic_interfaces == DynamicInterfaces::No => {
            let text = format!("WARNING - interface {value} for vrrp_instance {name} doesn't exist");
            context
                .missing_interface(line.span_of(1), text)
                .help("the daemon will not start; if the interface comes later, set `dynamic_interfaces` in global_defs");
        }
        Some(found) if found.flags & crate::state::interface::IFF_LOOPBACK != 0 => {
            let text = format!("({name}) cannot use a loopback interface ({value}) for vrrp - ignoring");
            say(line, 1, text, context);
            return;
        }
        _ => {}
    }
    draft.instance.interface = value.to_owned();
}

fn version(draft: &mut Draft, line: &Line, context: &mut Context) {
    let name = draft.instance.name.clone();
    let value = match u8_in(line, 1, 2, 3, context) {
        Some(2) => Version::V2,
        Some(_) => Version::V3,
        None => {
            let text = format!("({name}): Version must be either 2 or 3");
            say(line, 1, text, context);
            return;
        }
    };
    let conflict = draft.given.version.is_some_and(|v| v != value)
        || value == Version::V2 && draft.given.family == Some(Family::Inet6);
    if conflict {
        let deduced = draft.given.version.map_or(0, Version::number);
        let text = format!(
            "({name}) vrrp_version {} conflicts with configured or deduced version {deduced}; ignoring.",
            value.number()
        );
        say(line, 1, text, context);
        return;
    }
    draft.given.version = Some(value);
}

fn source(draft: &mut Draft, keyword: &str, line: &Line, context: &mut Context) {
    let name = draft.instance.name.clone();
    let value = line.text(1).unwrap_or_default();
    if keyword == "unicast_src_ip" {
        draft.given.unicast = true;
    }
    let Some(address) = plain_address(value) else {
        let text =
            format!("Configuration error: VRRP instance[{name}] malformed src address[{value}]. Skipping...");
        say(line, 1, text, context);
        return;
    };
    let family = family_of(address);
    match draft.given.family {
        Some(f) if f != family => {
            let text = format!(
                "Configuration error: VRRP instance[{name}] and src address[{value}] MUST be of the same family !!! Skipping..."
            );
            say(line, 1, text, context);
            return;
        }
        _ => draft.given.family = Some(family),
    }
    draft.instance.source = Some(address);
}

/// Keywords that are a switch.
fn switches(draft: &mut Draft, keyword: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    let name = draft.instance.name.clone();
    let Draft { instance, given, .. } = draft;
    match keyword {
        "unicast_fault_no_peer" => instance.unicast_fault_no_peer = true,
        "check_unicast_src" => instance.check_unicast_source = true,
        "native_ipv6" => {
            instance.native_ipv6 = true;
            if given.family == Some(Family::Inet) {
                let text = format!("({name}) Cannot specify native_ipv6 with IPv4 addresses");
                say(line, 0, text, context);
                instance.native_ipv6 = false;
            } else {
                given.family = Some(Family::Inet6);
            }
        }
        "dont_track_primary" => instance.dont_track_primary = true,
        "track_src_ip" => instance.track_source = true,
        "no_virtual_ipaddress" => instance.no_vips = true,
        "promote_secondaries" => instance.promote_secondaries = true,
        "linkbeat_use_polling" => {
            let text = format!(
                "({name}) 'linkbeat_use_polling' in vrrp instance deprecated - use linkbeat_interfaces block"
            );
            context.diagnostics.at(Class::Deprecated, line.span, text);
            instance.linkbeat_polling = true;
        }
        "accept" => given.accept = Some(Accept::Enabled),
        "no_accept" => given.accept = Some(Accept::Disabled),
        "preempt" => instance.nopreempt = false,
        "nopreempt" => instance.nopreempt = true,
        "smtp_alert" => match super::field::switch(line) {
            Some(on) => given.smtp_alert = Some(on),
            None => {
                let value = line.text(1).unwrap_or_default();
                let text = format!("Invalid vrrp_instance smtp_alert parameter {value}");
                say(line, 1, text, context);
            }
        },
        "notify_priority_changes" => match super::field::switch(line) {
            Some(on) => given.notify_priority_changes = Some(on),
            None => {
                let value = line.text(1).unwrap_or_default();
                let text = format!("({name}) Invalid value '{value}' for notify_priority_changes specified");
                say(line, 1, text, context);
            }
        },
        "v3_checksum_as_v2"
        | "skip_check_adv_addr"
        | "strict_mode"
        | "lower_prio_no_advert"
        | "higher_prio_send_advert"
        | "owner_ignore_adverts" => match super::field::switch(line) {
            Some(on) => {
                *match keyword {
                    "v3_checksum_as_v2" => &mut given.v3_checksum_as_v2,
                    "skip_check_adv_addr" => &mut given.skip_check_adv_addr,
                    "strict_mode" => &mut given.strict,
                    "lower_prio_no_advert" => &mut given.lower_prio_no_advert,
                    "higher_prio_send_advert" => &mut given.higher_prio_send_advert,
                    _ => &mut given.owner_ignore_adverts,
                } = Some(on);
                // keepalived turns it on whatever the value.
                if keyword == "skip_check_adv_addr" {
                    given.skip_check_adv_addr = Some(true);
                }
            }
            None => {
                let value = line.text(1).unwrap_or_default();
                let text = format!("({name}) invalid {keyword} {value} specified");
                say(line, 1, text, context);
            }
        },
        _ => return None,
    }
    Some(Flow::Continue)
}

/// Gratuitous ARP.
fn garp(draft: &mut Draft, keyword: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    if !keyword.starts_with("garp_") && keyword != "vmac_garp_intvl" {
        return None;
    }
    if context.parameter(line, 1).is_none() {
        return Some(Flow::Missing);
    }
    let name = draft.instance.name.clone();
    let value = line.text(1).unwrap_or_default().to_owned();
    let Given { garp, .. } = &mut draft.given;
    match keyword {
        "garp_master_delay" | "garp_lower_prio_delay" => match seconds(line, 1, 0, MOST_SECONDS, context) {
            Some(time) if keyword == "garp_master_delay" => garp.master_delay = Some(time),
            Some(time) => garp.lower_prio_delay = Some(time),
            None => {
                let text = format!("({name}): {keyword} '{value}' invalid - ignoring");
                say(line, 1, text, context);
            }
        },
        "garp_master_refresh" => match seconds(line, 1, 0, u32::MAX, context) {
            Some(time) => garp.refresh = Some(time),
            None => {
                let text = format!("({name}): Invalid {keyword} '{value}' - ignoring");
                say(line, 1, text, context);
            }
        },
        "garp_master_repeat" | "garp_master_refresh_repeat" => match u32_in(line, 1, 0, u32::MAX, context) {
            Some(n) => {
                if n == 0 {
                    let text = format!("({name}): {keyword} must be greater than 0, setting to 1");
                    say(line, 1, text, context);
                }
                match keyword {
                    "garp_master_repeat" => garp.master_repeat = Some(n.max(1)),
                    _ => garp.refresh_repeat = Some(n.max(1)),
                }
            }
            None => {
                let text = format!("({name}): {keyword} '{value}' invalid - ignoring");
                say(line, 1, text, context);
            }
        },
        "garp_lower_prio_repeat" => match u32_in(line, 1, 0, i32::MAX as u32, context) {
            Some(n) => garp.lower_prio_repeat = Some(n),
            None => {
                let text = format!("({name}): Invalid {keyword} '{value}'");
                say(line, 1, text, context);
            }
        },
        _ => {
            if keyword == "vmac_garp_intvl" {
                context.diagnostics.at(
                    Class::Deprecated,
                    line.span_of(0),
                    "Keyword \"vmac_garp_intvl\" is deprecated - please use \"garp_extra_if\"",
                );
            }
            let all = value == "all";
            match seconds(line, 1 + usize::from(all), 0, 86400, context) {
                Some(time) => garp.extra_interface = Some((time, all)),
                None => {
                    let text = format!("({name}): {keyword} '{value}' invalid - ignoring");
                    say(line, 1, text, context);
                }
            }
        }
    }
    Some(Flow::Continue)
}

/// A line of one of an instance's lists.
fn instance_entry(
    draft: &mut Draft,
    list: &str,
    line: &Line,
    preferences: &mut Preferences,
    context: &mut Context,
) -> Flow {
    let name = draft.instance.name.clone();
    match list {
        "unicast_peer" => peer(draft, line, context),
        "virtual_ipaddress" | "virtual_ipaddress_excluded" => {
            let excluded = list == "virtual_ipaddress_excluded";
            let place = Place::Instance {
                interface: &draft.instance.interface,
            };
            let Some(address) = address::read(line, place, context) else {
                return Flow::Continue;
            };
            let family = family_of(address.network.address);
            let written = line.text(0).unwrap_or_default();
            if !excluded && draft.given.family.is_some_and(|f| f != family) {
                let text =
                    format!("({name}): address family must match VRRP instance [{written}] - ignoring");
                say(line, 0, text, context);
                return Flow::Continue;
            }
            if !excluded {
                draft.given.family = Some(family);
            }
            draft.add_address(address, excluded, line, context);
        }
        "virtual_routes" => match route::read(line, false, context) {
            Ok(route) => draft.instance.routes.push(route),
            Err(flow) => return flow,
        },
        "virtual_rules" => match rule::read(line, false, preferences, context) {
            Ok(rule) => draft.instance.rules.push(rule),
            Err(flow) => return flow,
        },
        _ => {}
    }
    Flow::Continue
}

fn peer(draft: &mut Draft, line: &Line, context: &mut Context) {
    let name = draft.instance.name.clone();
    let value = line.text(0).unwrap_or_default();
    let Some(address) = plain_address(value) else {
        let text = format!(
            "Configuration error: VRRP instance[{name}] malformed unicast peer address[{value}]. Skipping..."
        );
        say(line, 0, text, context);
        return;
    };
    let family = family_of(address);
    match draft.given.family {
        Some(f) if f != family => {
            let text = format!(
                "Configuration error: VRRP instance[{name}] and unicast peer address[{value}] MUST be of the same family !!! Skipping..."
            );
            say(line, 0, text, context);
            return;
        }
        _ => draft.given.family = Some(family),
    }
    let mut peer = UnicastPeer {
        address,
        min_ttl: 0,
        max_ttl: 255,
    };
    let mut index = 1;
    while let Some(option) = line.text(index) {
        if line.text(index + 1).is_none() {
            let text = format!("({name}) {option} is missing a value");
            say(line, index, text, context);
            break;
        }
        let Some(ttl) = u8_in(line, index + 1, 0, 255, context) else {
            break;
        };
        match option {
            "min_ttl" | "max_ttl" => {
                draft.instance.check_unicast_source = true;
                match option {
                    "min_ttl" => peer.min_ttl = ttl,
                    _ => peer.max_ttl = ttl,
                }
            }
            _ => {
                let text = format!("({name}) unknown unicast_peer option {option}");
                say(line, index, text, context);
            }
        }
        index += 2;
    }
    if draft.instance.peers.iter().any(|p| p.address == address) {
        let text = format!("({name}) duplicate unicast peer {value} - ignoring");
        say(line, 0, text, context);
        return;
    }
    draft.instance.peers.push(peer);
}

/// A line of a list at the top of the file.
fn static_entry(list: &str, line: &Line, preferences: &mut Preferences, context: &mut Context) -> Flow {
    match list {
        "static_ipaddress" => {
            if let Some(address) = address::read(line, Place::Static, context) {
                context.config.static_addresses.push(address);
            }
        }
        "static_routes" => match route::read(line, true, context) {
            Ok(route) => context.config.static_routes.push(route),
            Err(flow) => return flow,
        },
        "static_rules" => match rule::read(line, true, preferences, context) {
            Ok(rule) => context.config.static_rules.push(rule),
            Err(flow) => return flow,
        },
        "linkbeat_interfaces" => {
            let interface = line.text(0).unwrap_or_default().to_owned();
            if context.host.interface(&interface).is_none() {
                let text = format!("WARNING - interface {interface} for linkbeat_interfaces doesn't exist");
                context.missing_interface(line.span_of(0), text);
            }
            let method = match line.text(1) {
                None => None,
                Some(m @ ("MII" | "ETHTOOL" | "IOCTL")) => Some(m.to_owned()),
                Some(other) => {
                    let text = format!("Invalid linkbeat type '{other}' for {interface} - ignoring");
                    say(line, 1, text, context);
                    None
                }
            };
            context
                .config
                .linkbeat_interfaces
                .push(LinkbeatInterface { interface, method });
        }
        "interface_up_down_delays" => {
            let interface = line.text(0).unwrap_or_default().to_owned();
            if line.words.len() < 2 {
                let text = format!("No delay specified for interface {interface}");
                context.diagnostics.hint(Some(line.span_of(0)), text);
                return Flow::Continue;
            }
            if context.host.interface(&interface).is_none() {
                let text =
                    format!("WARNING - interface {interface} for interface_up_down_delays doesn't exist");
                context.missing_interface(line.span_of(0), text);
            }
            let delay = |index: usize, context: &mut Context| {
                if line.text(index).is_none() {
                    return Some(Duration::ZERO);
                }
                decimal_seconds(line, index, 0, 255_000_000, context)
            };
            if let (Some(down), Some(up)) = (delay(1, context), delay(2, context)) {
                context
                    .config
                    .interface_delays
                    .push(InterfaceDelay { interface, down, up });
            }
        }
        _ => {}
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
