//! What the daemon tells its guard: one JSON text each, with its length in front.

use super::{Known, Packets};
use crate::model::secret::{Key, Password};
use crate::model::vrrp::{AuthHmac, HmacMode};
use crate::net::adverts::SocketSpec;
use crate::net::objects::Object;
use crate::vrrp::farewell::Signing;
use crate::vrrp::group::Datagram;
use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use zeroize::{Zeroize, Zeroizing};

/// Longest message.
const LONGEST: usize = 1 << 24;
/// Room for a message, to begin with.
const ROOM: usize = 2048;
/// Addresses, routes and rules in one message.
const OBJECTS: usize = 64;

#[derive(Serialize, Deserialize)]
pub(super) enum Message {
    /// How to report. Comes first.
    Configure {
        /// Report what was done on standard error.
        stderr: bool,
        /// Report it to syslog, with this facility.
        facility: Option<u32>,
    },
    /// Replaces what was told of this one.
    Instance {
        id: u32,
        name: String,
        signature: Signature,
    },
    /// This one is no more.
    Forget {
        id: u32,
    },
    Objects {
        id: u32,
        objects: Vec<Object>,
    },
    Packets {
        id: u32,
        spec: SocketSpec,
        datagrams: Vec<Datagram>,
    },
    /// The VRRP thread is dead: do now what the death of the daemon would make you do.
    Act,
    /// All is given back: end.
    Goodbye,
}

#[derive(Serialize, Deserialize)]
pub(super) enum Signature {
    None,
    Ah {
        unicast: bool,
        password: [u8; 8],
    },
    Hmac {
        id: u8,
        key: Vec<u8>,
        window: u32,
        monotonic: bool,
    },
}

impl Signature {
    fn of(signing: &Signing) -> Signature {
        match signing {
            Signing::None => Signature::None,
            Signing::Ah { unicast, password } => Signature::Ah {
                unicast: *unicast,
                password: *password.expose(),
            },
            Signing::Hmac(config) => match config.key(config.active_key) {
                Some(key) if config.mode != HmacMode::ReceiveOnly => Signature::Hmac {
                    id: config.active_key,
                    key: key.expose().clone(),
                    window: config.time_window,
                    monotonic: config.monotonic,
                },
                _ => Signature::None,
            },
        }
    }

    /// Takes the secrets over; the message's own memory is wiped by whoever read it.
    pub fn signing(self) -> Signing {
        match self {
            Signature::None => Signing::None,
            Signature::Ah { unicast, password } => Signing::Ah {
                unicast,
                password: Password::new(password),
            },
            Signature::Hmac {
                id,
                key,
                window,
                monotonic,
            } => Signing::Hmac(AuthHmac {
                keys: vec![(id, Key::new(key))],
                active_key: id,
                time_window: window,
                monotonic,
                mode: HmacMode::default(),
            }),
        }
    }
}

impl Message {
    /// What is to be told of one instance.
    pub fn instance(known: &Known) -> impl Iterator<Item = Message> {
        let id = known.id.0;
        let first = Message::Instance {
            id,
            name: known.name.clone(),
            signature: Signature::of(&known.signing),
        };
        let rest = known
            .objects
            .chunks(OBJECTS)
            .map(move |objects| Message::Objects {
                id,
                objects: objects.to_vec(),
            });
        std::iter::once(first).chain(rest)
    }

    /// The adverts of one instance.
    pub fn packets(packets: &Packets) -> Message {
        Message::Packets {
            id: packets.instance.0,
            spec: packets.spec.clone(),
            datagrams: packets.datagrams.clone(),
        }
    }

    /// As it is sent. Its secrets are wiped, here and when what is sent is dropped.
    pub fn into_bytes(mut self) -> io::Result<Zeroizing<Vec<u8>>> {
        let bytes = self.bytes();
        if let Message::Instance { signature, .. } = &mut self {
            match signature {
                Signature::None => {}
                Signature::Ah { password, .. } => password.zeroize(),
                Signature::Hmac { key, .. } => key.zeroize(),
            }
        }
        bytes
    }

    fn bytes(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        // What holds a secret fits: memory that is left for more room would keep it.
        let mut bytes = Zeroizing::new(Vec::with_capacity(ROOM));
        bytes.extend_from_slice(&[0; 4]);
        serde_json::to_writer(&mut *bytes, self)?;
        let length = bytes.len() - 4;
        if length > LONGEST {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        bytes[..4].copy_from_slice(&(length as u32).to_ne_bytes());
        Ok(bytes)
    }

    /// Reads one, waiting for the rest of it. `None`: there is nobody who could send one.
    pub fn read(stream: &mut impl Read) -> io::Result<Option<Message>> {
        let mut length = [0; 4];
        match stream.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let length = u32::from_ne_bytes(length) as usize;
        if length > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = Zeroizing::new(vec![0; length]);
        match stream.read_exact(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        Ok(Some(serde_json::from_slice(&bytes)?))
    }
}
