//! The VRRP side of the data file: instances, sockets, sync groups, and what they track.

mod lists;

use super::data::Moment;
use super::{LocalText, Text, enabled, full_stamp, line, seconds, stamp, true_false, yes_no};
use crate::model::Configuration;
use crate::model::route::Family;
use crate::model::vrrp::{Accept, Authentication, HmacMode, Instance, Version};
use crate::state::VrrpState;
use crate::state::snapshot::{InstanceSnapshot, Snapshot};
pub(super) use lists::{excluded_vips, notifies_deleted, vips, virtual_routes};
use lists::{none_or, notify, owned_addresses, tracked, tracked_lists, unicast};
use std::net::IpAddr;

/// `Static Track groups`.
pub(super) fn track_groups(text: &mut Text, config: &Configuration) {
    if config.track_groups.is_empty() {
        return;
    }
    line!(text, "------< Static Track groups >------");
    for group in &config.track_groups {
        line!(text, " Static Track Group = {}", group.name);
        line!(text, "   VRRP member instances :");
        for member in &group.members {
            line!(text, "     {member}");
        }
    }
}

/// `VRRP Topology`.
pub(super) fn instances(text: &mut Text, snapshot: &Snapshot, local: LocalText, moment: Moment) {
    if snapshot.instances.is_empty() {
        return;
    }
    line!(text, "------< VRRP Topology >------");
    for instance in &snapshot.instances {
        head(text, instance, local, moment);
        interface(text, snapshot, instance);
        settings(text, instance, moment);
        authentication(text, &instance.config);
        owned_addresses(text, instance);
        unicast(text, &instance.config);
        match (moment, instance.sockets) {
            (Moment::Running, Some((receive, send))) => line!(text, "   fd_in {receive}, fd_out {send}"),
            (Moment::Running, None) => line!(text, "   fd_in -1, fd_out -1"),
            (Moment::Start, _) => line!(text, "   No sockets allocated"),
        }
        tracked(text, instance);
    }
}

fn head(text: &mut Text, taken: &InstanceSnapshot, local: LocalText, moment: Moment) {
    let config = &*taken.config;
    let running = moment == Moment::Running;
    line!(text, " VRRP Instance = {}", config.name);
    line!(text, "   VRRP Version = {}", config.version.number());
    if let Some(group) = &config.sync_group {
        line!(text, "   Sync group = {group}");
    }
    if config.family == Family::Inet6 {
        line!(text, "   Using Native IPv6");
    }
    if running {
        line!(text, "   State = {}", taken.state.as_str());
        if taken.state == VrrpState::Backup {
            line!(text, "   Master router = {}", none_or(taken.master));
            line!(text, "   Master priority = {}", taken.master_priority);
            if config.version == Version::V3 {
                line!(
                    text,
                    "   Master advert int = {:.2} sec",
                    taken.master_interval.as_secs_f64()
                );
            }
        }
        if config.priority == 255 {
            line!(text, "   Rogue master counter = 0");
            line!(text, "   Roger timer thread = (nil)");
        }
    }
    flags(text, config);
    if running && taken.logged_errors != 0 {
        line!(text, "   Rate-limit flags = 0x{:x}", taken.logged_errors);
    }
    line!(text, "   Wantstate = {}", taken.wanted.as_str());
    line!(text, "   Number of config faults = {}", config.config_faults);
    if !running {
        return;
    }
    line!(text, "   Number of tracker faults = {}", taken.tracker_faults);
    if taken.interface_faults.is_empty() {
        line!(text, "   Flags of interface faults - (none)");
    } else {
        line!(text, "   Flags of interface faults:");
        for fault in &taken.interface_faults {
            line!(text, "     {fault}");
        }
    }
    line!(text, "   Number of track scripts init = {}", taken.scripts_init);
    line!(
        text,
        "   Last transition = {}",
        full_stamp(taken.last_transition, local)
    );
    match taken.read_timeout {
        Some(timeout) => line!(text, "   Read timeout = {}", full_stamp(Some(timeout), local)),
        None => line!(text, "   Read timeout = DISABLED"),
    }
    line!(
        text,
        "   Master down timer = {} usecs",
        taken.master_down.as_micros()
    );
}

/// `Flags:` stands alone where a setting counts as a flag but has no line of its own.
fn flags(text: &mut Text, config: &Instance) {
    let silent = config.promote_secondaries
        || config.nopreempt
        || config.no_vips
        || config.skip_check_adv_addr
        || config.v3_checksum_as_v2
        || config.dont_track_primary
        || config.track_source
        || config.linkbeat_polling
        || config.check_unicast_source
        || config.vmac.is_some()
        || config.ipvlan.is_some();
    if !silent && !config.unicast && !config.unicast_fault_no_peer {
        line!(text, "   Flags: none");
        return;
    }
    line!(text, "   Flags:");
    if config.unicast {
        line!(text, "     Using unicast");
    }
    if config.unicast_fault_no_peer {
        line!(text, "     If unicast go to fault state if no peers");
    }
}

