//! What keepalived does once all of the text is read: adjustments, inherited defaults, checks between
//! objects.

use super::draft::{AuthType, Draft};
use super::script::{self, Inspection, Verdict};
use super::vrrp::{GroupDraft, Vrrp};
use super::{Context, hmac, virtual_names};
use crate::config::diagnostic::Class;
use crate::model::globals::DynamicInterfaces;
use crate::model::route::Family;
use crate::model::script::NotifyScripts;
use crate::model::track::Tracked;
use crate::model::vrrp::{Accept, Authentication, Garp, InitialState, Instance, SyncGroup, Version};
use crate::state::interface::IFF_MULTICAST;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Exit status of a start with a configuration that VRRP cannot live with.
const EXIT_CONFIG: i32 = 2;
/// Most addresses in an advertisement.
const MOST_ADDRESSES: usize = 255;
/// Largest interval of VRRPv3, in units of 10 ms.
const MOST_CENTISECONDS: u128 = 4095;

/// The checks that keepalived makes at the closing brace of an instance.
pub(super) fn at_end_of_block(mut draft: Draft, context: &mut Context) -> Option<Draft> {
    let name = draft.instance.name.clone();
    let file = context.shared.file_names.get(draft.header.file as usize);
    draft.instance.file = file.cloned().unwrap_or_default();
    let unicast = !draft.instance.peers.is_empty();
    if draft.given.unicast_ttl.is_some() && !unicast {
        let text = format!("({name}): Cannot use unicast_ttl without unicast peers - resetting");
        context.complain(Class::General, text);
        draft.given.unicast_ttl = None;
    }
    if draft.given.xmit_base && draft.instance.vmac.is_none() {
        let text = format!("({name}) vmac_xmit_base is only valid with a vmac");
        context.complain(Class::General, text);
    }
    if let Some(vmac) = &mut draft.instance.vmac {
        vmac.xmit_base |= draft.given.xmit_base;
        if unicast && draft.instance.interface.is_empty() {
            let text =
                format!("({name}): Cannot use VMAC/ipvlan with unicast and no interface - clearing use_vmac");
            context.complain(Class::General, text);
            draft.instance.vmac = None;
        } else if unicast && !vmac.xmit_base {
            vmac.xmit_base = true;
            let text = format!("({name}) unicast with use_vmac requires vmac_xmit_base - setting");
            context.complain(Class::General, text);
        }
    }
    Some(draft)
}

/// All instances and groups.
pub(super) fn finish(reader: &mut Vrrp, context: &mut Context) {
    let mut drafts = std::mem::take(&mut reader.drafts);
    let mut groups = std::mem::take(&mut reader.groups);
    if (context.shared.missing_interface || context.diagnostics.has(Class::BadInterface))
        && context.config.globals.dynamic_interfaces == DynamicInterfaces::No
    {
        context
            .diagnostics
            .general(
                Class::BadInterface,
                "Non-existent interface specified in configuration",
            )
            .help("make the interface, or set `dynamic_interfaces` in global_defs");
        context.diagnostics.refuse(EXIT_CONFIG);
        return;
    }
    inspect_scripts(&mut drafts, &mut groups, context);
    unused_scripts(&drafts, &groups, context);
    let mut groups = sync_groups(groups, &mut drafts, context);

    if !drafts.iter().all(|d| identified(d, context)) {
        context.diagnostics.refuse(EXIT_CONFIG);
        return;
    }
    for draft in &mut drafts {
        if !instance(draft, context) {
            context.diagnostics.refuse(EXIT_CONFIG);
            return;
        }
    }
    virtual_names::assign(&mut drafts, context);
    for draft in &mut drafts {
        let group = groups
            .iter()
            .find(|g| Some(&g.name) == draft.instance.sync_group.as_ref());
        tracking(&mut draft.instance, group, context);
    }
    for group in &mut groups {
        group_weights(group, &drafts, context);
    }
    if !distinct_vrids(&drafts, context) {
        context.diagnostics.refuse(EXIT_CONFIG);
    }

    static_objects(&mut drafts, context);
    context.config.sync_groups = groups;
    context.config.instances = drafts.into_iter().map(|d| d.instance).collect();
}

