//! Reading and making packets, independent of the daemon's own code: a mistake there must not hide here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a frame is, as far as these tests care.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Receive stamp: wall clock, nanoseconds.
    pub at: i64,
    pub from_mac: [u8; 6],
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Advert(Advert),
    Arp {
        request: bool,
        sender: Ipv4Addr,
        sender_mac: [u8; 6],
        target: Ipv4Addr,
    },
    NeighbourAdvert {
        source: Ipv6Addr,
        target: Ipv6Addr,
        flags: u8,
    },
    Echo {
        reply: bool,
        source: Ipv4Addr,
        target: Ipv4Addr,
    },
}

#[derive(Clone, Debug)]
pub struct Advert {
    pub source: IpAddr,
    pub target: IpAddr,
    pub ttl: u8,
    pub version: u8,
    pub vrid: u8,
    pub priority: u8,
    pub addresses: u8,
    /// Seconds in version 2, hundredths in version 3.
    pub interval: u16,
    pub length: usize,
}

impl Seen {
    pub fn read(at: i64, frame: &[u8]) -> Option<Self> {
        let from_mac = frame.get(6..12)?.try_into().ok()?;
        let body = frame.get(14..)?;
        let what = match frame.get(12..14)? {
            [0x08, 0x00] => ipv4(body),
            [0x86, 0xdd] => ipv6(body),
            [0x08, 0x06] => arp(body),
            _ => None,
        }?;
        Some(Self { at, from_mac, what })
    }

    pub fn advert(&self) -> Option<&Advert> {
        if let What::Advert(advert) = &self.what {
            Some(advert)
        } else {
            None
        }
    }

    pub fn is_advert(&self, vrid: u8) -> bool {
        self.advert().is_some_and(|advert| advert.vrid == vrid)
    }

    /// An advert of this virtual router from this address, priority 0 excepted.
    pub fn is_advert_of(&self, vrid: u8, source: &str) -> bool {
        self.advert()
            .is_some_and(|a| a.vrid == vrid && a.priority > 0 && a.source.to_string() == source)
    }

    /// Gratuitous: the sender asks for, or tells, its own address.
    pub fn is_gratuitous_arp(&self, address: &str) -> bool {
        matches!(&self.what, What::Arp { sender, target, .. } if sender == target && sender.to_string() == address)
    }

    pub fn is_neighbour_advert(&self, address: &str) -> bool {
        matches!(&self.what, What::NeighbourAdvert { target, .. } if target.to_string() == address)
    }

    /// The address it comes from; empty for what has none.
    pub fn source(&self) -> String {
        match &self.what {
            What::Advert(advert) => advert.source.to_string(),
            What::Arp { sender, .. } => sender.to_string(),
            What::NeighbourAdvert { source, .. } => source.to_string(),
            What::Echo { source, .. } => source.to_string(),
        }
    }
}

fn ipv4(packet: &[u8]) -> Option<What> {
    let header = usize::from(packet.first()? & 15) * 4;
    let total = usize::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
    let (source, target) = (address(12)?, address(16)?);
    let body = packet.get(header..total)?;
    match packet.get(9)? {
        112 => advert(source.into(), target.into(), *packet.get(8)?, body),
        51 => advert(source.into(), target.into(), *packet.get(8)?, body.get(24..)?),
        1 => match body.first()? {
            0 => Some(What::Echo {
                reply: true,
                source,
                target,
            }),
            8 => Some(What::Echo {
                reply: false,
                source,
                target,
            }),
            _ => None,
        },
        _ => None,
    }
}

fn ipv6(packet: &[u8]) -> Option<What> {
    let address = |at: usize| {
        Some(Ipv6Addr::from(
            <[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?,
        ))
    };
    let (source, target) = (address(8)?, address(24)?);
    let body = packet.get(40..)?;
    match packet.get(6)? {
        112 => advert(source.into(), target.into(), *packet.get(7)?, body),
        58 if body.first() == Some(&136) => {
            let target = Ipv6Addr::from(<[u8; 16]>::try_from(body.get(8..24)?).ok()?);
            Some(What::NeighbourAdvert {
                source,
                target,
                flags: *body.get(4)?,
            })
        }
        _ => None,
    }
}

fn advert(source: IpAddr, target: IpAddr, ttl: u8, body: &[u8]) -> Option<What> {
    let [kind, vrid, priority, addresses, high, low] = *body.first_chunk::<6>()?;
    let version = kind >> 4;
    let interval = if version == 2 {
        u16::from(low)
    } else {
        u16::from_be_bytes([high & 15, low])
    };
    Some(What::Advert(Advert {
        source,
        target,
        ttl,
        version,
        vrid,
        priority,
        addresses,
        interval,
        length: body.len(),
    }))
}

fn arp(body: &[u8]) -> Option<What> {
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(body.get(at..at + 4)?).ok()?));
    Some(What::Arp {
        request: body.get(7)? == &1,
        sender_mac: body.get(8..14)?.try_into().ok()?,
        sender: address(14)?,
        target: address(24)?,
    })
}

