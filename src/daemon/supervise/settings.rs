//! What the threads need to know of the configuration.

use super::link_watch;
use crate::cli::Options;
use crate::model::Configuration;
use crate::model::globals::{Buffer, NetlinkBuffers, WhenRemoved};
use crate::state::InstanceId;
use crate::state::kernel::{DeafLinks, ExtraAnnounce, KernelInstance, KernelSettings};
use crate::vrrp::plan::{self};

/// `process_names`, `vrrp_process_name`.
pub(super) fn vrrp_name(globals: &crate::model::Globals) -> Option<String> {
    let default = || globals.process_names.then(|| "keepalived_vrrp".to_owned());
    globals.vrrp_process_name.clone().or_else(default)
}

/// What the command line leaves of the configuration.
pub(super) fn effective(options: &Options, mut configuration: Configuration) -> Configuration {
    if !options.vrrp {
        configuration.static_addresses.clear();
        configuration.static_routes.clear();
        configuration.static_rules.clear();
        configuration.instances.clear();
        configuration.sync_groups.clear();
    }
    if !options.checkers {
        configuration.lvs.servers.clear();
        configuration.globals.lvs_sync_daemon = None;
    }
    let globals = &mut configuration.globals;
    if options.snmp {
        globals.enable_snmp_vrrp = true;
        globals.enable_snmp_checker = true;
        globals.enable_snmp_rfcv2 = true;
        globals.enable_snmp_rfcv3 = true;
    }
    if let Some(socket) = &options.snmp_socket {
        globals.snmp_socket = Some(socket.clone());
    }
    link_watch::limit(&mut configuration);
    if !options.bfd {
        configuration.bfd.clear();
    }
    configuration
}

pub(super) fn kernel_instances(running: &plan::Running, config: &Configuration) -> Vec<KernelInstance> {
    let one = |id: InstanceId, config: &crate::model::Instance| KernelInstance {
        id,
        name: config.name.as_str().into(),
        interface: config.interface.clone(),
        vips: config.vips.as_slice().into(),
        excluded_vips: config.excluded_vips.as_slice().into(),
        routes: config.routes.as_slice().into(),
        rules: config.rules.as_slice().into(),
        accept: config.accept,
        promote_secondaries: config.promote_secondaries,
        owner: config.priority == 255,
        extra: ExtraAnnounce {
            period: config.garp.extra_interface,
            all: config.garp.extra_interface_all,
            adverts_on: config.advert_interface().to_owned(),
        },
    };
    let mut all: Vec<_> = running.members().map(|(_, m)| one(m.id, &m.config)).collect();
    if !config.static_addresses.is_empty()
        || !config.static_routes.is_empty()
        || !config.static_rules.is_empty()
    {
        all.push(KernelInstance {
            id: InstanceId::STATIC,
            name: "static".into(),
            interface: String::new(),
            vips: config.static_addresses.as_slice().into(),
            excluded_vips: Vec::new().into(),
            routes: config.static_routes.as_slice().into(),
            rules: config.static_rules.as_slice().into(),
            accept: crate::model::vrrp::Accept::Enabled,
            promote_secondaries: false,
            owner: false,
            extra: ExtraAnnounce::default(),
        });
    }
    all
}

pub(super) fn kernel_settings(
    config: &Configuration,
    options: &Options,
    realtime: Option<u32>,
) -> KernelSettings {
    let globals = &config.globals;
    let of_instances = config
        .instances
        .iter()
        .flat_map(|instance| &instance.track_interfaces);
    let of_groups = config
        .sync_groups
        .iter()
        .flat_map(|group| &group.track_interfaces);
    KernelSettings {
        tracked_interfaces: of_instances
            .chain(of_groups)
            .map(|tracked| tracked.name.clone())
            .collect(),
        garp_interval: globals.garp_interval,
        gna_interval: globals.gna_interval,
        garp_groups: config.garp_groups.clone(),
        nftables_table: globals.nftables.clone().unwrap_or_else(|| "keepalived".into()),
        nftables_priority: globals.nftables_priority,
        nftables_ifindex: globals.nftables_ifindex,
        nftables_counters: globals.nftables_counters,
        command_buffer: globals.netlink_buffers.vrrp_command,
        monitor_buffer: monitor_buffer(&globals.netlink_buffers),
        watch: link_watch::watch(config),
        deaf: DeafLinks {
            interfaces: config
                .instances
                .iter()
                .map(|instance| instance.interface.clone())
                .collect(),
            limit: globals.deaf_link,
        },
        give_up: globals.when_removed == WhenRemoved::Release,
        log_addresses: options.address_monitoring,
        // One below the VRRP thread's.
        realtime: globals
            .vrrp_process
            .realtime
            .or(realtime)
            .map(|priority| (priority - 1).max(1)),
    }
}

/// What to say when the firewall is needed, and the file does not ask for nftables.
pub(super) fn nftables_instead(config: &Configuration) -> Option<String> {
    let globals = &config.globals;
    let needs = |instance: &crate::model::Instance| {
        instance.vmac.is_some() || instance.accept == crate::model::vrrp::Accept::Disabled
    };
    if globals.nftables.is_some() || !config.instances.iter().any(needs) {
        return None;
    }
    let Some(chains) = &globals.iptables else {
        let text = "use_vmac or no_accept/strict specified, but no firewall configured - using nftables";
        return Some(text.to_owned());
    };
    let keywords = match globals.ipsets {
        Some(_) => "vrrp_iptables and vrrp_ipsets",
        None => "vrrp_iptables",
    };
    Some(format!(
        "{keywords}: nftables is used instead, table keepalived; nothing is put into chain {}",
        chains.input
    ))
}

/// One socket listens for VRRP and for virtual servers: it has the larger of the two buffers.
fn monitor_buffer(buffers: &NetlinkBuffers) -> Buffer {
    let (vrrp, lvs) = (buffers.vrrp_monitor, buffers.lvs_monitor);
    Buffer {
        size: vrrp.size.max(lvs.size),
        force: vrrp.force || lvs.force,
    }
}