/// `track_group`: its members track the interfaces of static objects that name it.
fn static_objects(drafts: &mut [Draft], context: &Context) {
    let config = &context.config;
    let addresses = config.static_addresses.iter().filter(|a| !a.no_track);
    let routes = config.static_routes.iter().filter(|r| !r.no_track);
    let rules = config.static_rules.iter().filter(|r| !r.no_track);
    let of_addresses = addresses.map(|a| (&a.track_group, vec![a.interface.as_str()]));
    let of_routes = routes.map(|r| (&r.track_group, r.interfaces().collect()));
    let of_rules = rules.map(|r| (&r.track_group, r.interfaces().collect()));
    for (group, interfaces) in of_addresses.chain(of_routes).chain(of_rules) {
        let group = config
            .track_groups
            .iter()
            .find(|known| Some(&known.name) == group.as_ref());
        let Some(group) = group else { continue };
        for draft in drafts
            .iter_mut()
            .filter(|d| group.members.contains(&d.instance.name))
        {
            let list = &mut draft.instance.static_interfaces;
            for name in &interfaces {
                if !list.iter().any(|known| known == name) {
                    list.push((*name).to_owned());
                }
            }
        }
    }
}

/// Looks at every command: that it is there, and that it is safe. What may not run is not tracked.
fn inspect_scripts(drafts: &mut [Draft], groups: &mut [GroupDraft], context: &mut Context) {
    let mut inspection = Inspection::default();
    let mut scripts = std::mem::take(&mut context.config.scripts);
    for track in &mut scripts {
        let reason = match inspection.look(&mut track.command, context) {
            Verdict::Unusable => "since not found/accessible",
            Verdict::Insecure if track.command.disabled => "due to insecure",
            // keepalived disables those, and says so in a test; we run them.
            Verdict::Linked if context.test => "due to insecure",
            _ => continue,
        };
        let program = script::program(&track.command).to_owned();
        let text = format!("Disabling track script {} {reason}", track.name);
        let help = if track.command.disabled {
            format!("`{program}` is not there, or may not be run by its user or safely")
        } else {
            format!(
                "keepalived does not run `{program}` since a directory of its path is a symbolic link; keepalived-rs does"
            )
        };
        context.diagnostics.general(Class::Warning, text).help(help);
    }
    let disabled: BTreeSet<&str> = scripts
        .iter()
        .filter(|s| s.command.disabled)
        .map(|s| s.name.as_str())
        .collect();
    let names: BTreeSet<String> = drafts.iter().map(|d| d.instance.name.clone()).collect();
    for draft in drafts {
        draft
            .instance
            .track_scripts
            .retain(|t| !disabled.contains(t.name.as_str()));
        notify_scripts(&mut draft.instance.notify, &mut inspection, context);
    }
    for draft in groups {
        draft
            .group
            .track_scripts
            .retain(|t| !disabled.contains(t.name.as_str()));
        // A group without members goes, and its scripts with it.
        if draft.group.members.iter().any(|m| names.contains(m)) {
            notify_scripts(&mut draft.group.notify, &mut inspection, context);
        }
    }
    context.config.scripts = scripts;
    inspection.finish("", context);
}

fn notify_scripts(scripts: &mut NotifyScripts, inspection: &mut Inspection, context: &mut Context) {
    let all = [
        &mut scripts.backup,
        &mut scripts.master,
        &mut scripts.fault,
        &mut scripts.stop,
        &mut scripts.deleted,
        &mut scripts.generic,
        &mut scripts.master_rx_lower_priority,
    ];
    for command in all.into_iter().flatten() {
        inspection.look(command, context);
    }
}

