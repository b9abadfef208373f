//! Things that happen and that an operator reads about: typed here, put into keepalived's words in
//! `report::lines`.

use super::VrrpState;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// One thing that happened to an instance or a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Instance name; `None` for a group's.
    pub instance: Option<Arc<str>>,
    /// Group name, for a group's.
    pub group: Option<Arc<str>>,
    /// State after it happened.
    pub state: VrrpState,
    /// Effective priority after it happened; 0 for a group.
    pub priority: u8,
    /// The other router, where there is one.
    pub peer: Option<IpAddr>,
    /// Why, in one sentence; empty where the line says it all.
    pub cause: Arc<str>,
    /// What.
    pub what: What,
}

/// What happened, with the numbers that belong to it.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A new state. `init`: the first one after the start.
    Entering {
        /// State.
        state: VrrpState,
        /// At start.
        init: bool,
    },
    /// Something keeps the instance from taking part.
    Fault(Fault),
    /// At start: the instance begins in FAULT.
    FaultAtStart,
    /// At start: the group begins in FAULT because of its member.
    GroupFaultAtStart {
        /// Member.
        member: Arc<str>,
    },
    /// AH: a lower master's sequence number is taken over, so that it hears us.
    AhSync,
    /// The group's other members follow.
    Syncing(VrrpState),
    /// A backup's timer expired.
    Timeout,
    /// A backup's timer expired, and its link has received nothing since it came up: it waits.
    Deaf {
        /// Link.
        interface: Arc<str>,
    },
    /// Priority 0 sent.
    SentZero,
    /// Tracking changed the effective priority.
    Priority {
        /// Before.
        from: u8,
        /// After.
        to: u8,
    },
    /// A weightless tracked file went into or out of its fault value.
    TrackedFile {
        /// Name.
        name: Arc<str>,
        /// Into.
        fault: bool,
    },
    /// A tracked BFD session came up.
    BfdUp(Arc<str>),
    /// `preempt_delay` begins.
    PreemptDelayStarted(Duration),
    /// `preempt_delay` is called off: a master that is not lower was heard.
    PreemptDelayStopped,
    /// First master heard.
    MasterSet,
    /// Another master than before.
    MasterChanged {
        /// Before.
        from: IpAddr,
    },
    /// VRRPv3: the master's interval is not the one we had.
    IntervalLearned {
        /// Before.
        from: Duration,
        /// Now.
        to: Duration,
    },
    /// VRRPv3: master now, with our own interval again.
    IntervalRestored {
        /// The former master's.
        from: Duration,
        /// Ours.
        to: Duration,
    },
    /// Master, heard a higher priority: gives way.
    HigherPriority {
        /// Theirs.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// Master, heard the same priority from a higher address: gives way.
    HigherAddress {
        /// Priority of both.
        priority: u8,
    },
    /// Master, heard a lower priority (or a lower address): stays.
    LowerPriority {
        /// Theirs.
        theirs: u8,
        /// Ours.
        ours: u8,
        /// Answered with an advert.
        answered: bool,
    },
    /// Backup, heard a lower priority than its own: takes over when its timer expires.
    Discarding {
        /// Theirs.
        theirs: u8,
    },
    /// Priority 0 received.
    HeardZero,
    /// An advert with our priority and our own source address.
    OwnAddress,
    /// Two address owners.
    OwnerConflict,
    /// The other address owner goes on: we step down to 254.
    OwnerStillThere,
    /// The other address owner does not advertise any more.
    OwnerSilent,
    /// 255 again. `lower`: because a lower priority was heard, not because of silence.
    OwnerRestored {
        /// See above.
        lower: bool,
    },
    /// A packet was refused, or something in it is odd. Reported once per kind until the state or the
    /// master changes.
    Odd(Odd),
    /// A send failed.
    SendFailed {
        /// errno.
        errno: i32,
        /// Unicast.
        unicast: bool,
    },
    /// Two masters: another router's adverts are heard, or refused, by a master that does not give way.
    Conflict(Arc<super::company::Conflict>),
    /// The other master is silent again.
    ConflictOver {
        /// From its first advert to its last.
        lasted: Duration,
        /// Adverts of it.
        adverts: u64,
    },
    /// Master, and nobody was ever heard since the start.
    Unheard(Arc<super::company::Unheard>),
    /// `timer_expired_backup`: the advert timer was served too late to be still master.
    TimerLate(Duration),
}

/// Why an instance cannot take part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The configuration is at fault (already reported when it was read).
    Configuration,
    /// `unicast_fault_no_peer`.
    NoPeer,
    /// The interface does not exist.
    InterfaceMissing(Arc<str>),
    /// An interface is down: its own, or a tracked one.
    InterfaceDown(Arc<str>),
    /// No source address; the number is the IP version.
    NoAddress(u8),
    /// `track_src_ip`: the source address is not there.
    SourceMissing,
    /// A script without weight fails.
    Script(Arc<str>),
    /// A file without weight has this value, or a weighted one -254 or less.
    File(Arc<str>, i64),
    /// A process without weight has not its quorum.
    Process(Arc<str>),
    /// A BFD session without weight is down.
    Bfd(Arc<str>),
    /// Another member of the sync group.
    Member(Arc<str>),
}

