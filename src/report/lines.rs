//! A [`Notice`] in keepalived's words, with its level and fields.
//!
//! Log monitors match these texts. Where keepalived says nothing, a line of ours says what it would be a
//! mistake to keep quiet about. After keepalived's text there is nothing but what its documentation promises
//! or, for two lines, a hint in brackets.

use crate::state::VrrpState;
use crate::state::notice::{Fault, Notice, Odd, What};
use std::fmt::{self, Display};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tracing::Level;

/// One line for the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// DEBUG only with `-D`, TRACE only with `-D -D`.
    pub level: Level,
    /// Text.
    pub text: String,
    /// `VRRP_INSTANCE`, or the group's name.
    pub instance: Option<Arc<str>>,
    /// `VRRP_STATE`.
    pub state: VrrpState,
    /// `VRRP_PRIORITY`.
    pub priority: u8,
    /// `VRRP_CAUSE`; empty where the text says it all.
    pub cause: Arc<str>,
    /// `VRRP_PEER`.
    pub peer: Option<IpAddr>,
}

/// The line of a notice.
pub fn line(notice: &Notice) -> Line {
    Line {
        level: level(&notice.what),
        text: Text(notice).to_string(),
        instance: notice.instance.clone().or_else(|| notice.group.clone()),
        state: notice.state,
        priority: notice.priority,
        cause: notice.cause.clone(),
        peer: notice.peer,
    }
}

/// Logs a notice through `tracing`, with its fields.
pub fn log(notice: &Notice) {
    log_with(notice, "");
}

/// The same, with what was found out about it behind the text.
pub fn log_with(notice: &Notice, more: &str) {
    macro_rules! say {
        ($level:expr, $line:expr) => {{
            let line = $line;
            let instance = line.instance.as_deref();
            let cause = Some(&*line.cause).filter(|cause| !cause.is_empty());
            let peer = line.peer.map(|peer| peer.to_string());
            tracing::event!(
                target: "vrrp",
                $level,
                VRRP_INSTANCE = instance,
                VRRP_STATE = line.state.as_str(),
                VRRP_PRIORITY = u64::from(line.priority),
                VRRP_CAUSE = cause,
                VRRP_PEER = peer.as_deref(),
                "{}{more}",
                line.text
            );
        }};
    }
    // A line that nobody wants is not written: `enabled!` needs the level as a constant.
    match level(&notice.what) {
        Level::ERROR => say!(Level::ERROR, line(notice)),
        Level::WARN => say!(Level::WARN, line(notice)),
        Level::INFO => say!(Level::INFO, line(notice)),
        Level::DEBUG if tracing::enabled!(target: "vrrp", Level::DEBUG) => say!(Level::DEBUG, line(notice)),
        Level::TRACE if tracing::enabled!(target: "vrrp", Level::TRACE) => say!(Level::TRACE, line(notice)),
        _ => {}
    }
}

fn level(what: &What) -> Level {
    match what {
        What::Timeout
        | What::SentZero
        | What::TrackedFile { .. }
        | What::PreemptDelayStarted(_)
        | What::PreemptDelayStopped
        | What::MasterSet
        | What::MasterChanged { .. }
        | What::IntervalLearned { .. }
        | What::IntervalRestored { .. }
        | What::HeardZero => Level::DEBUG,
        What::Conflict(_) | What::Unheard(_) => Level::WARN,
        _ => Level::INFO,
    }
}

