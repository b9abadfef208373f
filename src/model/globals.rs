//! `global_defs`, and the keywords that stand beside it at the top of the file.

use super::script::{Command, Identity};
use super::vrrp::Version;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// What a master does when another program removes an address, a route or a rule of its.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenRemoved {
    /// Puts it back and stays master.
    #[default]
    Restore,
    /// keepalived's way: gives up, and takes over again if nobody else does.
    Release,
}

/// Default of `rs_deaf_link`: a port of classic spanning tree listens and learns for 30 s.
const DEAF_LINK: Duration = Duration::from_secs(40);

/// `rs_metrics`: where metrics are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsAddress {
    /// An address and a port.
    Tcp(SocketAddr),
    /// Path of a Unix socket.
    Unix(String),
}

impl fmt::Display for MetricsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetricsAddress::Tcp(address) => write!(f, "http://{address}/metrics"),
            MetricsAddress::Unix(path) => f.write_str(path),
        }
    }
}

/// Global settings. A field's comment names the keyword.
#[derive(Debug, Clone, PartialEq)]
pub struct Globals {
    /// `rs_when_removed`: what a master does when another program removes what belongs to it.
    pub when_removed: WhenRemoved,
    /// `rs_guard`: a process of its own says goodbye for a daemon that was killed.
    pub guard: bool,
    /// `rs_deaf_link`: how long a link that came up and has received nothing keeps its backups from becoming
    /// master; zero: not at all.
    pub deaf_link: Duration,
    /// `rs_metrics`.
    pub metrics: Option<MetricsAddress>,
    /// `process_names`.
    pub process_names: bool,
    /// `process_name`.
    pub process_name: Option<String>,
    /// `vrrp_process_name`.
    pub vrrp_process_name: Option<String>,
    /// `checker_process_name`.
    pub checker_process_name: Option<String>,
    /// `bfd_process_name`.
    pub bfd_process_name: Option<String>,
    /// `instance`.
    pub instance_name: Option<String>,
    /// `net_namespace`.
    pub net_namespace: Option<String>,
    /// `net_namespace_ipvs`; Some(None) is the default namespace.
    pub net_namespace_ipvs: Option<Option<String>>,
    /// `namespace_with_ipsets`.
    pub namespace_with_ipsets: bool,
    /// `use_pid_dir`.
    pub use_pid_dir: bool,
    /// `child_wait_time`, 5 s by default.
    pub child_wait_time: Duration,
    /// `linkbeat_use_polling`.
    pub linkbeat_use_polling: bool,
    /// `use_symlink_paths`.
    pub use_symlink_paths: bool,
    /// `set_supplementary_groups`.
    pub set_supplementary_groups: bool,
    /// `router_id`; the host name by default.
    pub router_id: String,
    /// `notification_email_from`.
    pub notification_email_from: Option<String>,
    /// `notification_email`.
    pub notification_emails: Vec<String>,
    /// `smtp_server`.
    pub smtp_server: Option<SmtpServer>,
    /// `smtp_helo_name`.
    pub smtp_helo_name: Option<String>,
    /// `smtp_connect_timeout`, 30 s by default.
    pub smtp_connect_timeout: Duration,
    /// `smtp_alert`.
    pub smtp_alert: Option<bool>,
    /// `smtp_alert_vrrp`.
    pub smtp_alert_vrrp: Option<bool>,
    /// `smtp_alert_checker`.
    pub smtp_alert_checker: Option<bool>,
    /// `no_email_faults`.
    pub no_email_faults: bool,
    /// `startup_script`.
    pub startup_script: Option<Command>,
    /// `startup_script_timeout`, 10 s by default.
    pub startup_script_timeout: Duration,
    /// `shutdown_script`.
    pub shutdown_script: Option<Command>,
    /// `shutdown_script_timeout`, 10 s by default.
    pub shutdown_script_timeout: Duration,
    /// `max_auto_priority`; 0 is off, -1 is never and no notice.
    pub max_auto_priority: i32,
    /// `max_auto_priority stands in the file`.
    pub max_auto_priority_given: bool,
    /// `min_auto_priority_delay`, 1 s by default.
    pub min_auto_priority_delay: Duration,
    /// `checker_log_all_failures`.
    pub checker_log_all_failures: bool,
    /// `dynamic_interfaces`.
    pub dynamic_interfaces: DynamicInterfaces,
    /// `default_interface`, eth0 by default.
    pub default_interface: String,
    /// `disable_local_igmp`.
    pub disable_local_igmp: bool,
    /// `v3_checksum_as_v2`.
    pub v3_checksum_as_v2: bool,
    /// `lvs_timeouts`.
    pub lvs_timeouts: LvsTimeouts,
    /// `lvs_flush`.
    pub lvs_flush: bool,
    /// `lvs_flush_on_stop`.
    pub lvs_flush_on_stop: LvsFlushOnStop,
    /// `lvs_sync_daemon`.
    pub lvs_sync_daemon: Option<LvsSyncDaemon>,
    /// `vrrp_mcast_group4`, 224.0.0.18 by default.
    pub vrrp_mcast_group4: Ipv4Addr,
    /// `vrrp_mcast_group6`, ff02::12 by default.
    pub vrrp_mcast_group6: Ipv6Addr,
    /// `vrrp_garp_master_delay`, 5 s by default.
    pub garp_master_delay: Duration,
    /// `vrrp_garp_master_repeat`, 5 by default.
    pub garp_master_repeat: u32,
    /// `vrrp_garp_master_refresh`, none by default.
    pub garp_master_refresh: Duration,
    /// `vrrp_garp_master_refresh_repeat`, 1 by default.
    pub garp_master_refresh_repeat: u32,
    /// `vrrp_garp_lower_prio_delay`; else vrrp_garp_master_delay.
    pub garp_lower_prio_delay: Option<Duration>,
    /// `vrrp_garp_lower_prio_repeat`; else vrrp_garp_master_repeat.
    pub garp_lower_prio_repeat: Option<u32>,
    /// `vrrp_down_timer_adverts`, 3 by default.
    pub down_timer_adverts: u32,
    /// `vrrp_garp_interval`.
    pub garp_interval: Duration,
    /// `vrrp_gna_interval`.
    pub gna_interval: Duration,
    /// `vrrp_min_garp`.
    pub min_garp: bool,
    /// `vrrp_garp_extra_if`.
    pub garp_extra_interface: Duration,
    /// `vrrp_garp_extra_if all`.
    pub garp_extra_interface_all: bool,
    /// `vrrp_lower_prio_no_advert`.
    pub lower_prio_no_advert: bool,
    /// `vrrp_higher_prio_send_advert`.
    pub higher_prio_send_advert: bool,
    /// `vrrp_version`, 2 by default.
    pub vrrp_version: Version,
    /// `vrrp_iptables`.
    pub iptables: Option<Iptables>,
    /// `vrrp_ipsets`: the six set names.
    pub ipsets: Option<Vec<String>>,
    /// `nftables`: table name.
    pub nftables: Option<String>,
    /// `nftables_priority`, -1 by default.
    pub nftables_priority: i32,
    /// `nftables_ifindex`.
    pub nftables_ifindex: bool,
    /// `nftables_ipvs`: table name.
    pub nftables_ipvs: Option<String>,
    /// `nftables_ipvs_priority`, -1 by default.
    pub nftables_ipvs_priority: i32,
    /// `nftables_ipvs_start_fwmark`, 1000 by default.
    pub nftables_ipvs_start_fwmark: u32,
    /// `nftables_counters`.
    pub nftables_counters: bool,
    /// `vrrp_check_unicast_src`.
    pub check_unicast_source: bool,
    /// `vrrp_skip_check_adv_addr`.
    pub skip_check_adv_addr: bool,
    /// `vrrp_strict`.
    pub strict: bool,
    /// `vrrp_priority`, vrrp_no_swap, vrrp_rt_priority, vrrp_cpu_affinity, vrrp_rlimit_rttime.
    pub vrrp_process: ProcessSettings,
    /// `checker_priority and the like`.
    pub checker_process: ProcessSettings,
    /// `bfd_priority and the like`.
    pub bfd_process: ProcessSettings,
    /// `notify_fifo`, notify_fifo_script.
    pub notify_fifo: Option<NotifyFifo>,
    /// `vrrp_notify_fifo`, vrrp_notify_fifo_script.
    pub vrrp_notify_fifo: Option<NotifyFifo>,
    /// `lvs_notify_fifo`, lvs_notify_fifo_script.
    pub lvs_notify_fifo: Option<NotifyFifo>,
    /// `vrrp_notify_priority_changes`.
    pub notify_priority_changes: bool,
    /// `fifo_write_vrrp_states_on_reload`.
    pub fifo_write_states_on_reload: bool,
    /// `snmp_socket`.
    pub snmp_socket: Option<String>,
    /// `enable_traps`.
    pub enable_traps: bool,
    /// `enable_snmp_vrrp`.
    pub enable_snmp_vrrp: bool,
    /// `enable_snmp_rfcv2`.
    pub enable_snmp_rfcv2: bool,
    /// `enable_snmp_rfcv3`.
    pub enable_snmp_rfcv3: bool,
    /// `enable_snmp_checker`.
    pub enable_snmp_checker: bool,
    /// `snmp_vs_stats_update_interval`, 5 s by default.
    pub snmp_vs_stats_interval: Duration,
    /// `snmp_rs_stats_update_interval`; else that of virtual servers.
    pub snmp_rs_stats_interval: Option<Duration>,
    /// `enable_dbus`.
    pub enable_dbus: bool,
    /// `dbus_service_name`.
    pub dbus_service_name: Option<String>,
    /// `dbus_no_interface_name`.
    pub dbus_no_interface_name: String,
    /// `script_user`; None until something needs the default.
    pub script_user: Option<Identity>,
    /// `enable_script_security`.
    pub script_security: bool,
    /// `vrrp_netlink_cmd_rcv_bufs and the like`.
    pub netlink_buffers: NetlinkBuffers,
    /// `rs_init_notifies`.
    pub rs_init_notifies: bool,
    /// `no_checker_emails`.
    pub no_checker_emails: bool,
    /// `vrrp_rx_bufs_policy`.
    pub rx_buffers_policy: RxBufferPolicy,
    /// `vrrp_rx_bufs_multiplier`, 3 by default.
    pub rx_buffers_multiplier: u32,
    /// `vrrp_startup_delay`.
    pub startup_delay: Duration,
    /// `vrrp_delay_after_boot`.
    pub delay_after_boot: Duration,
    /// `log_unknown_vrids`.
    pub log_unknown_vrids: bool,
    /// `vrrp_owner_ignore_adverts`.
    pub owner_ignore_adverts: bool,
    /// `vmac_prefix`.
    pub vmac_prefix: Option<String>,
    /// `vmac_addr_prefix`.
    pub vmac_addr_prefix: Option<String>,
    /// `umask`, 0177 by default.
    pub umask: u32,
    /// `umask stands in the file or on the command line`.
    pub umask_given: bool,
    /// `random_seed`.
    pub random_seed: Option<u32>,
    /// `reload_check_config and its log file`.
    pub reload_check_config: Option<Option<String>>,
    /// `reload_time_file`.
    pub reload_time_file: Option<String>,
    /// `reload_repeat`.
    pub reload_repeat: bool,
    /// `reload_file and its path`.
    pub reload_file: Option<Option<String>>,
    /// `include_check`: bits of IncludeCheck.
    pub include_check: u32,
    /// `config_save_dir`.
    pub config_save_dir: Option<String>,
    /// `tmp_config_directory`.
    pub tmp_config_directory: Option<String>,
    /// `data_use_instance`.
    pub data_use_instance: bool,
    /// `json_version`, 1 by default.
    pub json_version: u32,
    /// `iproute_usr_dir`.
    pub iproute_usr_dir: Option<String>,
    /// `iproute_etc_dir`.
    pub iproute_etc_dir: Option<String>,
    /// `state_dump_file`.
    pub state_dump_file: Option<String>,
    /// `stats_dump_file`.
    pub stats_dump_file: Option<String>,
    /// `json_dump_file`.
    pub json_dump_file: Option<String>,
}

