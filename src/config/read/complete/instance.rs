//! One instance when all of its lines are read: defaults, what excludes what, strict mode.

use crate::config::diagnostic::Class;
use crate::config::read::draft::{AuthType, Draft};
use crate::config::read::{Context, hmac};
use crate::model::route::Family;
use crate::model::vrrp::{Accept, Authentication, Garp, InitialState, Instance, Version};
use crate::state::interface::IFF_MULTICAST;
use std::net::IpAddr;
use std::time::Duration;

/// Most addresses in an advertisement.
const MOST_ADDRESSES: usize = 255;
/// Largest interval of VRRPv3, in units of 10 ms.
const MOST_CENTISECONDS: u128 = 4095;

/// One instance. False: keepalived does not start with it.
pub(super) fn instance(draft: &mut Draft, context: &mut Context) -> bool {
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
pub(super) fn inherit(draft: &mut Draft, context: &Context) {
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

pub(super) fn versions(draft: &mut Draft, context: &mut Context) {
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

pub(super) fn no_peers(name: &str, context: &mut Context) {
    let text = format!(
        "({name}) A unicast keyword has been specified without any unicast peers. Defaulting to multicast. This usage is deprecated - please update your configuration."
    );
    context.diagnostics.general(Class::Deprecated, text);
}

pub(super) fn addresses(draft: &Draft, context: &mut Context) -> bool {
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

pub(super) fn authentication(draft: &mut Draft, context: &mut Context) {
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

pub(super) fn priority_and_state(draft: &mut Draft, context: &mut Context) {
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

pub(super) fn preemption(draft: &mut Draft, context: &mut Context) {
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
pub(super) fn strict_rules(draft: &mut Draft, context: &mut Context) {
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

pub(super) fn unicast(draft: &mut Draft, context: &mut Context) -> bool {
    let Draft { instance, given, .. } = draft;
    let name = instance.name.clone();
    instance.unicast = !instance.peers.is_empty();
    if (given.unicast || instance.unicast_fault_no_peer) && !instance.unicast {
        if instance.unicast_fault_no_peer {
            let text = format!("({name}) Cannot use unicast without any peers - going to fault state");
            context.diagnostics.hint(None, text);
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

pub(super) fn interval(draft: &mut Draft, context: &mut Context) {
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
pub(super) fn move_excess(instance: &mut Instance, context: &mut Context) {
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
