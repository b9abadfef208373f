//! `Global definitions`.

use super::{Text, command, enabled, fraction, line, quoted, seconds, true_false};
use crate::model::Configuration;
use crate::model::globals::{
    Buffer, DynamicInterfaces, Globals, LvsFlushOnStop, NotifyFifo, ProcessSettings, RxBufferPolicy,
};
use crate::model::vrrp::Accept;

/// Whose view of the settings is printed. keepalived's processes complete them differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// The parent: as the file has them.
    Parent,
    /// The VRRP process: with its defaults and what its instances need.
    Vrrp,
}

/// The nftables library that the layout of `libnftnl version` follows. We use none.
const LIBNFTNL: &str = "1.2.4";
/// Where iproute2's names are read from, unless the configuration says otherwise.
const IPROUTE_DIRECTORY: &str = "/etc/iproute2";

pub(super) fn write(text: &mut Text, config: &Configuration, view: View) {
    let globals = &config.globals;
    line!(text, "------< Global definitions >------");
    processes_and_names(text, globals);
    mail(text, globals);
    reload(text, globals);
    if view == View::Parent {
        scripts(text, globals);
    }
    interfaces(text, globals, view);
    load_balancer(text, config, view);
    fifos(text, globals, view);
    gratuitous_arp(text, globals, view);
    firewall(text, config, view);
    line!(
        text,
        " VRRP check unicast_src = {}",
        true_false(globals.check_unicast_source)
    );
    line!(
        text,
        " VRRP skip check advert addresses = {}",
        true_false(globals.skip_check_adv_addr)
    );
    line!(text, " VRRP strict mode = {}", true_false(globals.strict));
    match globals.max_auto_priority {
        -1 => line!(text, " Max auto priority = Disabled"),
        priority => line!(text, " Max auto priority = {priority}"),
    }
    line!(
        text,
        " Min auto priority delay = {} usecs",
        globals.min_auto_priority_delay.as_micros()
    );
    process(text, "VRRP", &globals.vrrp_process);
    process(text, "Checker", &globals.checker_process);
    process(text, "BFD", &globals.bfd_process);
    management(text, globals);
    buffers(text, globals);
    line!(text, " umask = 0{:o}", globals.umask);
    if !globals.startup_delay.is_zero() {
        line!(text, " vrrp_startup_delay = {}", seconds(globals.startup_delay));
    }
    if globals.log_unknown_vrids {
        line!(text, " log_unknown_vrids");
    }
    if globals.owner_ignore_adverts {
        line!(text, " vrrp_owner_ignore_adverts");
    }
    option(text, "VMAC prefix =", &globals.vmac_prefix);
    option(text, "VMAC address prefix =", &globals.vmac_addr_prefix);
    line!(text, " json_version {}", globals.json_version);
    let directory = |given: &Option<String>| given.clone().unwrap_or_else(|| IPROUTE_DIRECTORY.into());
    line!(
        text,
        " iproute usr directory {}",
        directory(&globals.iproute_usr_dir)
    );
    line!(
        text,
        " iproute etc directory {}",
        directory(&globals.iproute_etc_dir)
    );
    option(text, "state dump file", &globals.state_dump_file);
    option(text, "stats dump file", &globals.stats_dump_file);
    option(text, "json dump file", &globals.json_dump_file);
}

/// One line, where there is a value.
fn option<T: std::fmt::Display>(text: &mut Text, title: &str, value: &Option<T>) {
    if let Some(value) = value {
        line!(text, " {title} {value}");
    }
}

fn processes_and_names(text: &mut Text, globals: &Globals) {
    option(text, "Config save dir =", &globals.config_save_dir);
    let namespace = globals.net_namespace.as_deref().unwrap_or("(default)");
    line!(text, " Network namespace = {namespace}");
    let ipvs = match &globals.net_namespace_ipvs {
        None => "(main namespace)",
        Some(None) => "(default)",
        Some(Some(name)) => name,
    };
    line!(text, " Network namespace ipvs = {ipvs}");
    option(text, "Instance name =", &globals.instance_name);
    option(text, "Parent process name =", &globals.process_name);
    option(text, "VRRP process name =", &globals.vrrp_process_name);
    option(text, "LVS process name =", &globals.checker_process_name);
    option(text, "BFD process name =", &globals.bfd_process_name);
    let keep = if globals.use_symlink_paths {
        "Keep"
    } else {
        "Replace"
    };
    line!(text, " {keep} symlinks in script paths");
    line!(text, " Router ID = {}", globals.router_id);
}

