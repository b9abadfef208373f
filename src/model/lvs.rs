//! The load balancer: `virtual_server`, `virtual_server_group`, `SSL`.

use super::route::Family;
use super::script::NotifyScript;
use super::secret::Secret;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

pub use super::checker::{
    Checker, CheckerKind, Connection, DnsCheck, DnsType, FileCheck, HttpCheck, HttpProtocol, Pattern,
    StatusRange, UdpCheck, UdpReply, Url,
};

/// Everything that the load balancer is configured with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lvs {
    /// `virtual_server_group`.
    pub groups: Vec<ServerGroup>,
    /// `virtual_server`, in the order of the file.
    pub servers: Vec<VirtualServer>,
    /// `SSL`.
    pub ssl: Option<SslContext>,
}

/// `SSL`: what SSL_GET uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SslContext {
    /// `password` of the key.
    pub password: Option<Secret<String>>,
    /// `ca`: file; with it the server's certificate is verified.
    pub ca: Option<String>,
    /// `certificate`: file.
    pub certificate: Option<String>,
    /// `key`: file.
    pub key: Option<String>,
}

/// `virtual_server_group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerGroup {
    /// Name.
    pub name: String,
    /// Lines.
    pub entries: Vec<GroupEntry>,
}

/// One line of a `virtual_server_group`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupEntry {
    /// One address, a range of them, or a whole network: each is a service.
    Addresses {
        /// First address.
        first: IpAddr,
        /// Last address; the same for a single one.
        last: IpAddr,
        /// Port; 0 is all.
        port: u16,
    },
    /// `fwmark`.
    Mark {
        /// Mark.
        mark: u32,
        /// Family, where the line names one.
        family: Option<Family>,
    },
}

impl ServerGroup {
    /// It has entries with firewall marks.
    pub fn has_marks(&self) -> bool {
        self.entries.iter().any(|e| matches!(e, GroupEntry::Mark { .. }))
    }

    /// It has addresses of a family.
    pub fn has_family(&self, wanted: Family) -> bool {
        self.entries.iter().any(|e| match e {
            GroupEntry::Addresses { first, .. } => first.is_ipv6() == (wanted == Family::Inet6),
            GroupEntry::Mark { family, .. } => *family == Some(wanted),
        })
    }
}

/// What a virtual server answers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// An address and a port; 0 is all ports.
    Address(IpAddr, u16),
    /// `fwmark`.
    Mark(u32),
    /// `group`: the name, and the number of the virtual server among those of the group, from 0.
    Group(String, u32),
}

/// `protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The name in log lines: `none` where there is none.
    pub fn name(protocol: Option<Protocol>) -> &'static str {
        match protocol {
            Some(Protocol::Tcp) => "tcp",
            Some(Protocol::Udp) => "udp",
            Some(Protocol::Sctp) => "sctp",
            None => "none",
        }
    }
}

/// `lvs_method`: how packets reach the real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// Masquerading.
    #[default]
    Nat,
    /// Direct routing.
    Dr,
    /// A tunnel.
    Tun(Tunnel),
}

/// `lvs_method TUN` with its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tunnel {
    /// `type`.
    pub kind: TunnelKind,
    /// `port`, GUE only.
    pub port: u16,
    /// `csum`, `remcsum`.
    pub checksum: TunnelChecksum,
}

/// `type` of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TunnelKind {
    /// IP in IP.
    #[default]
    Ipip,
    /// Generic UDP encapsulation.
    Gue,
    /// GRE.
    Gre,
}

/// Checksums of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TunnelChecksum {
    /// `nocsum`.
    #[default]
    None,
    /// `csum`.
    Checksum,
    /// `remcsum`.
    Remote,
}

/// Flags of the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SchedulerFlags {
    /// `ops`: one packet scheduling, UDP.
    pub one_packet: bool,
    /// `flag-1`, `sh-fallback`, `mh-fallback`.
    pub flag1: bool,
    /// `flag-2`, `sh-port`, `mh-port`.
    pub flag2: bool,
    /// `flag-3`.
    pub flag3: bool,
}

/// `persistence_granularity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// Network mask.
    Mask(Ipv4Addr),
    /// Prefix length.
    Prefix(u8),
}

/// What virtual servers, real servers and checkers inherit from each other; `None` is not set here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// `alpha`.
    pub alpha: Option<bool>,
    /// `delay_loop`.
    pub delay_loop: Option<Duration>,
    /// `retry`.
    pub retry: Option<u32>,
    /// `delay_before_retry`.
    pub delay_before_retry: Option<Duration>,
    /// `warmup`.
    pub warmup: Option<Duration>,
    /// `connect_timeout`.
    pub connect_timeout: Option<Duration>,
}