struct Text<'a>(&'a Notice);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let notice = self.0;
        let n = notice.instance.as_deref().unwrap_or_default();
        let g = notice.group.as_deref().unwrap_or_default();
        let peer = Peer(notice.peer);
        match &notice.what {
            What::Entering { state, init: true } => {
                write!(f, "({n}) Entering {} STATE (init)", state.as_str())
            }
            What::Entering { state, init: false } => write!(f, "({n}) Entering {} STATE", state.as_str()),
            What::Fault(fault) => write_fault(f, n, fault),
            What::FaultAtStart => write!(f, "({n}) entering FAULT state"),
            What::GroupFaultAtStart { member } => {
                write!(f, "VRRP_Group({g}): Syncing {member} to FAULT state")
            }
            What::Syncing(state) => {
                write!(f, "VRRP_Group({g}) Syncing instances to {} state", state.as_str())
            }
            What::AhSync => write!(f, "({n}) IPSEC-AH : Syncing seq_num - Increment seq"),
            What::Timeout => write!(f, "({n}) Receive advertisement timeout"),
            What::Deaf { interface } => write!(
                f,
                "({n}) {interface} is up, but has received nothing since it came up; not becoming master before it has"
            ),
            What::SentZero => write!(f, "({n}) sent 0 priority"),
            What::Priority { from, to } => write!(f, "({n}) Changing effective priority from {from} to {to}"),
            What::TrackedFile { name, fault: true } => {
                write!(f, "({n}): tracked file {name} now FAULT state")
            }
            What::TrackedFile { name, fault: false } => {
                write!(f, "({n}): tracked file {name} leaving FAULT state")
            }
            What::BfdUp(name) => write!(f, "VRRP_Instance({n}) Tracked BFD instance {name} is UP"),
            What::PreemptDelayStarted(delay) => {
                write!(
                    f,
                    "({n}) start preempt delay ({}.{:06})",
                    delay.as_secs(),
                    delay.subsec_micros()
                )
            }
            What::PreemptDelayStopped => write!(f, "({n}) stop preempt delay"),
            What::MasterSet => write!(f, "({n}) master set to {peer}"),
            What::MasterChanged { from } => write!(f, "({n}) master changed from {from} to {peer}"),
            What::IntervalLearned { from, to } => write!(
                f,
                "({n}) advertisement interval updated from {}ms to {}ms by master",
                from.as_millis(),
                to.as_millis()
            ),
            What::IntervalRestored { from, to } => write!(
                f,
                "({n}) changing advert interval from {}ms to locally configured {}ms",
                from.as_millis(),
                to.as_millis()
            ),
            What::HigherPriority { theirs, ours } => {
                write!(
                    f,
                    "({n}) Master received advert from {peer} with higher priority {theirs}, ours {ours}"
                )
            }
            What::HigherAddress { priority } => write!(
                f,
                "({n}) Master received advert from {peer} with same priority {priority} but higher IP address than ours"
            ),
            What::LowerPriority {
                theirs,
                ours,
                answered,
            } => {
                let election = if *answered { ", forcing new election" } else { "" };
                write!(
                    f,
                    "({n}) Received advert from {peer} with lower priority {theirs}, ours {ours}{election}"
                )
            }
            What::Discarding { theirs } => {
                write!(
                    f,
                    "({n}) received lower priority ({theirs}) advert from {peer} - discarding"
                )
            }
            What::HeardZero if notice.state == VrrpState::Master => {
                write!(f, "({n}) Master received priority 0 message")
            }
            What::HeardZero => write!(f, "({n}) Backup received priority 0 advertisement"),
            What::OwnAddress => {
                write!(
                    f,
                    "({n}) WARNING - equal priority advert received from remote host with our IP address."
                )
            }
            What::OwnerConflict => write!(
                f,
                "({n}) CONFIGURATION ERROR: local instance and {peer} are both configured as address owner, please resolve"
            ),
            What::OwnerStillThere => write!(
                f,
                "({n}) {peer} is still advertising as address owner, please resolve - reducing our priority"
            ),
            What::OwnerSilent => write!(
                f,
                "({n}): rogue address owner appears to have stopped advertising"
            ),
            What::OwnerRestored { lower } => {
                let why = if *lower {
                    "received advert with lower priority"
                } else {
                    "other address owner has disappeared"
                };
                write!(f, "({n}) Restoring our priority to 255 since {why}")
            }
            What::Odd(odd) => write_odd(f, n, &peer, odd),
            What::SendFailed { errno, unicast } => {
                let text = nix::errno::Errno::from_raw(*errno).desc();
                if *unicast {
                    write!(f, "({n}) Cant send advert to {peer} ({text})")
                } else {
                    write!(f, "({n}): send advert error {errno} ({text})")
                }
            }
            What::Conflict(conflict) => super::company::write_conflict(f, n, &peer, conflict),
            What::ConflictOver { lasted, adverts } => {
                super::company::write_over(f, n, &peer, *lasted, *adverts)
            }
            What::Unheard(unheard) => super::company::write_unheard(f, n, unheard),
            What::TimerLate(late) => write!(f, "VRRP thread timer expired {} seconds ago", Seconds(*late)),
        }
    }
}

fn write_fault(f: &mut fmt::Formatter<'_>, n: &str, fault: &Fault) -> fmt::Result {
    match fault {
        Fault::Configuration => write!(f, "({n}) entering FAULT state (configuration error)"),
        Fault::NoPeer => write!(
            f,
            "({n}) Cannot use unicast without any peers - going to fault state"
        ),
        Fault::InterfaceMissing(name) | Fault::InterfaceDown(name) => {
            write!(f, "({n}): entering FAULT state (interface {name} down)")
        }
        Fault::NoAddress(version) => write!(
            f,
            "({n}) entering FAULT state (no IPv{version} address for interface)"
        ),
        Fault::SourceMissing => write!(f, "({n}): entering FAULT state (src address not configured)"),
        Fault::Script(name) => write!(f, "({n}): entering FAULT state due to script {name}"),
        // Whatever the number is: -254 is keepalived's mark of a fault.
        Fault::File(name, _) => {
            write!(
                f,
                "({n}): entering FAULT state (tracked file {name} has status -254)"
            )
        }
        Fault::Process(name) => {
            write!(
                f,
                "({n}) entering FAULT state (tracked process {name} quorum not achieved)"
            )
        }
        Fault::Bfd(name) => write!(f, "VRRP_Instance({n}) Tracked BFD instance {name} is DOWN"),
        Fault::Member(name) => write!(f, "({n}) entering FAULT state ({name} is in FAULT state)"),
    }
}