fn mail(text: &mut Text, globals: &Globals) {
    if let Some(server) = &globals.smtp_server {
        match server.address {
            Some(address) => line!(text, " Smtp server = {address}"),
            None => line!(text, " Smtp server = {}", server.host),
        }
        line!(text, " Smtp server port = {}", server.port);
        option(text, "Smtp HELO name =", &globals.smtp_helo_name);
        line!(
            text,
            " Smtp server connection timeout = {}",
            globals.smtp_connect_timeout.as_secs()
        );
    } else {
        option(text, "Smtp HELO name =", &globals.smtp_helo_name);
    }
    option(
        text,
        "Email notification from =",
        &globals.notification_email_from,
    );
    if !globals.notification_emails.is_empty() {
        line!(text, " Email notification to:");
        for recipient in &globals.notification_emails {
            line!(text, "   {recipient}");
        }
    }
    let on_off = |given: Option<bool>| match given {
        None => "unset",
        Some(true) => "on",
        Some(false) => "off",
    };
    line!(text, " Default smtp_alert = {}", on_off(globals.smtp_alert));
    line!(
        text,
        " Default smtp_alert_vrrp = {}",
        on_off(globals.smtp_alert_vrrp)
    );
    line!(
        text,
        " Default smtp_alert_checker = {}",
        on_off(globals.smtp_alert_checker)
    );
    line!(
        text,
        " Checkers log all failures = {}",
        true_false(globals.checker_log_all_failures)
    );
}

fn reload(text: &mut Text, globals: &Globals) {
    match &globals.reload_check_config {
        None => line!(text, " No test config before reload"),
        Some(None) => line!(text, " Test config before reload"),
        Some(Some(log)) => line!(text, " Test config before reload, log to {log}"),
    }
    if let Some(file) = &globals.reload_time_file {
        let repeat = if globals.reload_repeat { " (repeat)" } else { "" };
        line!(text, " Reload time file = {file}{repeat}");
        line!(text, " No reload scheduled");
    }
    if let Some(file) = &globals.reload_file {
        let file = file.as_deref().unwrap_or("/run/keepalived.reload");
        line!(text, " Reload_file = {file}");
    }
    line!(
        text,
        " keep script symlinks = {}",
        true_false(globals.use_symlink_paths)
    );
    if globals.data_use_instance {
        line!(text, " Use instance name in data dumps");
    }
}

fn scripts(text: &mut Text, globals: &Globals) {
    if let Some(script) = &globals.startup_script {
        line!(
            text,
            " Startup script = {}, uid:gid {}:{}, timeout {}",
            command(script),
            script.identity.uid,
            script.identity.gid,
            globals.startup_script_timeout.as_secs()
        );
    }
    if let Some(script) = &globals.shutdown_script {
        line!(
            text,
            " Shutdown script = {}, uid:gid {}:{} timeout {}",
            command(script),
            script.identity.uid,
            script.identity.gid,
            globals.shutdown_script_timeout.as_secs()
        );
    }
}

fn interfaces(text: &mut Text, globals: &Globals, view: View) {
    let dynamic = globals.dynamic_interfaces;
    line!(
        text,
        " Dynamic interfaces = {}",
        true_false(dynamic != DynamicInterfaces::No)
    );
    if dynamic == DynamicInterfaces::AllowChanges {
        line!(text, " Allow interface changes = true");
    }
    if globals.no_email_faults {
        line!(text, " Send emails for fault transitions = off");
    }
    let timeouts = globals.lvs_timeouts;
    option(text, "LVS TCP timeout =", &timeouts.tcp);
    option(text, "LVS TCP FIN timeout =", &timeouts.tcp_fin);
    // keepalived prints the UDP timeout under this name.
    option(text, "LVS TCP timeout =", &timeouts.udp);
    if view == View::Vrrp {
        // With dynamic_interfaces keepalived prints the built-in default, whatever is configured.
        let default = match dynamic {
            DynamicInterfaces::No => globals.default_interface.as_str(),
            _ => "eth0",
        };
        line!(text, " Default interface = {default}");
    }
    let yes_no = super::yes_no;
    line!(
        text,
        " Disable local IGMP = {}",
        yes_no(globals.disable_local_igmp)
    );
    line!(
        text,
        " Use VRRPv2 checksum for VRRPv3 IPv4 = {}",
        yes_no(globals.v3_checksum_as_v2)
    );
}