/// Members that exist, each in one group.
fn sync_groups(groups: Vec<GroupDraft>, drafts: &mut [Draft], context: &mut Context) -> Vec<SyncGroup> {
    let mut kept = Vec::new();
    for draft in groups {
        let mut group = draft.group;
        let name = group.name.clone();
        let mut members = Vec::new();
        for member in std::mem::take(&mut group.members) {
            let Some(found) = drafts.iter_mut().find(|d| d.instance.name == member) else {
                context
                    .diagnostics
                    .general(
                        Class::General,
                        format!(
                            "Virtual router {member} specified in sync group {name} doesn't exist - ignoring"
                        ),
                    )
                    .help("there is no vrrp_instance of that name");
                continue;
            };
            match &found.instance.sync_group {
                Some(other) if *other == name => {}
                Some(_) => {
                    context.diagnostics.general(
                        Class::General,
                        format!(
                            "Virtual router {member} cannot exist in more than one sync group; ignoring {name}"
                        ),
                    );
                }
                None => {
                    found.instance.sync_group = Some(name.clone());
                    members.push(member);
                }
            }
        }
        match members.len() {
            0 => {
                context.diagnostics.general(
                    Class::General,
                    format!(
                        "Sync group {name}, no matching virtual router found in group declaration - removing"
                    ),
                );
                continue;
            }
            1 => {
                context.diagnostics.general(
                    Class::Warning,
                    format!(
                        "Sync group {name} has only 1 virtual router(s) - this probably isn't what you want"
                    ),
                );
            }
            _ => {}
        }
        group.members = members;
        let globals = &context.config.globals;
        group.smtp_alert = draft
            .smtp_alert
            .or(globals.smtp_alert_vrrp)
            .or(globals.smtp_alert)
            .unwrap_or(false);
        group.notify_priority_changes = draft
            .notify_priority_changes
            .unwrap_or(globals.notify_priority_changes);
        kept.push(group);
    }
    kept
}

/// Whether an instance has what tells it from others: a VRID, and an interface or a source address.
fn identified(draft: &Draft, context: &mut Context) -> bool {
    let instance = &draft.instance;
    if instance.vrid == 0 {
        let text = format!("({}) the virtual router id must be set", instance.name);
        context
            .diagnostics
            .general(Class::General, text)
            .help("every instance needs a `virtual_router_id` from 1 to 255");
        return false;
    }
    !instance.interface.is_empty() || source_without_interface(draft, context)
}

/// One instance. False: keepalived does not start with it.
fn instance(draft: &mut Draft, context: &mut Context) -> bool {
    inherit(draft, context);
    let name = draft.instance.name.clone();
    let say = |class: Class, text: String, context: &mut Context| {
        context.diagnostics.general(class, text);
    };
    versions(draft, context);
    if !addresses(draft, context) {
        return false;
    }
    priority_and_state(draft, context);
    authentication(draft, context);
    preemption(draft, context);
    strict_rules(draft, context);
    if !unicast(draft, context) {
        return false;
    }
    interval(draft, context);
    let Draft { instance, given, .. } = draft;
    instance.auth_hmac = given
        .hmac
        .take()
        .map(|h| hmac::complete(h, instance.advert_interval.as_secs().max(1), instance.strict));
    if instance.vmac.is_some() && instance.promote_secondaries {
        say(
            Class::Warning,
            format!("({name}) promote_secondaries is automatically set for vmacs - ignoring"),
            context,
        );
        instance.promote_secondaries = false;
    }
    if let Some(ipvlan) = &instance.ipvlan
        && instance.family == Family::Inet
        && ipvlan.address.is_none()
        && instance.source.is_none()
    {
        let text = format!(
            "({name}) IPv4 ipvlan requires a source ip address to be configured. setting instance to fault state"
        );
        say(Class::General, text, context);
        instance.config_faults += 1;
    }
    if let Some(address) = instance.ipvlan.as_ref().and_then(|ipvlan| ipvlan.address)
        && !instance.unicast
    {
        instance.source.get_or_insert(address.address);
    }
    move_excess(instance, context);
    true
}