/// An ipvlan, or VMACs for addresses on other interfaces only.
fn virtual_addresses(text: &mut Text, snapshot: &Snapshot, config: &Instance) {
    if config.vmac_addresses {
        line!(text, "   Use VMAC for VIPs on other interfaces");
    }
    let Some(ipvlan) = &config.ipvlan else {
        line!(text, "   Interface = {}", config.interface);
        return;
    };
    let is_up = snapshot
        .interfaces
        .iter()
        .any(|found| found.interface.name == ipvlan.name && found.interface.is_up());
    let address = ipvlan.address.as_ref();
    let address = address.map(|address| format!(", i/f address = {}", super::interfaces::network(address)));
    let kind = match ipvlan.kind {
        1 => "private",
        2 => "vepa",
        _ => "bridge",
    };
    line!(
        text,
        "   Use IPVLAN, i/f {}, is_up = {}{}, type {kind}",
        ipvlan.name,
        true_false(is_up),
        address.unwrap_or_default()
    );
    line!(
        text,
        "   Interface = {}, ipvlan on {}",
        ipvlan.name,
        config.interface
    );
}

fn interface(text: &mut Text, snapshot: &Snapshot, taken: &InstanceSnapshot) {
    let config = &*taken.config;
    match &config.vmac {
        Some(vmac) => {
            let is_up = snapshot
                .interfaces
                .iter()
                .any(|found| found.interface.name == vmac.name && found.interface.is_up());
            line!(
                text,
                "   Use VMAC, i/f name {}, is_up = {}, xmit_base = {}",
                vmac.name,
                true_false(is_up),
                true_false(vmac.xmit_base)
            );
            if vmac.netlink_notify {
                line!(text, "     Force netlink update for base interface");
            }
            if config.vmac_addresses {
                line!(text, "     Use VMAC for VIPs on other interfaces");
            }
            let base = if vmac.xmit_base { ", xmit base i/f" } else { "" };
            line!(
                text,
                "   Interface = {}, vmac on {}{base}",
                vmac.name,
                config.interface
            );
        }
        None => virtual_addresses(text, snapshot, config),
    }
    if let Some(vrf) = &config.vrf {
        line!(text, "   VRF = {vrf}");
    }
    if config.dont_track_primary {
        line!(text, "   VRRP interface tracking disabled");
    }
    if config.skip_check_adv_addr {
        line!(text, "   Skip checking advert IP addresses");
    }
    if config.strict {
        line!(text, "   Enforcing strict VRRP compliance");
    }
    if config.no_vips {
        line!(text, "   Suppress no VIPs warning");
    }
    let configured = if config.source.is_some() {
        " (from configuration)"
    } else {
        ""
    };
    line!(text, "   Using src_ip = {}{configured}", none_or(taken.source));
    if !config.unicast {
        match config.multicast_group {
            IpAddr::V4(group) => line!(text, "   Multicast address {group}"),
            IpAddr::V6(group) => line!(
                text,
                "   Multicast address {group}, ifindex {}",
                taken.interface_index
            ),
        }
    }
}

fn settings(text: &mut Text, taken: &InstanceSnapshot, moment: Moment) {
    let config = &*taken.config;
    let garp = &config.garp;
    line!(text, "   Gratuitous ARP delay = {}", garp.master_delay.as_secs());
    line!(text, "   Gratuitous ARP repeat = {}", garp.master_repeat);
    line!(text, "   Gratuitous ARP refresh = {}", garp.refresh.as_secs());
    line!(text, "   Gratuitous ARP refresh repeat = {}", garp.refresh_repeat);
    line!(
        text,
        "   Gratuitous ARP lower priority delay = {}",
        garp.lower_prio_delay.as_secs()
    );
    line!(
        text,
        "   Gratuitous ARP lower priority repeat = {}",
        garp.lower_prio_repeat
    );
    line!(text, "   Down timer adverts = {}", config.down_timer_adverts);
    line!(
        text,
        "   Send advert after receive lower priority advert = {}",
        true_false(!config.lower_prio_no_advert)
    );
    line!(
        text,
        "   Send advert after receive higher priority advert = {}",
        true_false(config.higher_prio_send_advert)
    );
    if config.priority == 255 {
        line!(
            text,
            "   Address owner ignores received adverts = {}",
            true_false(config.owner_ignore_adverts)
        );
    }
    line!(text, "   Virtual Router ID = {}", config.vrid);
    line!(text, "   Priority = {}", config.priority);
    if moment == Moment::Running {
        line!(text, "   Effective priority = {}", taken.effective_priority);
        line!(text, "   Total priority = {}", taken.total_priority);
    }
    if config.nopreempt {
        line!(
            text,
            "   Highest other priority = {}",
            taken.highest_other_priority
        );
    }
    match config.version {
        Version::V2 => line!(
            text,
            "   Advert interval = {} sec",
            config.advert_interval.as_secs()
        ),
        Version::V3 => line!(
            text,
            "   Advert interval = {} milli-sec",
            config.advert_interval.as_millis()
        ),
    }
    if moment == Moment::Running && config.version == Version::V3 && taken.state == VrrpState::Backup {
        line!(
            text,
            "   Master advert interval = {} milli-sec",
            taken.master_interval.as_millis()
        );
    }
    line!(text, "   Last advert sent = {}", stamp(taken.last_advert_sent));
    line!(text, "   Accept = {}", enabled(config.accept == Accept::Enabled));
    line!(text, "   Preempt = {}", enabled(!config.nopreempt));
    if !config.preempt_delay.is_zero() {
        line!(text, "   Preempt delay = {} secs", seconds(config.preempt_delay));
    }
    line!(
        text,
        "   Promote_secondaries = {}",
        enabled(config.promote_secondaries)
    );
}