fn load_balancer(text: &mut Text, config: &Configuration, view: View) {
    let globals = &config.globals;
    if let Some(daemon) = &globals.lvs_sync_daemon {
        let title = if view == View::Parent { "name" } else { "instance" };
        line!(text, " LVS syncd vrrp {title} = {}", daemon.instance);
        line!(text, " LVS syncd interface = {}", daemon.interface);
        let instance = config
            .instances
            .iter()
            .find(|instance| instance.name == daemon.instance);
        option(
            text,
            "LVS syncd syncid =",
            &daemon.id.or(instance.map(|instance| instance.vrid)),
        );
        option(text, "LVS syncd maxlen =", &daemon.max_length);
        option(text, "LVS mcast group", &daemon.group);
        option(text, "LVS syncd mcast port =", &daemon.port);
        option(text, "LVS syncd mcast ttl =", &daemon.ttl);
    }
    line!(text, " LVS flush = {}", true_false(globals.lvs_flush));
    let on_stop = match globals.lvs_flush_on_stop {
        LvsFlushOnStop::No => "disabled",
        LvsFlushOnStop::All => "full",
        LvsFlushOnStop::VirtualServers => "VS",
    };
    line!(text, " LVS flush on stop = {on_stop}");
}

fn fifos(text: &mut Text, globals: &Globals, view: View) {
    // The process that starts a reader adds the path as its last argument.
    let vrrp = view == View::Vrrp;
    fifo(text, "Global", &globals.notify_fifo, vrrp);
    fifo(text, "VRRP", &globals.vrrp_notify_fifo, vrrp);
    fifo(text, "LVS", &globals.lvs_notify_fifo, false);
    let on_reload = true_false(globals.fifo_write_states_on_reload);
    line!(text, " FIFO write vrrp states on reload = {on_reload}");
    let changes = true_false(globals.notify_priority_changes);
    line!(text, " VRRP notify priority changes = {changes}");
}

fn fifo(text: &mut Text, title: &str, fifo: &Option<NotifyFifo>, with_path: bool) {
    let Some(fifo) = fifo else { return };
    let owner = fifo.owner;
    line!(
        text,
        " {title} notify fifo = {}, uid:gid {}:{}",
        fifo.path,
        owner.uid,
        owner.gid
    );
    if let Some(script) = &fifo.script {
        let path = with_path.then_some(&fifo.path);
        let words = quoted(script.argv.iter().chain(path));
        let identity = script.identity;
        line!(
            text,
            " {title} notify fifo script = {words}, uid:gid {}:{}",
            identity.uid,
            identity.gid
        );
    }
}

fn gratuitous_arp(text: &mut Text, globals: &Globals, view: View) {
    line!(text, " VRRP IPv4 mcast group = {}", globals.vrrp_mcast_group4);
    line!(text, " VRRP IPv6 mcast group = {}", globals.vrrp_mcast_group6);
    let delay = globals.garp_master_delay.as_secs();
    line!(text, " Gratuitous ARP delay = {delay}");
    line!(text, " Gratuitous ARP repeat = {}", globals.garp_master_repeat);
    line!(
        text,
        " Gratuitous ARP refresh timer = {}",
        globals.garp_master_refresh.as_secs()
    );
    line!(
        text,
        " Gratuitous ARP refresh repeat = {}",
        globals.garp_master_refresh_repeat
    );
    // The parent does not resolve what is not configured, and prints -1 without its sign.
    let unset = u64::from(u32::MAX);
    let (default_delay, default_repeat) = match view {
        View::Parent => (unset, unset),
        View::Vrrp => (delay, u64::from(globals.garp_master_repeat)),
    };
    let lower_delay = globals
        .garp_lower_prio_delay
        .map_or(default_delay, |delay| delay.as_secs());
    let lower_repeat = globals.garp_lower_prio_repeat.map_or(default_repeat, u64::from);
    line!(text, " Gratuitous ARP lower priority delay = {lower_delay}");
    line!(text, " Gratuitous ARP lower priority repeat = {lower_repeat}");
    line!(text, " Num adverts before down = {}", globals.down_timer_adverts);
    let extra = if globals.garp_extra_interface_all {
        "i/f"
    } else {
        "VMAC"
    };
    line!(
        text,
        " Gratuitous ARP for each secondary {extra} = {}s",
        globals.garp_extra_interface.as_secs()
    );
    line!(
        text,
        " Send advert after receive lower priority advert = {}",
        true_false(!globals.lower_prio_no_advert)
    );
    line!(
        text,
        " Send advert after receive higher priority advert = {}",
        true_false(globals.higher_prio_send_advert)
    );
    line!(
        text,
        " Gratuitous ARP interval = {}",
        fraction(globals.garp_interval)
    );
    line!(
        text,
        " Gratuitous NA interval = {}",
        fraction(globals.gna_interval)
    );
    line!(
        text,
        " VRRP default protocol version = {}",
        globals.vrrp_version.number()
    );
}