/// Defaults from `global_defs`.
fn inherit(draft: &mut Draft, context: &Context) {
    let globals = &context.config.globals;
    let Draft { instance, given, .. } = draft;
    instance.family = given.family.unwrap_or_default();
    instance.strict = given.strict.unwrap_or(globals.strict);
    instance.down_timer_adverts = given.down_timer_adverts.unwrap_or(globals.down_timer_adverts);
    instance.v3_checksum_as_v2 = given.v3_checksum_as_v2.unwrap_or(globals.v3_checksum_as_v2);
    instance.skip_check_adv_addr = given.skip_check_adv_addr.unwrap_or(globals.skip_check_adv_addr);
    instance.lower_prio_no_advert = given.lower_prio_no_advert.unwrap_or(globals.lower_prio_no_advert);
    instance.higher_prio_send_advert = given
        .higher_prio_send_advert
        .unwrap_or(globals.higher_prio_send_advert);
    instance.owner_ignore_adverts = given.owner_ignore_adverts.unwrap_or(globals.owner_ignore_adverts);
    instance.check_unicast_source |= globals.check_unicast_source;
    instance.unicast_ttl = given.unicast_ttl;
    instance.smtp_alert = given
        .smtp_alert
        .or(globals.smtp_alert_vrrp)
        .or(globals.smtp_alert)
        .unwrap_or(false);
    instance.notify_priority_changes = given
        .notify_priority_changes
        .unwrap_or(globals.notify_priority_changes);
    instance.linkbeat_polling |= globals.linkbeat_use_polling;
    instance.advert_interval = given.advert_interval;
    let garp = &given.garp;
    let delay = garp.master_delay.unwrap_or(globals.garp_master_delay);
    let repeat = garp.master_repeat.unwrap_or(globals.garp_master_repeat);
    let extra = garp
        .extra_interface
        .unwrap_or((globals.garp_extra_interface, globals.garp_extra_interface_all));
    instance.garp = Garp {
        master_delay: delay,
        master_repeat: repeat,
        refresh: garp.refresh.unwrap_or(globals.garp_master_refresh),
        refresh_repeat: garp.refresh_repeat.unwrap_or(globals.garp_master_refresh_repeat),
        lower_prio_delay: garp
            .lower_prio_delay
            .or(globals.garp_lower_prio_delay)
            .unwrap_or(delay),
        lower_prio_repeat: garp
            .lower_prio_repeat
            .or(globals.garp_lower_prio_repeat)
            .unwrap_or(repeat),
        extra_interface: extra.0,
        extra_interface_all: extra.1,
    };
}

fn versions(draft: &mut Draft, context: &mut Context) {
    let Draft { instance, given, .. } = draft;
    let v6 = instance.family == Family::Inet6;
    instance.native_ipv6 |= v6;
    instance.version = match given.version {
        Some(Version::V2) if v6 && instance.strict => {
            let text = format!(
                "({}) cannot use IPv6 with VRRP version 2; setting version 3",
                instance.name
            );
            context.diagnostics.general(Class::General, text);
            Version::V3
        }
        Some(version) => version,
        None if v6 => Version::V3,
        None => context.config.globals.vrrp_version,
    };
    let globals = &context.config.globals;
    instance.multicast_group = given.multicast_group.unwrap_or(if v6 {
        IpAddr::V6(globals.vrrp_mcast_group6)
    } else {
        IpAddr::V4(globals.vrrp_mcast_group4)
    });
}

/// An instance without an interface needs a source address.
fn source_without_interface(draft: &Draft, context: &mut Context) -> bool {
    let name = &draft.instance.name;
    if draft.instance.source.is_some() {
        return true;
    }
    if draft.given.unicast {
        if draft.instance.peers.is_empty() {
            no_peers(name, context);
        }
        let text = format!("({name}): Unicast instances must have unicast_src_ip or interface");
        context.diagnostics.general(Class::General, text);
    } else {
        let text = format!("({name}) Unknown interface!");
        context
            .diagnostics
            .general(Class::General, text)
            .help("every instance needs an `interface`");
    }
    false
}

fn no_peers(name: &str, context: &mut Context) {
    let text = format!(
        "({name}) A unicast keyword has been specified without any unicast peers. Defaulting to multicast. This usage is deprecated - please update your configuration."
    );
    context.diagnostics.general(Class::Deprecated, text);
}

fn addresses(draft: &Draft, context: &mut Context) -> bool {
    let instance = &draft.instance;
    if !instance.vips.is_empty() {
        return true;
    }
    let name = &instance.name;
    let required = instance.strict || instance.version == Version::V3;
    if instance.no_vips && !instance.strict {
        return true;
    }
    let text = format!(
        "({name}) No VIP specified; at least one is {}",
        if required { "required" } else { "sensible" }
    );
    context.diagnostics.general(Class::General, text);
    !required
}