impl Default for Globals {
    fn default() -> Self {
        Globals {
            when_removed: Default::default(),
            deaf_link: DEAF_LINK,
            guard: true,
            metrics: None,
            process_names: Default::default(),
            process_name: Default::default(),
            vrrp_process_name: Default::default(),
            checker_process_name: Default::default(),
            bfd_process_name: Default::default(),
            instance_name: Default::default(),
            net_namespace: Default::default(),
            net_namespace_ipvs: Default::default(),
            namespace_with_ipsets: Default::default(),
            use_pid_dir: Default::default(),
            child_wait_time: Duration::from_secs(5),
            linkbeat_use_polling: Default::default(),
            use_symlink_paths: Default::default(),
            set_supplementary_groups: Default::default(),
            router_id: Default::default(),
            notification_email_from: Default::default(),
            notification_emails: Default::default(),
            smtp_server: Default::default(),
            smtp_helo_name: Default::default(),
            smtp_connect_timeout: Duration::from_secs(30),
            smtp_alert: Default::default(),
            smtp_alert_vrrp: Default::default(),
            smtp_alert_checker: Default::default(),
            no_email_faults: Default::default(),
            startup_script: Default::default(),
            startup_script_timeout: Duration::from_secs(10),
            shutdown_script: Default::default(),
            shutdown_script_timeout: Duration::from_secs(10),
            max_auto_priority: Default::default(),
            max_auto_priority_given: Default::default(),
            min_auto_priority_delay: Duration::from_secs(1),
            checker_log_all_failures: Default::default(),
            dynamic_interfaces: Default::default(),
            default_interface: "eth0".into(),
            disable_local_igmp: Default::default(),
            v3_checksum_as_v2: Default::default(),
            lvs_timeouts: Default::default(),
            lvs_flush: Default::default(),
            lvs_flush_on_stop: Default::default(),
            lvs_sync_daemon: Default::default(),
            vrrp_mcast_group4: Ipv4Addr::new(224, 0, 0, 18),
            vrrp_mcast_group6: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12),
            garp_master_delay: Duration::from_secs(5),
            garp_master_repeat: 5,
            garp_master_refresh: Default::default(),
            garp_master_refresh_repeat: 1,
            garp_lower_prio_delay: Default::default(),
            garp_lower_prio_repeat: Default::default(),
            down_timer_adverts: 3,
            garp_interval: Default::default(),
            gna_interval: Default::default(),
            min_garp: Default::default(),
            garp_extra_interface: Default::default(),
            garp_extra_interface_all: Default::default(),
            lower_prio_no_advert: Default::default(),
            higher_prio_send_advert: Default::default(),
            vrrp_version: Default::default(),
            iptables: Default::default(),
            ipsets: Default::default(),
            nftables: Default::default(),
            nftables_priority: -1,
            nftables_ifindex: Default::default(),
            nftables_ipvs: Default::default(),
            nftables_ipvs_priority: -1,
            nftables_ipvs_start_fwmark: 1000,
            nftables_counters: Default::default(),
            check_unicast_source: Default::default(),
            skip_check_adv_addr: Default::default(),
            strict: Default::default(),
            vrrp_process: Default::default(),
            checker_process: Default::default(),
            bfd_process: Default::default(),
            notify_fifo: Default::default(),
            vrrp_notify_fifo: Default::default(),
            lvs_notify_fifo: Default::default(),
            notify_priority_changes: Default::default(),
            fifo_write_states_on_reload: Default::default(),
            snmp_socket: Default::default(),
            enable_traps: Default::default(),
            enable_snmp_vrrp: Default::default(),
            enable_snmp_rfcv2: Default::default(),
            enable_snmp_rfcv3: Default::default(),
            enable_snmp_checker: Default::default(),
            snmp_vs_stats_interval: Duration::from_secs(5),
            snmp_rs_stats_interval: Default::default(),
            enable_dbus: Default::default(),
            dbus_service_name: Default::default(),
            dbus_no_interface_name: "none".into(),
            script_user: Default::default(),
            script_security: Default::default(),
            netlink_buffers: Default::default(),
            rs_init_notifies: Default::default(),
            no_checker_emails: Default::default(),
            rx_buffers_policy: Default::default(),
            rx_buffers_multiplier: 3,
            startup_delay: Default::default(),
            delay_after_boot: Default::default(),
            log_unknown_vrids: Default::default(),
            owner_ignore_adverts: Default::default(),
            vmac_prefix: Default::default(),
            vmac_addr_prefix: Default::default(),
            umask: 0o177,
            umask_given: Default::default(),
            random_seed: Default::default(),
            reload_check_config: Default::default(),
            reload_time_file: Default::default(),
            reload_repeat: Default::default(),
            reload_file: Default::default(),
            include_check: Default::default(),
            config_save_dir: Default::default(),
            tmp_config_directory: Default::default(),
            data_use_instance: Default::default(),
            json_version: 1,
            iproute_usr_dir: Default::default(),
            iproute_etc_dir: Default::default(),
            state_dump_file: Default::default(),
            stats_dump_file: Default::default(),
            json_dump_file: Default::default(),
        }
    }
}

