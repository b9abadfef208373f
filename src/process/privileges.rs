//! What this process may do, and whose groups a script gets.

use crate::model::Identity;
use nix::unistd::{Gid, Uid, User, getgrouplist};
use std::collections::BTreeMap;
use std::ffi::CString;

/// Capabilities without which parts of the daemon cannot work: number, name, what for.
const NEEDED: [(u32, &str, &str); 2] = [
    (12, "CAP_NET_ADMIN", "addresses cannot be set"),
    (13, "CAP_NET_RAW", "adverts cannot be sent or received"),
];

/// Says what cannot work for want of a capability, one sentence each; empty when all is well.
pub fn missing() -> Vec<String> {
    let effective = effective_capabilities().unwrap_or(u64::MAX);
    NEEDED
        .iter()
        .filter(|(number, _, _)| effective & (1 << number) == 0)
        .map(|(_, name, why)| {
            format!("{name} is missing: {why} (run as root; in a container add --cap-add={name})")
        })
        .collect()
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
}