fn authentication(draft: &mut Draft, context: &mut Context) {
    let Draft { instance, given, .. } = draft;
    let name = &instance.name;
    let Some(kind) = given.auth_type else {
        return;
    };
    let refusal = if instance.strict {
        Some("Strict mode does not support authentication. Ignoring.")
    } else if instance.version == Version::V3 {
        Some("VRRP version 3 does not support authentication. Ignoring.")
    } else if kind == AuthType::Ah && instance.family == Family::Inet6 {
        Some("Cannot use AH authentication with IPv6. ignoring")
    } else if given.auth_pass.is_none() {
        Some("Authentication specified but no password given. Ignoring")
    } else if given.hmac.is_some() {
        Some("auth_type cannot be used with auth_hmac. Ignoring auth_type")
    } else {
        None
    };
    match (refusal, given.auth_pass.take()) {
        (None, Some(password)) => {
            instance.authentication = match kind {
                AuthType::Pass => Authentication::Pass(password),
                AuthType::Ah => Authentication::Ah(password),
            };
        }
        (refusal, _) => {
            let text = format!("({name}) {}", refusal.unwrap_or_default());
            context.diagnostics.general(Class::General, text);
            given.auth_type = None;
        }
    }
    if matches!(instance.authentication, Authentication::Ah(_))
        && instance.initial_state == InitialState::Master
        && instance.priority != 255
    {
        let text = format!("({name}) Initial state master is incompatible with AH authentication - clearing");
        context.diagnostics.general(Class::General, text);
        instance.initial_state = InitialState::Backup;
    }
}

fn priority_and_state(draft: &mut Draft, context: &mut Context) {
    let Draft { instance, given, .. } = draft;
    let name = instance.name.clone();
    instance.priority = match (given.priority, given.state) {
        (Some(priority), _) => priority,
        (None, Some(InitialState::Master)) => 255,
        (None, _) => 100,
    };
    instance.initial_state = given.state.unwrap_or(if instance.priority == 255 {
        InitialState::Master
    } else {
        InitialState::Backup
    });
    if instance.strict && (instance.initial_state == InitialState::Master) != (instance.priority == 255) {
        let text = format!("({name}) State MASTER must match being address owner");
        context.diagnostics.general(Class::General, text);
        instance.initial_state = if instance.priority == 255 {
            InitialState::Master
        } else {
            InitialState::Backup
        };
    }
}

fn preemption(draft: &mut Draft, context: &mut Context) {
    let instance = &mut draft.instance;
    let name = instance.name.clone();
    let mut say = |text: String| {
        context.diagnostics.general(Class::General, text);
    };
    if instance.nopreempt && instance.priority == 255 {
        say(format!(
            "({name}) nopreempt is incompatible with priority 255. resetting nopreempt"
        ));
        instance.nopreempt = false;
    }
    let master = instance.initial_state == InitialState::Master;
    if instance.nopreempt && master {
        say(format!(
            "({name}) Warning - nopreempt will not work with initial state MASTER - clearing"
        ));
        instance.nopreempt = false;
    }
    if instance.timer_expired_backup.is_some() && !instance.nopreempt {
        say(format!(
            "({name}) expired_timer_backup requires nopreempt - resetting"
        ));
        instance.timer_expired_backup = None;
    }
    if draft.given.owner_ignore_adverts == Some(true) && instance.priority != 255 {
        say(format!(
            "({name}) ignoring owner_ignore_adverts since priority is not 255"
        ));
    }
    if instance.preempt_delay.is_zero() {
        return;
    }
    let mut clear = false;
    if instance.strict {
        say(format!(
            "({name}) preempt_delay is incompatible with strict mode - resetting"
        ));
        clear = true;
    }
    if instance.nopreempt {
        say(format!(
            "({name}) preempt_delay is incompatible with nopreempt mode - resetting"
        ));
        clear = true;
    }
    if master && !clear {
        say(format!(
            "({name}) Warning - preempt delay will not work with initial state MASTER - clearing"
        ));
        clear = true;
    }
    if clear {
        instance.preempt_delay = Duration::ZERO;
    }
}

