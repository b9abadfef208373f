//! Health checkers of real servers.

use super::script::Command;
use std::net::IpAddr;
use std::time::Duration;

/// One checker, with what it inherits.
#[derive(Debug, Clone, PartialEq)]
pub struct Checker {
    /// `alpha`: counts as failed until it first succeeds.
    pub alpha: bool,
    /// `delay_loop`: from check to check.
    pub delay_loop: Duration,
    /// `warmup`: the first check starts after a random part of it.
    pub warmup: Duration,
    /// `retry`: failures in a row that are lived with.
    pub retry: u32,
    /// `delay_before_retry`.
    pub delay_before_retry: Duration,
    /// `log_all_failures` of the checker itself (`checker_log_all_failures` has the same effect for all).
    pub log_all_failures: bool,
    /// What it does.
    pub kind: CheckerKind,
}

/// What a checker does.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckerKind {
    /// `TCP_CHECK`.
    Tcp(Connection),
    /// `HTTP_GET`, `SSL_GET`.
    Http(Box<HttpCheck>),
    /// `SMTP_CHECK`.
    Smtp {
        /// Where to.
        connection: Connection,
        /// `helo_name`.
        helo: String,
    },
    /// `DNS_CHECK`.
    Dns(DnsCheck),
    /// `MISC_CHECK`.
    Misc {
        /// `misc_path`, `user`.
        command: Command,
        /// `misc_timeout`.
        timeout: Duration,
        /// `misc_dynamic`: the exit status sets the weight.
        dynamic: bool,
    },
    /// `UDP_CHECK`.
    Udp(UdpCheck),
    /// `PING_CHECK`.
    Ping(Connection),
    /// `FILE_CHECK`.
    File(FileCheck),
    /// `BFD_CHECK`.
    Bfd {
        /// Name of the BFD instance.
        name: String,
    },
}

impl CheckerKind {
    /// The keyword.
    pub fn keyword(&self) -> &'static str {
        match self {
            CheckerKind::Tcp(_) => "TCP_CHECK",
            CheckerKind::Http(http) if http.tls => "SSL_GET",
            CheckerKind::Http(_) => "HTTP_GET",
            CheckerKind::Smtp { .. } => "SMTP_CHECK",
            CheckerKind::Dns(_) => "DNS_CHECK",
            CheckerKind::Misc { .. } => "MISC_CHECK",
            CheckerKind::Udp(_) => "UDP_CHECK",
            CheckerKind::Ping(_) => "PING_CHECK",
            CheckerKind::File(_) => "FILE_CHECK",
            CheckerKind::Bfd { .. } => "BFD_CHECK",
        }
    }
}

/// Where a checker connects to, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// `connect_ip`, else the real server's.
    pub address: IpAddr,
    /// `connect_port`, else the real server's.
    pub port: u16,
    /// `bindto`.
    pub bind_address: Option<IpAddr>,
    /// `bind_port`.
    pub bind_port: Option<u16>,
    /// `bind_if`.
    pub bind_interface: Option<String>,
    /// `connect_timeout`.
    pub timeout: Duration,
    /// `fwmark` of the packets; 0 is none.
    pub mark: u32,
}

/// `HTTP_GET`, `SSL_GET`.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpCheck {
    /// Where to.
    pub connection: Connection,
    /// `SSL_GET`.
    pub tls: bool,
    /// `virtualhost`, else the real server's, else the virtual server's.
    pub virtual_host: Option<String>,
    /// `http_protocol`.
    pub protocol: HttpProtocol,
    /// `enable_sni`.
    pub enable_sni: bool,
    /// `sni_name`.
    pub sni_name: Option<String>,
    /// `fast_recovery`.
    pub fast_recovery: bool,
    /// `tls_compliant`.
    pub tls_compliant: bool,
    /// `url`, in the order of the file; at least one.
    pub urls: Vec<Url>,
}

/// `http_protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpProtocol {
    /// `1.0`.
    #[default]
    V10,
    /// `1.0C`: with `Connection: close`.
    V10Close,
    /// `1.1`.
    V11,
}

/// `url` of a HTTP check.
#[derive(Debug, Clone, PartialEq)]
pub struct Url {
    /// `path`.
    pub path: String,
    /// `digest`: MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// `status_code`; empty is 200 to 299.
    pub status: Vec<StatusRange>,
    /// `virtualhost`.
    pub virtual_host: Option<String>,
    /// `regex`.
    pub pattern: Option<Pattern>,
    /// `tls_compliant`, where the url sets it.
    pub tls_compliant: Option<bool>,
}

/// Status codes that are good, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    /// First.
    pub first: u16,
    /// Last.
    pub last: u16,
}

/// `regex` of a url.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pattern {
    /// `regex`, escapes resolved.
    pub regex: String,
    /// `regex_no_match`.
    pub no_match: bool,
    /// `regex_options`: names that are known.
    pub options: Vec<String>,
    /// `regex_min_offset`.
    pub min_offset: usize,
    /// `regex_max_offset`; 0 is none.
    pub max_offset: usize,
    /// `regex_stack`: start and largest size of the matcher's stack.
    pub stack: Option<(u32, u32)>,
}

/// `DNS_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsCheck {
    /// Where to.
    pub connection: Connection,
    /// `type`.
    pub kind: DnsType,
    /// `name`; `.` is the root.
    pub name: String,
}

/// `type` of a DNS check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DnsType {
    /// A, 1.
    A,
    /// NS, 2.
    Ns,
    /// CNAME, 5.
    Cname,
    /// SOA, 6.
    #[default]
    Soa,
    /// MX, 15.
    Mx,
    /// TXT, 16.
    Txt,
    /// AAAA, 28.
    Aaaa,
    /// RRSIG, 46.
    Rrsig,
    /// DNSKEY, 48.
    Dnskey,
}

impl DnsType {
    /// All, with name and number.
    pub const ALL: [(DnsType, &'static str, u16); 9] = [
        (DnsType::A, "A", 1),
        (DnsType::Ns, "NS", 2),
        (DnsType::Cname, "CNAME", 5),
        (DnsType::Soa, "SOA", 6),
        (DnsType::Mx, "MX", 15),
        (DnsType::Txt, "TXT", 16),
        (DnsType::Aaaa, "AAAA", 28),
        (DnsType::Rrsig, "RRSIG", 46),
        (DnsType::Dnskey, "DNSKEY", 48),
    ];
}

/// `UDP_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpCheck {
    /// Where to.
    pub connection: Connection,
    /// `payload`; `None` is an empty datagram.
    pub payload: Option<Vec<u8>>,
    /// `require_reply`.
    pub reply: Option<UdpReply>,
    /// `min_reply_length`, 0 by default.
    pub min_length: u16,
    /// `max_reply_length`, 255 by default.
    pub max_length: u16,
}

/// `require_reply` with what the reply must start with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UdpReply {
    /// Bytes.
    pub data: Vec<u8>,
    /// Bits of `data` that count; `None` is all of them.
    pub mask: Option<Vec<u8>>,
}

/// `FILE_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCheck {
    /// Name of the `track_file`.
    pub file: String,
    /// Weight: own, else the file's.
    pub weight: i32,
    /// `reverse`.
    pub reverse: bool,
}
