//! A session with the master agent, over a unix or a TCP socket.

use crate::wire::agentx::{self, HEADER, Header, Heard, Malformed, Said};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// A write may take this long: a master agent that does not read is given up.
const WRITING: Duration = Duration::from_secs(5);
/// Packets that may come before a handshake is through.
const AHEAD: usize = 64;
/// Where net-snmp listens, over TCP.
const PORT: u16 = 705;

/// Where the master agent is (`snmp_socket`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Path of a unix socket.
    Unix(String),
    /// Host and port.
    Tcp(String, u16),
    /// Something that AgentX does not run over.
    Unknown(String),
}

impl Endpoint {
    /// net-snmp's way to write an address; nothing is its default.
    pub fn parse(text: Option<&str>) -> Endpoint {
        let text = text.unwrap_or("unix:/var/agentx/master");
        if let Some(path) = text.strip_prefix("unix:") {
            return Endpoint::Unix(path.to_owned());
        }
        if text.starts_with('/') {
            return Endpoint::Unix(text.to_owned());
        }
        if ["udp", "dtlsudp", "tlstcp", "ssh", "ipx"].iter().any(|other| {
            text.strip_prefix(other)
                .is_some_and(|rest| rest.starts_with([':', '6']))
        }) {
            return Endpoint::Unknown(text.to_owned());
        }
        let rest = ["tcp:", "tcp6:", "tcpv6:", "tcpipv6:"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(text);
        if let Ok(port) = rest.parse() {
            return Endpoint::Tcp("localhost".to_owned(), port);
        }
        let (host, port) = match rest.rsplit_once(':') {
            // A bare IPv6 address has no port.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()),
            _ => (rest, Some(PORT)),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match port {
            Some(port) if !host.is_empty() => Endpoint::Tcp(host.to_owned(), port),
            _ => Endpoint::Unknown(text.to_owned()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => f.write_str(path),
            Endpoint::Tcp(host, port) if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Endpoint::Tcp(host, port) => write!(f, "tcp:{host}:{port}"),
            Endpoint::Unknown(text) => f.write_str(text),
        }
    }
}

/// Why there is no session, or no longer one.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// There is nobody.
    #[error("{0}")]
    Connect(io::Error),
    /// Not unix, not TCP.
    #[error("AgentX runs over unix and TCP sockets only")]
    Unknown,
    /// It went away.
    #[error("it has ended")]
    Gone,
    /// It closed the session.
    #[error("it closed the session")]
    Closed,
    /// A read or a write failed.
    #[error("{0}")]
    Broken(io::Error),
    /// It says nothing.
    #[error("it does not answer")]
    Silent,
    /// It speaks something else.
    #[error("{0}")]
    Malformed(Malformed),
    /// It does not want us.
    #[error("{}", refusal(*.0))]
    Refused(u16),
}

fn refusal(error: u16) -> String {
    match error {
        agentx::error::DUPLICATE_REGISTRATION => {
            "another program (keepalived?) answers for this MIB already".to_owned()
        }
        error => format!("it refuses with error {error}"),
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open session.
pub struct Session {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
    ahead: VecDeque<(Header, Heard)>,
    id: u32,
    packet: u32,
    /// When the master agent started, as it says.
    pub started: SystemTime,
}

impl Session {
    /// Connects, opens a session and registers `subtrees`. The caller limits the time.
    pub async fn open(
        endpoint: &Endpoint,
        description: &str,
        subtrees: &[Vec<u32>],
    ) -> Result<Session, Ended> {
        let stream: Box<dyn Stream> = match endpoint {
            Endpoint::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(Ended::Connect)?),
            Endpoint::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await;
                Box::new(stream.map_err(Ended::Connect)?)
            }
            Endpoint::Unknown(_) => return Err(Ended::Unknown),
        };
        let mut session = Session {
            stream,
            received: Vec::new(),
            ahead: VecDeque::new(),
            id: 0,
            packet: 0,
            started: SystemTime::now(),
        };
        let (header, uptime) = session.ask(Said::Open(description)).await?;
        session.id = header.session;
        let uptime = Duration::from_millis(u64::from(uptime) * 10);
        session.started = SystemTime::now()
            .checked_sub(uptime)
            .unwrap_or(SystemTime::UNIX_EPOCH);
        for subtree in subtrees {
            session.ask(Said::Register(subtree)).await?;
        }
        Ok(session)
    }

    /// Says something that wants no answer now.
    pub async fn say(&mut self, said: Said<'_>) -> Result<(), Ended> {
        self.packet = self.packet.wrapping_add(1);
        let bytes = agentx::emit(said, self.id, 0, self.packet);
        self.write(&bytes).await
    }

    /// Answers a request.
    pub async fn answer(&mut self, request: &Header, said: Said<'_>) -> Result<(), Ended> {
        let bytes = agentx::emit(said, request.session, request.transaction, request.packet);
        self.write(&bytes).await
    }

    /// The next packet. May be dropped and called again.
    pub async fn hear(&mut self) -> Result<(Header, Heard), Ended> {
        match self.ahead.pop_front() {
            Some(packet) => Ok(packet),
            None => self.read().await,
        }
    }

    async fn read(&mut self) -> Result<(Header, Heard), Ended> {
        loop {
            if let Some(packet) = take(&mut self.received).map_err(Ended::Malformed)? {
                return Ok(packet);
            }
            match self.stream.read_buf(&mut self.received).await {
                Ok(0) => return Err(Ended::Gone),
                Ok(_) => {}
                Err(error) => return Err(Ended::Broken(error)),
            }
        }
    }

    /// Says something and waits for the answer: its header, and `sysUpTime`.
    async fn ask(&mut self, said: Said<'_>) -> Result<(Header, u32), Ended> {
        self.say(said).await?;
        loop {
            let (header, heard) = self.read().await?;
            match heard {
                Heard::Response { error, uptime } if header.packet == self.packet => {
                    return match error {
                        agentx::error::NONE => Ok((header, uptime)),
                        error => Err(Ended::Refused(error)),
                    };
                }
                Heard::Close => return Err(Ended::Closed),
                _ if self.ahead.len() < AHEAD => self.ahead.push_back((header, heard)),
                _ => return Err(Ended::Silent),
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        match timeout(WRITING, self.stream.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Ended::Broken(error)),
            Err(_) => Err(Ended::Silent),
        }
    }
}

/// Takes a whole packet off the front of what has been received.
fn take(received: &mut Vec<u8>) -> Result<Option<(Header, Heard)>, Malformed> {
    let Some(head) = received.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let header = Header::parse(head)?;
    let end = HEADER + usize::try_from(header.length).unwrap_or(usize::MAX);
    let Some(payload) = received.get(HEADER..end) else {
        return Ok(None);
    };
    let heard = header.payload(payload)?;
    received.drain(..end);
    Ok(Some((header, heard)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_written_as_for_net_snmp() {
        let unix = |path: &str| Endpoint::Unix(path.into());
        let tcp = |host: &str, port| Endpoint::Tcp(host.into(), port);
        for (text, expected) in [
            (None, unix("/var/agentx/master")),
            (Some("unix:/run/a"), unix("/run/a")),
            (Some("/run/a"), unix("/run/a")),
            (Some("tcp:127.0.0.1:705"), tcp("127.0.0.1", 705)),
            (Some("127.0.0.1:1705"), tcp("127.0.0.1", 1705)),
            (Some("tcp:1705"), tcp("localhost", 1705)),
            (Some("host"), tcp("host", 705)),
            (Some("tcp6:[::1]:1705"), tcp("::1", 1705)),
            (Some("tcp6:::1"), tcp("::1", 705)),
            (
                Some("udp:127.0.0.1:705"),
                Endpoint::Unknown("udp:127.0.0.1:705".into()),
            ),
            (Some("tcp:host:port"), Endpoint::Unknown("tcp:host:port".into())),
        ] {
            assert_eq!(Endpoint::parse(text), expected, "{text:?}");
        }
        assert_eq!(tcp("::1", 705).to_string(), "tcp:[::1]:705");
    }

    #[test]
    fn packets_are_taken_when_they_are_whole() {
        let said = Said::Response {
            error: 0,
            index: 0,
            bindings: &[],
        };
        let mut bytes = agentx::emit(said, 1, 2, 3);
        bytes.extend(agentx::emit(Said::Ping, 1, 2, 4));
        let mut received = Vec::new();
        let mut taken = Vec::new();
        for byte in bytes {
            received.push(byte);
            if let Some((header, _)) = take(&mut received).unwrap() {
                taken.push((received.len(), header.packet));
            }
        }
        assert_eq!(taken, [(0, 3), (0, 4)]);
    }
}