/// `smtp_server HOST [PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpServer {
    /// Host name or address, as written.
    pub host: String,
    /// Address, where the host is one or has been resolved.
    pub address: Option<IpAddr>,
    /// Port, 25 by default.
    pub port: u16,
}

/// `dynamic_interfaces`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DynamicInterfaces {
    /// An interface that does not exist is an error.
    #[default]
    No,
    /// It may appear later.
    Yes,
    /// It may also come back with another type.
    AllowChanges,
}

/// `lvs_timeouts`, seconds; `None` leaves the kernel's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LvsTimeouts {
    /// `tcp`.
    pub tcp: Option<u32>,
    /// `tcpfin`.
    pub tcp_fin: Option<u32>,
    /// `udp`.
    pub udp: Option<u32>,
}

/// `lvs_flush_on_stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LvsFlushOnStop {
    /// Off.
    #[default]
    No,
    /// Everything.
    All,
    /// `VS`: the virtual servers.
    VirtualServers,
}

/// `lvs_sync_daemon`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LvsSyncDaemon {
    /// Interface.
    pub interface: String,
    /// `inst`: the VRRP instance whose state it follows.
    pub instance: String,
    /// `id`; the VRID by default.
    pub id: Option<u8>,
    /// `maxlen`.
    pub max_length: Option<u16>,
    /// `port`.
    pub port: Option<u16>,
    /// `ttl`.
    pub ttl: Option<u8>,
    /// `group`.
    pub group: Option<IpAddr>,
}