fn firewall(text: &mut Text, config: &Configuration, view: View) {
    let globals = &config.globals;
    let mut instances = config.instances.iter();
    let needed = view == View::Vrrp
        && instances.any(|instance| instance.vmac.is_some() || instance.accept == Accept::Disabled);
    let table = globals.nftables.as_deref().or(needed.then_some("keepalived"));
    if let Some(table) = table {
        line!(text, " nftables table name = {table}");
        line!(
            text,
            " nftables base chain priority = {}",
            globals.nftables_priority
        );
        let dont = if globals.nftables_ifindex { "" } else { "don't " };
        line!(text, " nftables {dont}force use ifindex for link local IPv6");
    }
    if let Some(table) = &globals.nftables_ipvs {
        line!(text, " ipvs nftables table name = {table}");
        line!(
            text,
            " ipvs nftables base chain priority = {}",
            globals.nftables_ipvs_priority
        );
        line!(
            text,
            " ipvs nftables start fwmark = {}",
            globals.nftables_ipvs_start_fwmark
        );
    }
    let out = if globals.nftables_counters { "" } else { "out" };
    line!(text, " nftables with{out} counters");
    line!(text, " libnftnl version {LIBNFTNL}");
}

fn process(text: &mut Text, title: &str, settings: &ProcessSettings) {
    line!(text, " {title} process priority = {}", settings.nice);
    line!(text, " {title} don't swap = {}", true_false(settings.no_swap));
    line!(
        text,
        " {title} realtime priority = {}",
        settings.realtime.unwrap_or(0)
    );
    if !settings.affinity.is_empty() {
        // keepalived prints nothing for CPU 0.
        let cpu = |cpu: &u32| {
            if *cpu == 0 {
                " ".to_owned()
            } else {
                format!("{cpu} ")
            }
        };
        let cpus: String = settings.affinity.iter().map(cpu).collect();
        line!(text, " {title} CPU Affinity = {cpus}");
    }
    line!(text, " {title} realtime limit = {}", settings.rlimit_rttime);
}

fn management(text: &mut Text, globals: &Globals) {
    line!(text, " SNMP vrrp {}", enabled(globals.enable_snmp_vrrp));
    line!(text, " SNMP checker {}", enabled(globals.enable_snmp_checker));
    line!(text, " SNMP RFCv2 {}", enabled(globals.enable_snmp_rfcv2));
    line!(text, " SNMP RFCv3 {}", enabled(globals.enable_snmp_rfcv3));
    line!(text, " SNMP traps {}", enabled(globals.enable_traps));
    let socket = globals
        .snmp_socket
        .as_deref()
        .unwrap_or("default (unix:/var/agentx/master)");
    line!(text, " SNMP socket = {socket}");
    let virtual_servers = globals.snmp_vs_stats_interval;
    line!(
        text,
        " SNMP VS stats update interval = {}",
        fraction(virtual_servers)
    );
    let real_servers = globals.snmp_rs_stats_interval.unwrap_or(virtual_servers);
    line!(
        text,
        " SNMP RS stats update interval = {}",
        fraction(real_servers)
    );
    line!(text, " DBus {}", enabled(globals.enable_dbus));
    line!(
        text,
        " DBus service name = {}",
        globals.dbus_service_name.as_deref().unwrap_or_default()
    );
    line!(
        text,
        " DBus no interface name = {}",
        globals.dbus_no_interface_name
    );
    line!(text, " Script security {}", enabled(globals.script_security));
    let user = globals.script_user.unwrap_or_default();
    line!(text, " Default script uid:gid {}:{}", user.uid, user.gid);
}

fn buffers(text: &mut Text, globals: &Globals) {
    let buffers = &globals.netlink_buffers;
    let sized: [(&str, Buffer); 5] = [
        ("vrrp_netlink_cmd", buffers.vrrp_command),
        ("vrrp_netlink_monitor", buffers.vrrp_monitor),
        ("process_monitor", buffers.process_monitor),
        ("lvs_netlink_cmd", buffers.lvs_command),
        ("lvs_netlink_monitor", buffers.lvs_monitor),
    ];
    for (name, buffer) in sized {
        line!(text, " {name}_rcv_bufs = {}", buffer.size);
        line!(text, " {name}_rcv_bufs_force = {}", u8::from(buffer.force));
    }
    line!(text, " rs_init_notifies = {}", u8::from(globals.rs_init_notifies));
    line!(
        text,
        " no_checker_emails = {}",
        u8::from(globals.no_checker_emails)
    );
    match globals.rx_buffers_policy {
        RxBufferPolicy::Default => {}
        RxBufferPolicy::Mtu => line!(text, " rx_bufs_policy = MTU"),
        RxBufferPolicy::Advert => line!(text, " rx_bufs_policy = ADVERT"),
        RxBufferPolicy::Size(size) => line!(text, " rx_bufs_size = {size}"),
    }
    line!(text, " rx_bufs_multiples = {}", globals.rx_buffers_multiplier);
}