fn write_odd(f: &mut fmt::Formatter<'_>, n: &str, peer: &Peer, odd: &Odd) -> fmt::Result {
    match odd {
        Odd::Ah { present: true } => write!(f, "({n}) Received AH header but auth type not AH from {peer}"),
        Odd::Ah { present: false } => write!(f, "({n}) No AH header but auth type is AH from {peer}"),
        Odd::Length { got, want } => {
            let how = if got > want { "long" } else { "short" };
            write!(
                f,
                "({n}) vrrp packet from {peer} too {how}, length {got} and expect {want}"
            )
        }
        Odd::Ttl(got) => write!(
            f,
            "({n}) invalid TTL/HL from {peer}. Received {got} and expect 255"
        ),
        Odd::Version { got, want } => {
            write!(
                f,
                "({n}) wrong VRRP version from {peer}. Received {got} and expect {want}"
            )
        }
        Odd::AuthTypeUnknown(kind) => write!(f, "({n}) Invalid auth type from {peer}: {kind}"),
        Odd::AuthType { got, want } => {
            write!(f, "({n}) received a {got} auth from {peer}, expecting {want}!")
        }
        Odd::Password => write!(f, "({n}) received an invalid passwd from {peer}!"),
        Odd::AhCode => write!(
            f,
            "({n}) IPSEC-AH : invalid IPSEC HMAC-MD5 value. Due to fields mutation or bad password !"
        ),
        Odd::AhNext(next) => write!(
            f,
            "({n}) IPSEC-AH : protocol {next} inside from {peer}, and expect 112"
        ),
        Odd::AhSpi { got, want } => {
            write!(f, "IPSEC AH : invalid IPSEC SPI value. {got} and expect {want}")
        }
        Odd::AhReplayed { got, last } => write!(
            f,
            "({n}) IPSEC-AH : sequence number {got} already processed. Packet dropped. Local({last})"
        ),
        Odd::HmacMissing => write!(f, "({n}) missing authentication trailer from {peer}"),
        Odd::HmacMalformed => write!(f, "({n}) malformed authentication trailer from {peer}"),
        Odd::HmacKey(id) => write!(f, "({n}) unknown authentication key id {id} from {peer}"),
        Odd::HmacWrong => write!(f, "({n}) invalid authentication HMAC from {peer}"),
        Odd::HmacStale { skew, window } => write!(
            f,
            "({n}) stale authentication trailer from {peer}, clock skew {skew} sec exceeds window {window} sec"
        ),
        Odd::HmacReplayed => write!(f, "({n}) replayed authentication trailer from {peer}"),
        Odd::HmacSkew { skew, window } => write!(
            f,
            "({n}) authentication clock skew {skew} sec from {peer} approaching window {window} sec"
        ),
        Odd::IntervalV2 { ours, theirs } => {
            write!(
                f,
                "({n}) advertisement interval mismatch with {peer} mine={ours} sec rcv'd={theirs} sec"
            )
        }
        Odd::IntervalV3 { ours, theirs } => write!(
            f,
            "({n}) advertisement interval mismatch ours = {ours} centi-sec rcv'd={theirs} centi-sec"
        ),
        Odd::Type(kind) => write!(f, "({n}) Invalid packet type from {peer}. {kind} and expect 1"),
        Odd::TotalLength { header, got } => write!(
            f,
            "({n}) ip_tot_len mismatch against received length from {peer}. {header} and received {got}"
        ),
        Odd::Checksum {
            version,
            without_pseudo,
        } => {
            write!(f, "({n}) Invalid VRRPv{version} checksum from {peer}")?;
            if *without_pseudo {
                f.write_str(" (it has no pseudo header; v3_checksum_as_v2 would accept it)")?;
            }
            Ok(())
        }
        Odd::OldChecksum => write!(f, "({n}) Setting unicast VRRPv3 checksum to old version"),
        Odd::Cast { unicast } => {
            let (expected, got) = if *unicast {
                ("uni", "multi")
            } else {
                ("multi", "uni")
            };
            write!(
                f,
                "({n}) Expected {expected}cast packet but received {got}cast packet from {peer}"
            )
        }
        Odd::Owner => write!(
            f,
            "({n}) Dropping packet(s) from {peer} since we are address owner"
        ),
        Odd::VipCount { ours, theirs } => write!(f, "({n}) expected {ours} VIPs but received {theirs}"),
        Odd::VipMissing { vrid, address } => write!(
            f,
            "({n}) ip address associated with VRID {vrid} not present in advert from {peer}: {address}"
        ),
        Odd::NotAPeer => write!(f, "({n}) unicast source address {peer} not a unicast peer"),
        Odd::TtlRange { got, min, max } => {
            write!(f, "({n}) TTL/HL {got} from {peer} not in range [{min}, {max}]")
        }
    }
}