/// `vrrp_iptables`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Iptables {
    /// Chain of incoming packets.
    pub input: String,
    /// Chain of outgoing packets.
    pub output: Option<String>,
}

/// Scheduling of one of keepalived's processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSettings {
    /// `*_priority`: nice value.
    pub nice: i32,
    /// `*_no_swap`: mlockall.
    pub no_swap: bool,
    /// `*_rt_priority`: SCHED_RR priority, 1 to 99.
    pub realtime: Option<u32>,
    /// `*_cpu_affinity`.
    pub affinity: Vec<u32>,
    /// `*_rlimit_rttime`, microseconds, 10000 by default.
    pub rlimit_rttime: u32,
}

impl Default for ProcessSettings {
    fn default() -> Self {
        ProcessSettings {
            nice: 0,
            no_swap: false,
            realtime: None,
            affinity: Vec::new(),
            rlimit_rttime: 10_000,
        }
    }
}

/// A notify FIFO and the script that reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotifyFifo {
    /// Path.
    pub path: String,
    /// Owner.
    pub owner: Identity,
    /// Reader; the path is its last argument.
    pub script: Option<Command>,
}

/// Receive buffer of a netlink socket, bytes; 0 is the kernel's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Buffer {
    /// Size.
    pub size: u32,
    /// `*_force`: SO_RCVBUFFORCE.
    pub force: bool,
}

/// Buffers of all netlink sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetlinkBuffers {
    /// `vrrp_netlink_cmd_rcv_bufs`.
    pub vrrp_command: Buffer,
    /// `vrrp_netlink_monitor_rcv_bufs`.
    pub vrrp_monitor: Buffer,
    /// `process_monitor_rcv_bufs`.
    pub process_monitor: Buffer,
    /// `lvs_netlink_cmd_rcv_bufs`.
    pub lvs_command: Buffer,
    /// `lvs_netlink_monitor_rcv_bufs`.
    pub lvs_monitor: Buffer,
}

/// `vrrp_rx_bufs_policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RxBufferPolicy {
    /// The kernel's default.
    #[default]
    Default,
    /// `MTU`.
    Mtu,
    /// `ADVERT`.
    Advert,
    /// Bytes.
    Size(u32),
}
