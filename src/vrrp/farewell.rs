//! The last advert of a master that cannot send it itself any more: somebody else holds its packets, its key, and
//! knows how far its sequence had come.

use super::advert::Prebuilt;
use super::group::Datagram;
use super::hmac::Sequence;
use crate::model::Instance;
use crate::model::secret::Password;
use crate::model::vrrp::AuthHmac;
use std::time::SystemTime;

/// How far the adverts of an instance have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// AH: the highest sequence number; `auth_hmac`: the last stamp; else 0.
    pub sequence: u64,
    /// Changes whenever more than priority and signature of the packets has changed.
    pub version: u32,
}

/// What adverts are signed with.
#[derive(Debug, Clone, PartialEq)]
pub enum Signing {
    /// Nothing, or the password that stands in them.
    None,
    /// `auth_type AH`.
    Ah {
        /// To peers: the TTL is not signed.
        unicast: bool,
        /// Password.
        password: Password,
    },
    /// `auth_hmac`.
    Hmac(AuthHmac),
}

impl Signing {
    /// That of an instance.
    pub fn of(config: &Instance) -> Signing {
        match (&config.auth_hmac, super::ah::password(config)) {
            (Some(hmac), _) => Signing::Hmac(hmac.clone()),
            (None, Some(password)) => Signing::Ah {
                unicast: config.unicast,
                password: Password::new(*password),
            },
            (None, None) => Signing::None,
        }
    }
}

/// Makes priority 0 of adverts, signed so that it is newer than anything that was sent.
pub fn farewell(
    datagrams: Vec<Datagram>,
    signing: &Signing,
    sequence: u64,
    wall: SystemTime,
) -> Vec<Datagram> {
    let mut advert = Prebuilt::taken_over(datagrams, 0);
    match signing {
        Signing::None => {}
        Signing::Ah { unicast, password } => {
            let next = u32::try_from(sequence).unwrap_or(u32::MAX).saturating_add(1);
            advert.sign_ah(*unicast, password.expose(), next);
        }
        Signing::Hmac(config) => {
            let mut stamps = Sequence::after(sequence);
            advert.sign(|source, message| stamps.sign(config, wall, source, message));
        }
    }
    advert.into_datagrams()
}