/// What `strict_mode` changes, and `accept`.
fn strict_rules(draft: &mut Draft, context: &mut Context) {
    let Draft { instance, given, .. } = draft;
    let name = instance.name.clone();
    let owner = instance.priority == 255;
    if !instance.strict {
        instance.accept = given.accept.unwrap_or_default();
        return;
    }
    let mut say = |text: String| {
        context.diagnostics.general(Class::General, text);
    };
    instance.down_timer_adverts = 3;
    let garp = &mut instance.garp;
    if given.garp.lower_prio_repeat.is_some_and(|n| n != 0) {
        say(format!(
            "({name}) Strict mode requires no repeat garps. resetting"
        ));
    }
    if given.garp.lower_prio_delay.is_some_and(|d| !d.is_zero()) {
        say(format!(
            "({name}) Strict mode requires no repeat garp delay. resetting"
        ));
    }
    if given.down_timer_adverts.is_some_and(|n| n != 3) {
        say(format!(
            "({name}) down_timer_adverts is incompatible with strict mode - resetting"
        ));
    }
    garp.lower_prio_delay = Duration::ZERO;
    garp.lower_prio_repeat = 0;
    if given.lower_prio_no_advert == Some(false) {
        say(format!(
            "({name}) Strict mode requires no lower priority advert. resetting"
        ));
    }
    instance.lower_prio_no_advert = true;
    if given.higher_prio_send_advert == Some(true) {
        say(format!(
            "({name}) strict mode requires higher_prio_send_advert to be clear. resetting"
        ));
    }
    instance.higher_prio_send_advert = false;
    if owner {
        instance.owner_ignore_adverts = true;
    }
    if let Some(vmac) = &mut instance.vmac {
        if vmac.xmit_base {
            say(format!(
                "({name}) xmit_base is incompatible with strict mode - resetting"
            ));
            vmac.xmit_base = false;
        }
        if vmac.mac.take().is_some() {
            say(format!(
                "({name}): cannot specify MAC address with strict mode - clearing"
            ));
        }
    }
    let explicit = given.accept == Some(Accept::Enabled);
    instance.accept = if owner {
        Accept::Enabled
    } else if explicit && instance.version == Version::V2 {
        say(format!(
            "({name}) warning - accept mode for VRRP version 2 does not comply with RFC3768 - resetting"
        ));
        Accept::Disabled
    } else {
        given.accept.unwrap_or(Accept::Disabled)
    };
}

fn unicast(draft: &mut Draft, context: &mut Context) -> bool {
    let Draft { instance, given, .. } = draft;
    let name = instance.name.clone();
    instance.unicast = !instance.peers.is_empty();
    if given.unicast && !instance.unicast {
        if instance.unicast_fault_no_peer {
            let text = format!("({name}) Cannot use unicast without any peers - going to fault state");
            context.diagnostics.general(Class::General, text);
            instance.config_faults += 1;
            instance.unicast = true;
        } else {
            no_peers(&name, context);
        }
    }
    let multicast = context
        .host
        .interface(&instance.interface)
        .map(|i| i.flags & IFF_MULTICAST != 0);
    if !instance.unicast {
        if multicast == Some(false) {
            let text = format!(
                "({name}) interface {} does not support multicast, specify unicast peers - disabling",
                instance.interface
            );
            context.diagnostics.general(Class::General, text);
            instance.config_faults += 1;
        }
        return true;
    }
    if given.multicast_group.is_some() {
        let text = format!("({name}) multicast destination specified with unicast - ignoring");
        context.diagnostics.general(Class::General, text);
    }
    if instance.strict && multicast == Some(true) {
        let text = format!("({name}) Unicast peers are not supported in strict mode");
        context.diagnostics.general(Class::General, text);
        return false;
    }
    true
}

