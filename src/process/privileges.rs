//! What this process may do, and whose groups a script gets.

use crate::model::Identity;
use nix::unistd::{Gid, Uid, User, getgrouplist};
use std::collections::BTreeMap;
use std::ffi::CString;

/// A capability that something needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Which.
    pub capability: Capability,
    /// What does not work without it.
    pub why: String,
}

/// The capabilities that the daemon can have use for, with the kernel's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// CAP_KILL.
    Kill = 5,
    /// CAP_SETGID.
    Setgid = 6,
    /// CAP_SETUID.
    Setuid = 7,
    /// CAP_NET_ADMIN.
    NetAdmin = 12,
    /// CAP_NET_RAW.
    NetRaw = 13,
    /// CAP_IPC_LOCK.
    IpcLock = 14,
    /// CAP_SYS_ADMIN.
    SysAdmin = 21,
    /// CAP_SYS_NICE.
    SysNice = 23,
}

impl Capability {
    /// Name without `CAP_`, as container tools want it.
    pub fn name(self) -> &'static str {
        match self {
            Capability::Kill => "KILL",
            Capability::Setgid => "SETGID",
            Capability::Setuid => "SETUID",
            Capability::NetAdmin => "NET_ADMIN",
            Capability::NetRaw => "NET_RAW",
            Capability::IpcLock => "IPC_LOCK",
            Capability::SysAdmin => "SYS_ADMIN",
            Capability::SysNice => "SYS_NICE",
        }
    }
}

/// Says what does not work for want of a capability and how to grant it, one line each; empty when all is well.
pub fn missing(needs: &[Need]) -> Vec<String> {
    let held = effective_capabilities().unwrap_or(u64::MAX);
    lines(needs, held, nix::unistd::geteuid().as_raw())
}

fn lines(needs: &[Need], held: u64, user: u32) -> Vec<String> {
    let missing = needs
        .iter()
        .filter(|need| held & (1 << need.capability as u32) == 0);
    let line = |need: &Need| {
        let name = need.capability.name();
        // Without root capabilities do not survive the start of a program by themselves.
        let ambient = if user == 0 {
            String::new()
        } else {
            format!(
                " and AmbientCapabilities=; it runs as user {user}, so elsewhere root or `setcap` on the program is needed too"
            )
        };
        format!(
            "CAP_{name} is missing: {}. docker run --cap-add={name}; Kubernetes: securityContext: \
             {{capabilities: {{add: [\"{name}\"]}}}}; systemd: CAP_{name} in CapabilityBoundingSet={ambient}",
            need.why
        )
    };
    missing.map(line).collect()
}

fn effective_capabilities() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The groups of whoever runs scripts, looked up once.
#[derive(Debug, Clone, Default)]
pub struct ScriptGroups(BTreeMap<(u32, u32), Vec<u32>>);

impl ScriptGroups {
    /// Looks up these users; see [`supplementary_groups`].
    pub fn of(identities: impl IntoIterator<Item = Identity>, wanted: bool) -> ScriptGroups {
        let mut groups = BTreeMap::new();
        for Identity { uid, gid } in identities {
            groups
                .entry((uid, gid))
                .or_insert_with(|| supplementary_groups(uid, gid, wanted));
        }
        ScriptGroups(groups)
    }

    /// All groups of one of them; of any other its primary group.
    pub fn get(&self, identity: Identity) -> Vec<u32> {
        let known = self.0.get(&(identity.uid, identity.gid));
        known.cloned().unwrap_or_else(|| vec![identity.gid])
    }
}

/// Groups of a script beside `gid`: with `set_supplementary_groups` those of the user in the group database,
/// else none. Asks the user database, which may wait for a server: not for the threads that must not.
pub fn supplementary_groups(uid: u32, gid: u32, wanted: bool) -> Vec<u32> {
    let groups = || {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten()?;
        let name = CString::new(user.name).ok()?;
        getgrouplist(&name, Gid::from_raw(gid)).ok()
    };
    match wanted.then(groups).flatten() {
        Some(groups) => groups.into_iter().map(Gid::as_raw).collect(),
        None => vec![gid],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_at_least_the_primary_one() {
        assert_eq!(supplementary_groups(0, 0, false), [0]);
        assert_eq!(supplementary_groups(4_000_000_000, 7, true), [7]);
        assert!(supplementary_groups(0, 0, true).contains(&0));
    }

    #[test]
    fn each_missing_capability_is_named_with_the_line_that_grants_it() {
        let need = |capability, why: &str| Need {
            capability,
            why: why.to_owned(),
        };
        let needs = [
            need(Capability::NetAdmin, "no addresses"),
            need(Capability::NetRaw, "no adverts"),
        ];
        assert_eq!(lines(&needs, 1 << 12 | 1 << 13, 0), Vec::<String>::new());
        assert_eq!(
            lines(&needs, 1 << 12, 0),
            [
                "CAP_NET_RAW is missing: no adverts. docker run --cap-add=NET_RAW; Kubernetes: securityContext: \
              {capabilities: {add: [\"NET_RAW\"]}}; systemd: CAP_NET_RAW in CapabilityBoundingSet="
            ]
        );
        let told = lines(&needs, 0, 1000);
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("as user 1000"), "{told:?}");
    }
}