impl Fault {
    /// What the first verdict of a tracker says. keepalived keeps quiet about it: the script's own line has told
    /// it.
    pub fn is_first_verdict(&self) -> bool {
        matches!(self, Fault::Script(_) | Fault::Process(_))
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Configuration => f.write_str("the configuration of the instance is at fault"),
            Fault::NoPeer => f.write_str("unicast without a peer"),
            Fault::InterfaceMissing(name) => write!(f, "interface {name} does not exist"),
            Fault::InterfaceDown(name) => write!(f, "interface {name} down"),
            Fault::NoAddress(version) => write!(f, "no IPv{version} address for interface"),
            Fault::SourceMissing => f.write_str("src address not configured"),
            Fault::Script(name) => write!(f, "script {name} fails"),
            Fault::File(name, value) => write!(f, "tracked file {name} has status {value}"),
            Fault::Process(name) => write!(f, "tracked process {name} quorum not achieved"),
            Fault::Bfd(name) => write!(f, "BFD session {name} is down"),
            Fault::Member(name) => write!(f, "sync group member {name} is in FAULT"),
        }
    }
}

/// Something wrong with a received packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Odd {
    /// An AH header, or none, where the other was expected.
    Ah {
        /// There is one.
        present: bool,
    },
    /// Wrong length, in bytes with the IPv4 header.
    Length {
        /// Received.
        got: usize,
        /// Expected.
        want: usize,
    },
    /// TTL or hop limit not 255.
    Ttl(u8),
    /// Not our version.
    Version {
        /// Theirs.
        got: u8,
        /// Ours.
        want: u8,
    },
    /// No authentication type.
    AuthTypeUnknown(u8),
    /// Not our authentication type.
    AuthType {
        /// Theirs.
        got: u8,
        /// Ours.
        want: u8,
    },
    /// Wrong password.
    Password,
    /// AH: not made with our password, or changed on its way.
    AhCode,
    /// AH: not VRRP inside.
    AhNext(u8),
    /// AH: not made for this source.
    AhSpi {
        /// Theirs.
        got: u32,
        /// The source address.
        want: u32,
    },
    /// AH: seen before.
    AhReplayed {
        /// Theirs.
        got: u32,
        /// The last one.
        last: u32,
    },
    /// No `auth_hmac` trailer, and one is required.
    HmacMissing,
    /// A trailer of an unknown type.
    HmacMalformed,
    /// Made with a key that is not ours.
    HmacKey(u8),
    /// Its code is wrong.
    HmacWrong,
    /// Made at another time.
    HmacStale {
        /// Their clock against ours, seconds.
        skew: i64,
        /// `time_window`, seconds.
        window: u32,
    },
    /// Seen before.
    HmacReplayed,
    /// Accepted, but the clocks drift apart.
    HmacSkew {
        /// Their clock against ours, seconds.
        skew: i64,
        /// `time_window`, seconds.
        window: u32,
    },
    /// VRRPv2: not our interval, seconds.
    IntervalV2 {
        /// Ours.
        ours: u64,
        /// Theirs.
        theirs: u8,
    },
    /// VRRPv3: not our interval, centiseconds.
    IntervalV3 {
        /// Ours.
        ours: u64,
        /// Theirs.
        theirs: u16,
    },
    /// Type not 1.
    Type(u8),
    /// IPv4 total length differs from what was received.
    TotalLength {
        /// In the header.
        header: u16,
        /// Received.
        got: usize,
    },
    /// Wrong checksum.
    Checksum {
        /// VRRP version.
        version: u8,
        /// It would be right without the pseudo header.
        without_pseudo: bool,
    },
    /// The instance now computes checksums as old versions of keepalived do (`old_unicast_checksum`).
    OldChecksum,
    /// Multicast to a unicast instance, or the reverse.
    Cast {
        /// The instance is unicast.
        unicast: bool,
    },
    /// `owner_ignore_adverts`.
    Owner,
    /// Another number of addresses.
    VipCount {
        /// Ours.
        ours: usize,
        /// Theirs.
        theirs: usize,
    },
    /// One of our addresses is missing.
    VipMissing {
        /// Ours.
        vrid: u8,
        /// Address.
        address: IpAddr,
    },
    /// Sender is not a peer.
    NotAPeer,
    /// TTL outside the peer's limits.
    TtlRange {
        /// Received.
        got: u8,
        /// `min_ttl`.
        min: u8,
        /// `max_ttl`.
        max: u8,
    },
}

impl Odd {
    /// Kinds that keepalived reports each time, so that its dumps have no flag for them.
    pub const NOT_FLAGGED: u32 = 0b1111 << 25;

    /// Number of the kind, below 32: what is reported once per kind.
    pub fn kind(&self) -> u32 {
        match self {
            Odd::Ah { .. } => 0,
            Odd::Length { .. } => 1,
            Odd::Ttl(_) => 2,
            Odd::Version { .. } => 3,
            Odd::AuthTypeUnknown(_) => 4,
            Odd::AuthType { .. } => 5,
            Odd::Password => 6,
            Odd::IntervalV2 { .. } | Odd::IntervalV3 { .. } => 7,
            Odd::Type(_) => 8,
            Odd::TotalLength { .. } => 9,
            Odd::Checksum { .. } => 10,
            Odd::OldChecksum => 11,
            Odd::Cast { .. } => 12,
            Odd::Owner => 13,
            Odd::VipCount { .. } => 14,
            Odd::VipMissing { .. } => 15,
            Odd::NotAPeer => 16,
            Odd::TtlRange { .. } => 17,
            Odd::AhCode => 25,
            Odd::AhNext(_) => 26,
            Odd::AhSpi { .. } => 27,
            Odd::AhReplayed { .. } => 28,
            Odd::HmacMissing => 18,
            Odd::HmacMalformed => 19,
            Odd::HmacKey(_) => 20,
            Odd::HmacWrong => 21,
            Odd::HmacStale { .. } => 22,
            Odd::HmacReplayed => 23,
            Odd::HmacSkew { .. } => 24,
        }
    }
}