/// An advertisement to send, right or wrong. The default is a right one of version 2.
#[derive(Clone, Debug)]
pub struct Forged {
    pub source: Ipv4Addr,
    pub target: Ipv4Addr,
    pub mac: [u8; 6],
    pub ttl: u8,
    pub version: u8,
    pub kind: u8,
    pub vrid: u8,
    pub priority: u8,
    pub addresses: Vec<Ipv4Addr>,
    /// The number of addresses that it claims, when that is not how many there are.
    pub count: Option<u8>,
    pub auth_type: u8,
    pub auth: [u8; 8],
    pub interval: u8,
    pub wrong_checksum: bool,
    /// So many bytes are left off the end, before the checksum is made.
    pub cut: usize,
    /// So many zero bytes are put at the end.
    pub extra: usize,
}

impl Forged {
    pub fn new(source: Ipv4Addr, vrid: u8, priority: u8, address: Ipv4Addr) -> Self {
        Self {
            source,
            target: Ipv4Addr::new(224, 0, 0, 18),
            mac: [2, 0, 0, 0, 0, 0x66],
            ttl: 255,
            version: 2,
            kind: 1,
            vrid,
            priority,
            addresses: vec![address],
            count: None,
            auth_type: 0,
            auth: [0; 8],
            interval: 1,
            wrong_checksum: false,
            cut: 0,
            extra: 0,
        }
    }

    /// A right one of version 3, with its interval in hundredths of a second.
    pub fn version_3(mut self, centiseconds: u8) -> Self {
        self.version = 3;
        self.interval = centiseconds;
        self.cut = self.auth.len();
        self
    }

    pub fn password(mut self, password: &str) -> Self {
        self.auth_type = 1;
        self.auth = [0; 8];
        for (to, from) in self.auth.iter_mut().zip(password.bytes()) {
            *to = from;
        }
        self
    }

    /// The Ethernet frame.
    pub fn frame(&self) -> Vec<u8> {
        let count = self
            .count
            .unwrap_or_else(|| u8::try_from(self.addresses.len()).unwrap_or(255));
        let mut body = vec![
            self.version << 4 | self.kind,
            self.vrid,
            self.priority,
            count,
            self.auth_type,
            self.interval,
            0,
            0,
        ];
        for address in &self.addresses {
            body.extend_from_slice(&address.octets());
        }
        body.extend_from_slice(&self.auth);
        body.truncate(body.len() - self.cut);
        body.resize(body.len() + self.extra, 0);
        // Version 3 covers the addresses and the length (RFC 9568 5.2.8).
        let pseudo: Vec<u8> = match self.version {
            3 => {
                let length = u16::try_from(body.len()).unwrap_or(0).to_be_bytes();
                let parts: [&[u8]; 4] = [&self.source.octets(), &self.target.octets(), &[0, 112], &length];
                parts.concat()
            }
            _ => Vec::new(),
        };
        let sum = checksum(&[pseudo, body.clone()].concat()) ^ if self.wrong_checksum { 0x1111 } else { 0 };
        if let Some(field) = body.get_mut(6..8) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
        ethernet_ipv4(self.mac, self.source, self.target, self.ttl, &body)
    }
}

/// A frame with this VRRP message, whatever it holds.
pub fn ethernet_ipv4(mac: [u8; 6], source: Ipv4Addr, target: Ipv4Addr, ttl: u8, body: &[u8]) -> Vec<u8> {
    let [_, b, c, d] = target.octets();
    let mut frame = vec![0x01, 0x00, 0x5e, b & 0x7f, c, d];
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&[0x08, 0x00]);
    let total = u16::try_from(20 + body.len()).unwrap_or(u16::MAX);
    let mut header = vec![0x45, 0xc0];
    header.extend_from_slice(&total.to_be_bytes());
    header.extend_from_slice(&[0, 1, 0, 0, ttl, 112, 0, 0]);
    header.extend_from_slice(&source.octets());
    header.extend_from_slice(&target.octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend_from_slice(&header);
    frame.extend_from_slice(body);
    frame
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}