fn authentication(text: &mut Text, config: &Instance) {
    if config.version == Version::V2 {
        match config.authentication {
            Authentication::None => line!(text, "   Authentication type = none"),
            Authentication::Pass(_) => {
                line!(text, "   Authentication type = SIMPLE_PASSWORD");
                line!(text, "   Password = ********");
            }
            Authentication::Ah(_) => line!(text, "   Authentication type = IPSEC_AH"),
        }
    }
    if let Some(hmac) = &config.auth_hmac {
        line!(text, "   Authentication extension = HMAC-SHA256-128");
        line!(
            text,
            "     Keys = {}, active key id = {}",
            hmac.keys.len(),
            hmac.active_key
        );
        let mode = match hmac.mode {
            HmacMode::Enforce => "enforce",
            HmacMode::Permissive => "permissive",
            HmacMode::ReceiveOnly => "receive-only",
        };
        line!(text, "     Mode = {mode}");
        let replay = if hmac.monotonic { "monotonic" } else { "time" };
        line!(
            text,
            "     Anti replay = {replay}, window = {} sec",
            hmac.time_window
        );
    }
    if config.version == Version::V3 && config.family == Family::Inet {
        line!(
            text,
            "   VRRPv3 uses VRRPv2 checksum = {}",
            enabled(config.v3_checksum_as_v2)
        );
    }
    if let Some(size) = config.kernel_rx_buffer {
        line!(text, "   Kernel rx buffer size = {size}");
    }
    if config.debug != 0 {
        line!(text, "   Debug level = {}", config.debug);
    }
}

/// `VRRP Sockpool`.
pub(super) fn sockets(text: &mut Text, snapshot: &Snapshot) {
    if snapshot.sockets.is_empty() {
        return;
    }
    line!(text, "------< VRRP Sockpool >------");
    for socket in &snapshot.sockets {
        line!(text, " fd_in {} fd_out = {}", socket.fds.0, socket.fds.1);
        line!(text, "   Interface = {}", socket.interface);
        line!(text, "   Family = {}", if socket.ipv6 { "IPv6" } else { "IPv4" });
        line!(text, "   Protocol = {}", if socket.ah { "AH" } else { "VRRP" });
        match socket.unicast {
            Some(address) => {
                line!(text, "   Type = Unicast");
                line!(text, "   Address = {address}");
            }
            None => line!(text, "   Type = Multicast"),
        }
        line!(text, "   Rx buf size = {}", socket.rx_buffer);
        line!(text, "   VRRP instances");
        for (name, vrid) in &socket.instances {
            line!(text, "     {name} vrid {vrid}");
        }
    }
}

/// `VRRP Sync groups`.
pub(super) fn sync_groups(text: &mut Text, snapshot: &Snapshot) {
    if snapshot.groups.is_empty() {
        return;
    }
    line!(text, "------< VRRP Sync groups >------");
    for group in &snapshot.groups {
        let config = &*group.config;
        line!(
            text,
            " VRRP Sync Group = {}, {}",
            config.name,
            group.state.as_str()
        );
        line!(
            text,
            "   Num member fault {}, num member init {}",
            group.members_fault,
            group.members_init
        );
        line!(text, "   VRRP member instances :");
        for member in &config.members {
            line!(text, "     {member}");
        }
        if config.tracking_weight {
            line!(text, "   sync group tracking weight set");
        }
        line!(text, "   Using smtp notification = {}", yes_no(config.smtp_alert));
        tracked_lists(
            text,
            "process",
            [
                &config.track_interfaces,
                &config.track_scripts,
                &config.track_files,
                &config.track_processes,
                &config.track_bfd,
            ],
        );
        notify(text, &config.notify);
    }
}