impl Timing {
    /// What is not set here comes from the level above.
    pub fn or(self, above: Timing) -> Timing {
        Timing {
            alpha: self.alpha.or(above.alpha),
            delay_loop: self.delay_loop.or(above.delay_loop),
            retry: self.retry.or(above.retry),
            delay_before_retry: self.delay_before_retry.or(above.delay_before_retry),
            warmup: self.warmup.or(above.warmup),
            connect_timeout: self.connect_timeout.or(above.connect_timeout),
        }
    }
}

/// `virtual_server`.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualServer {
    /// What it answers to.
    pub service: Service,
    /// `protocol`; `None` for firewall marks.
    pub protocol: Option<Protocol>,
    /// Address family: of the address, of the group, `ip_family`, or of the first real server.
    pub family: Option<Family>,
    /// What real servers and checkers inherit; `delay_loop`, `connect_timeout` and `alpha` are set.
    pub timing: Timing,
    /// `inhibit_on_failure`.
    pub inhibit: bool,
    /// `lvs_sched`.
    pub scheduler: String,
    /// Flags of the scheduler.
    pub flags: SchedulerFlags,
    /// `lvs_method`.
    pub method: Method,
    /// `persistence_engine`, 15 characters at most.
    pub persistence_engine: Option<String>,
    /// `persistence_timeout`, seconds.
    pub persistence_timeout: Option<u32>,
    /// `persistence_granularity`.
    pub persistence_granularity: Option<Granularity>,
    /// `ha_suspend`.
    pub ha_suspend: bool,
    /// `smtp_alert`.
    pub smtp_alert: bool,
    /// `virtualhost`.
    pub virtual_host: Option<String>,
    /// `snmp_name`.
    pub snmp_name: Option<String>,
    /// `omega`.
    pub omega: bool,
    /// `quorum_up`.
    pub quorum_up: Option<NotifyScript>,
    /// `quorum_down`.
    pub quorum_down: Option<NotifyScript>,
    /// `quorum`, not more than the weights of the real servers.
    pub quorum: u32,
    /// `hysteresis`, below the quorum.
    pub hysteresis: u32,
    /// `weight` that real servers inherit.
    pub weight: u32,
    /// `sorry_server`.
    pub sorry_server: Option<SorryServer>,
    /// `real_server`, in the order of the file.
    pub real_servers: Vec<RealServer>,
}

/// `sorry_server`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SorryServer {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// `sorry_server_inhibit`.
    pub inhibit: bool,
    /// `sorry_server_lvs_method`.
    pub method: Method,
}

/// `real_server`.
#[derive(Debug, Clone, PartialEq)]
pub struct RealServer {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// `weight`, 0 to 65535.
    pub weight: u32,
    /// `lvs_method`.
    pub method: Method,
    /// `uthreshold`; 0 is no limit.
    pub upper_threshold: u32,
    /// `lthreshold`.
    pub lower_threshold: u32,
    /// `inhibit_on_failure`.
    pub inhibit: bool,
    /// `notify_up`.
    pub notify_up: Option<NotifyScript>,
    /// `notify_down`.
    pub notify_down: Option<NotifyScript>,
    /// What checkers inherit; `delay_loop`, `connect_timeout` and `alpha` are set.
    pub timing: Timing,
    /// `smtp_alert`.
    pub smtp_alert: bool,
    /// `virtualhost`.
    pub virtual_host: Option<String>,
    /// `snmp_name`.
    pub snmp_name: Option<String>,
    /// Checkers, in the order of the file.
    pub checkers: Vec<Checker>,
}

impl VirtualServer {
    /// The name of a real server of this virtual server in log lines: `[IP]:tcp:PORT`.
    pub fn real_server_name(&self, address: IpAddr, port: u16) -> String {
        format!("[{address}]:{}:{port}", Protocol::name(self.protocol))
    }
}

/// The name in log lines: `[IP]:tcp:PORT`, `FWM N`, `[GROUP]:N`.
impl fmt::Display for VirtualServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.service {
            Service::Address(address, port) => {
                write!(f, "[{address}]:{}:{port}", Protocol::name(self.protocol))
            }
            Service::Mark(mark) => write!(f, "FWM {mark}"),
            Service::Group(name, number) => write!(f, "[{name}]:{number}"),
        }
    }
}