pub(super) struct Peer(Option<IpAddr>);

impl Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |address| address.fmt(f))
    }
}

struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(what: What, state: VrrpState) -> String {
        line(&Notice {
            instance: Some("VI_1".into()),
            group: Some("VG_1".into()),
            state,
            priority: 100,
            peer: Some("192.0.2.2".parse().unwrap()),
            cause: "".into(),
            what,
        })
        .text
    }

    /// Lines that keepalived 2.4.3 wrote.
    #[test]
    fn keepalived_s_words() {
        use VrrpState::{Backup, Fault as F, Master};
        let address: IpAddr = "192.0.2.100".parse().unwrap();
        let recorded = [
            (
                What::Entering {
                    state: Backup,
                    init: true,
                },
                Backup,
                "(VI_1) Entering BACKUP STATE (init)",
            ),
            (
                What::Entering {
                    state: F,
                    init: false,
                },
                F,
                "(VI_1) Entering FAULT STATE",
            ),
            (
                What::Fault(Fault::InterfaceDown("eth0".into())),
                F,
                "(VI_1): entering FAULT state (interface eth0 down)",
            ),
            (What::FaultAtStart, F, "(VI_1) entering FAULT state"),
            (
                What::Syncing(Master),
                Master,
                "VRRP_Group(VG_1) Syncing instances to MASTER state",
            ),
            (
                What::HeardZero,
                Backup,
                "(VI_1) Backup received priority 0 advertisement",
            ),
            (
                What::HeardZero,
                Master,
                "(VI_1) Master received priority 0 message",
            ),
            (
                What::HigherPriority {
                    theirs: 200,
                    ours: 100,
                },
                Master,
                "(VI_1) Master received advert from 192.0.2.2 with higher priority 200, ours 100",
            ),
            (
                What::LowerPriority {
                    theirs: 50,
                    ours: 100,
                    answered: true,
                },
                Master,
                "(VI_1) Received advert from 192.0.2.2 with lower priority 50, ours 100, forcing new election",
            ),
            (
                What::Odd(Odd::Ttl(100)),
                Master,
                "(VI_1) invalid TTL/HL from 192.0.2.2. Received 100 and expect 255",
            ),
            (
                What::Odd(Odd::Length { got: 40, want: 32 }),
                Master,
                "(VI_1) vrrp packet from 192.0.2.2 too long, length 40 and expect 32",
            ),
            (
                What::Odd(Odd::Checksum {
                    version: 2,
                    without_pseudo: false,
                }),
                Master,
                "(VI_1) Invalid VRRPv2 checksum from 192.0.2.2",
            ),
            (
                What::Odd(Odd::Type(2)),
                Master,
                "(VI_1) Invalid packet type from 192.0.2.2. 2 and expect 1",
            ),
            (
                What::Odd(Odd::IntervalV2 { ours: 1, theirs: 3 }),
                Master,
                "(VI_1) advertisement interval mismatch with 192.0.2.2 mine=1 sec rcv'd=3 sec",
            ),
            (
                What::Odd(Odd::VipMissing { vrid: 51, address }),
                Master,
                "(VI_1) ip address associated with VRID 51 not present in advert from 192.0.2.2: 192.0.2.100",
            ),
            (
                What::Odd(Odd::VipCount { ours: 1, theirs: 2 }),
                Master,
                "(VI_1) expected 1 VIPs but received 2",
            ),
            (
                What::Odd(Odd::Password),
                Master,
                "(VI_1) received an invalid passwd from 192.0.2.2!",
            ),
            (
                What::Odd(Odd::AuthType { got: 0, want: 1 }),
                Master,
                "(VI_1) received a 0 auth from 192.0.2.2, expecting 1!",
            ),
            (
                What::Odd(Odd::AuthTypeUnknown(9)),
                Master,
                "(VI_1) Invalid auth type from 192.0.2.2: 9",
            ),
            (
                What::SendFailed {
                    errno: 101,
                    unicast: false,
                },
                Master,
                "(VI_1): send advert error 101 (Network is unreachable)",
            ),
        ];
        for (what, state, expected) in recorded {
            assert_eq!(text(what, state), expected);
        }
    }
}