fn interval(draft: &mut Draft, context: &mut Context) {
    let instance = &mut draft.instance;
    let name = instance.name.clone();
    let micros = instance.advert_interval.as_micros();
    let seconds = instance.advert_interval.as_secs_f64();
    let mut say = |text: String| {
        context.diagnostics.general(Class::General, text);
    };
    if instance.version == Version::V2 {
        if !micros.is_multiple_of(1_000_000) {
            say(format!(
                "({name}) VRRPv2 advertisement interval {seconds:.6}s must be an integer. rounding"
            ));
            let whole = ((micros + 500_000) / 1_000_000).max(1);
            instance.advert_interval = Duration::from_secs(u64::try_from(whole).unwrap_or(1));
        }
        return;
    }
    let mut centiseconds = micros / 10_000;
    if micros > MOST_CENTISECONDS * 10_000 {
        say(format!(
            "({name}) VRRPv3 advertisement interval {seconds:.2}s is out of range. Must be less than 40.96s. Setting to 40.95s"
        ));
        centiseconds = MOST_CENTISECONDS;
    } else if !micros.is_multiple_of(10_000) {
        say(format!(
            "({name}) VRRPv3 advertisement interval {seconds:.6}s must be in units of 10ms - rounding"
        ));
        centiseconds = ((micros + 5_000) / 10_000).clamp(1, MOST_CENTISECONDS);
    }
    instance.advert_interval = Duration::from_millis(u64::try_from(centiseconds * 10).unwrap_or(1000));
}

/// Addresses that do not fit in an advertisement become excluded ones.
fn move_excess(instance: &mut Instance, context: &mut Context) {
    let mtu = context
        .host
        .interface(&instance.interface)
        .map_or(1500, |i| i.mtu as usize);
    let (ip, auth, size) = match instance.family {
        Family::Inet6 => (40, 0, 16),
        Family::Inet => (
            20,
            match (instance.version, &instance.authentication) {
                (Version::V3, _) => 0,
                (Version::V2, Authentication::Ah(_)) => 8 + 24,
                (Version::V2, _) => 8,
            },
            4,
        ),
    };
    let trailer = if instance.auth_hmac.is_some() { 28 } else { 0 };
    let space = mtu.saturating_sub(ip + 8 + auth + trailer) / size;
    let most = space.min(MOST_ADDRESSES);
    let count = instance.vips.len();
    if count <= most {
        return;
    }
    let text = format!(
        "({}) Number of VIPs ({count}) exceeds maximum/space available in packet (max {most} addresses) - excess moved to eVIPs",
        instance.name
    );
    context.diagnostics.general(Class::General, text);
    let mut excess = instance.vips.split_off(most);
    excess.append(&mut instance.excluded_vips);
    instance.excluded_vips = excess;
}

/// Trackers of an instance: its own interface, weights of an address owner or a group member.
fn tracking(instance: &mut Instance, group: Option<&SyncGroup>, context: &mut Context) {
    let name = instance.name.clone();
    let owner = instance.priority == 255;
    let no_weights = match group {
        Some(group) if !group.tracking_weight => Some("SYNC group"),
        _ if owner => Some("address_owner"),
        _ => None,
    };
    let mut say = |text: String| {
        context.diagnostics.general(Class::General, text);
    };
    let own = instance.interface.clone();
    instance.track_interfaces.retain(|t| {
        if t.name == own {
            say(format!("({name}) Ignoring track_interface {own} since own interface"));
            return false;
        }
        if let Some(group) = group
            && group.track_interfaces.iter().any(|g| g.name == t.name)
        {
            say(format!(
                "({name}) track_interface {} is configured on VRRP instance and sync group. Remove vrrp instance or sync group config",
                t.name
            ));
            // It stays listed; the group's weight is the one that counts.
            return true;
        }
        if t.weight != 0
            && let Some(reason) = no_weights
        {
            say(format!(
                "({name}) ignoring {} tracked interface weight due to {reason}",
                t.name
            ));
        }
        true
    });
    if owner && no_weights == Some("address_owner") {
        for tracked in &mut instance.track_interfaces {
            tracked.weight = 0;
        }
    }
    type Lists<'a> = (&'a str, &'a mut Vec<Tracked>, Option<&'a Vec<Tracked>>);
    let lists: [Lists; 4] = [
        (
            "script",
            &mut instance.track_scripts,
            group.map(|g| &g.track_scripts),
        ),
        ("file", &mut instance.track_files, group.map(|g| &g.track_files)),
        (
            "process",
            &mut instance.track_processes,
            group.map(|g| &g.track_processes),
        ),
        ("bfd", &mut instance.track_bfd, group.map(|g| &g.track_bfd)),
    ];
    for (word, list, of_group) in lists {
        list.retain(|t| {
            if t.weight != 0
                && let Some(reason) = no_weights
            {
                let weight = match word {
                    "script" => "weights".to_owned(),
                    _ => format!("weight {}", t.weight),
                };
                say(format!(
                    "({name}) ignoring tracked {word} {} with {weight} due to {reason}",
                    t.name
                ));
                return false;
            }
            if !of_group.is_some_and(|g| g.iter().any(|g| g.name == t.name)) {
                return true;
            }
            // Of processes and BFD sessions keepalived says nothing.
            if !matches!(word, "process" | "bfd") {
                say(format!(
                    "({name}) track_{word} {} is configured on VRRP instance and sync group. Remove vrrp instance config",
                    t.name
                ));
            }
            false
        });
    }
}

