//! What an instance counts.

/// Counters of one instance, in the order of the JSON dump, then those that only SNMP shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Adverts that passed the checks up to the address list.
    pub advert_rcvd: u64,
    /// Adverts sent.
    pub advert_sent: u64,
    /// Times that it became master.
    pub become_master: u64,
    /// Times that it left master.
    pub release_master: u64,
    /// Wrong length.
    pub packet_len_err: u64,
    /// Wrong advert interval (VRRPv2).
    pub advert_interval_err: u64,
    /// TTL or hop limit not 255.
    pub ip_ttl_err: u64,
    /// Type not 1.
    pub invalid_type_rcvd: u64,
    /// Address list differs.
    pub addr_list_err: u64,
    /// Unknown authentication type.
    pub invalid_authtype: u64,
    /// Known authentication type, but not ours.
    pub authtype_mismatch: u64,
    /// Wrong password or ICV.
    pub auth_failure: u64,
    /// `auth_hmac` trailer missing.
    pub auth_ext_missing: u64,
    /// ... malformed.
    pub auth_ext_malformed: u64,
    /// ... key id unknown.
    pub auth_ext_unknown_key: u64,
    /// ... HMAC wrong.
    pub auth_ext_invalid_hmac: u64,
    /// ... outside the time window.
    pub auth_ext_stale: u64,
    /// ... seen before.
    pub auth_ext_replay: u64,
    /// Priority 0 received.
    pub pri_zero_rcvd: u64,
    /// Priority 0 sent.
    pub pri_zero_sent: u64,
    /// Wrong checksum.
    pub checksum_err: u64,
    /// Wrong version.
    pub version_err: u64,
    /// Refused for a reason that keepalived does not count: not a peer, multicast to a unicast instance, an AH
    /// header, `owner_ignore_adverts`.
    pub discarded: u64,
    /// Unknown VRID on the instance's socket (kept on the socket, copied here for SNMP).
    pub vrid_err: u64,
}
