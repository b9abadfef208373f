//! Sockets of checkers: opened, marked, bound and connected as the configuration says.

use crate::model::lvs::Connection;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The socket could not be made or bound: nothing is known about the server.
    #[error("{0}")]
    Socket(io::Error),
    /// No route.
    #[error("network unreachable")]
    Unreachable,
    /// Refused, reset, host unreachable.
    #[error("{0}")]
    Failed(io::Error),
    /// No answer within `connect_timeout`.
    #[error("no answer within {:.3} s", .0.as_secs_f64())]
    Timeout(Duration),
}

/// A TCP connection, within `connect_timeout`.
pub async fn tcp(connection: &Connection) -> Result<TcpStream, ConnectError> {
    let socket = open(connection, Type::STREAM, Protocol::TCP).map_err(ConnectError::Socket)?;
    let peer = peer(connection).map_err(ConnectError::Socket)?;
    let connecting = TcpSocket::from_std_stream(socket.into()).connect(peer);
    match tokio::time::timeout(connection.timeout, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(failed(error)),
        Err(_) => Err(ConnectError::Timeout(connection.timeout)),
    }
}

/// A connected UDP socket: it takes datagrams and ICMP errors of its peer only.
pub fn udp(connection: &Connection) -> Result<UdpSocket, ConnectError> {
    let socket = open(connection, Type::DGRAM, Protocol::UDP).map_err(ConnectError::Socket)?;
    let peer = peer(connection).map_err(ConnectError::Socket)?;
    socket.connect(&SockAddr::from(peer)).map_err(failed)?;
    UdpSocket::from_std(socket.into()).map_err(ConnectError::Socket)
}

/// A non-blocking socket with mark, device and local address.
pub(super) fn open(connection: &Connection, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let domain = Domain::for_address(SocketAddr::new(connection.address, 0));
    let socket = Socket::new(domain, kind.nonblocking().cloexec(), Some(protocol))?;
    if connection.mark != 0 {
        socket.set_mark(connection.mark)?;
    }
    if let Some(interface) = &connection.bind_interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    let local = connection.bind_address.or_else(|| {
        // `bind_port` alone.
        connection.bind_port.map(|_| match connection.address {
            IpAddr::V4(_) => IpAddr::from([0; 4]),
            IpAddr::V6(_) => IpAddr::from([0; 16]),
        })
    });
    if let Some(local) = local {
        let port = connection.bind_port.unwrap_or(0);
        if port != 0 {
            // A connection of the last check in TIME_WAIT would be in the way: closing resets it.
            socket.set_reuse_address(true)?;
            if kind == Type::STREAM {
                socket.set_linger(Some(Duration::ZERO))?;
            }
        }
        let local = scoped(local, port, connection.bind_interface.as_deref())?;
        socket.bind(&SockAddr::from(local))?;
    }
    Ok(socket)
}

/// Where to connect to.
pub(super) fn peer(connection: &Connection) -> io::Result<SocketAddr> {
    scoped(
        connection.address,
        connection.port,
        connection.bind_interface.as_deref(),
    )
}

fn scoped(address: IpAddr, port: u16, interface: Option<&str>) -> io::Result<SocketAddr> {
    match (address, interface) {
        (IpAddr::V6(v6), Some(interface)) if v6.is_unicast_link_local() => {
            let index = nix::net::if_::if_nametoindex(interface)?;
            Ok(SocketAddrV6::new(v6, port, 0, index).into())
        }
        _ => Ok(SocketAddr::new(address, port)),
    }
}

fn failed(error: io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::NetworkUnreachable => ConnectError::Unreachable,
        _ => ConnectError::Failed(error),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    /// To a port of this machine.
    pub fn to(port: u16) -> Connection {
        Connection {
            address: Ipv4Addr::LOCALHOST.into(),
            port,
            bind_address: None,
            bind_port: None,
            bind_interface: None,
            timeout: Duration::from_millis(300),
            mark: 0,
        }
    }

    #[tokio::test]
    async fn where_it_comes_from() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let free = || {
            let listener = std::net::TcpListener::bind(("127.0.0.3", 0)).unwrap();
            listener.local_addr().unwrap().port()
        };
        let free = free();
        let mut connection = to(listener.local_addr().unwrap().port());
        connection.bind_address = Some(IpAddr::from([127, 0, 0, 3]));
        connection.bind_port = Some(free);
        connection.bind_interface = Some("lo".to_owned());
        for _ in 0..3 {
            let stream = tcp(&connection).await.unwrap();
            let (accepted, from) = listener.accept().unwrap();
            assert_eq!(from, SocketAddr::from(([127, 0, 0, 3], free)));
            drop(stream);
            drop(accepted);
        }
    }

    #[tokio::test]
    async fn what_goes_wrong() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut connection = to(listener.local_addr().unwrap().port());
        drop(listener);
        assert!(matches!(tcp(&connection).await, Err(ConnectError::Failed(_))));
        connection.bind_address = Some(IpAddr::from([192, 0, 2, 9]));
        assert!(matches!(tcp(&connection).await, Err(ConnectError::Socket(_))));
        connection.bind_address = None;
        connection.bind_interface = Some("no-such-if".to_owned());
        assert!(matches!(tcp(&connection).await, Err(ConnectError::Socket(_))));
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer() {
        // A full queue of connections: further ones get no answer.
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener
            .bind(&SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0))))
            .unwrap();
        listener.listen(0).unwrap();
        let connection = to(listener.local_addr().unwrap().as_socket().unwrap().port());
        let mut waiting = Vec::new();
        for _ in 0..4 {
            match tcp(&connection).await {
                Ok(stream) => waiting.push(stream),
                Err(ConnectError::Timeout(_)) => return,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("{} connections were answered", waiting.len());
    }
}