/// Weights of a group's trackers when a member is the address owner.
fn group_weights(group: &mut SyncGroup, drafts: &[Draft], context: &mut Context) {
    let owners = drafts
        .iter()
        .filter(|d| d.instance.sync_group.as_ref() == Some(&group.name))
        .filter(|d| d.instance.priority == 255)
        .count();
    if owners != 0 && owners != group.members.len() {
        let text = format!(
            "Sync group {} has some member(s) as address owner and some not as address owner. This won't work.",
            group.name
        );
        context.diagnostics.general(Class::General, text);
    }
    if owners == 0 {
        return;
    }
    let name = &group.name;
    let lists = [
        ("interface", &mut group.track_interfaces),
        ("script", &mut group.track_scripts),
        ("file", &mut group.track_files),
        ("process", &mut group.track_processes),
        ("bfd", &mut group.track_bfd),
    ];
    for (word, list) in lists {
        let action = match word {
            "file" | "process" => "setting weight 0",
            _ => "clearing weight",
        };
        for tracked in list.iter_mut().filter(|t| t.weight != 0) {
            let text = format!(
                "({name}) Cannot have weighted track {word} '{}' with member having priority 255 - {action}",
                tracked.name
            );
            context.diagnostics.general(Class::General, text);
            tracked.weight = 0;
        }
    }
}

/// No two instances with the same VRID where a packet could be for both.
fn distinct_vrids(drafts: &[Draft], context: &mut Context) -> bool {
    let mut seen: BTreeMap<(Family, u8, &str, IpAddr), Vec<&Draft>> = BTreeMap::new();
    let mut distinct = true;
    for draft in drafts {
        let instance = &draft.instance;
        if instance.unicast {
            continue;
        }
        let key = (
            instance.family,
            instance.vrid,
            instance.interface.as_str(),
            instance.multicast_group,
        );
        let others = seen.entry(key).or_default();
        if let Some(first) = others.first() {
            let version = if instance.family == Family::Inet { 4 } else { 6 };
            let text = format!(
                "{} and {} both use VRID {} with IPv{version} on interface {}",
                first.instance.name, instance.name, instance.vrid, instance.interface
            );
            context.diagnostics.general(Class::General, text);
            distinct = false;
        }
        others.push(draft);
    }
    distinct
}

/// Scripts that nothing tracks are not run.
fn unused_scripts(drafts: &[Draft], groups: &[GroupDraft], context: &mut Context) {
    let config = &mut context.config;
    let instances = drafts.iter().flat_map(|d| &d.instance.track_scripts);
    let groups = groups.iter().flat_map(|g| &g.group.track_scripts);
    let used: BTreeSet<String> = instances.chain(groups).map(|t| t.name.clone()).collect();
    let mut names = BTreeSet::new();
    let diagnostics = &mut context.diagnostics;
    config.scripts.retain(|s| {
        let keep = used.contains(&s.name);
        if !keep {
            let hint = diagnostics.hint(None, format!("Warning - script {} is not used", s.name));
            hint.help("nothing tracks it: it is not run");
        }
        keep && names.insert(s.name.clone())
    });
}
