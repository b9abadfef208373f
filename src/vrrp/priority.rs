//! Priorities and the times that follow from them (RFC 3768 6.1, RFC 9568 6.1).

use crate::model::vrrp::Version;

/// Priority of the address owner. Never changed by tracking.
pub(super) const OWNER: u8 = 255;

/// What something tracked adds to the priority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contribution {
    /// In words: `script chk`.
    pub name: String,
    /// Added; may be negative.
    pub value: i32,
}

/// Sum of base and contributions, before clamping.
pub(super) fn total(base: u8, contributions: &[Contribution]) -> i32 {
    contributions
        .iter()
        .fold(i32::from(base), |sum, c| sum.saturating_add(c.value))
}

/// The priority that results: 1 to 254, or 255 for an address owner whatever is tracked.
pub(super) fn effective(base: u8, total: i32) -> u8 {
    // Clamped: fits.
    if base == OWNER {
        OWNER
    } else {
        total.clamp(1, 254) as u8
    }
}

/// Skew time in nanoseconds. Version 2: (256 - priority) / 256 seconds, whatever the interval is. Version 3:
/// that part of the master's interval.
pub(super) fn skew(version: Version, priority: u8, master_interval: u64) -> u64 {
    let part = 256 - u64::from(priority);
    match version {
        Version::V2 => part * 1_000_000_000 / 256,
        Version::V3 => part * master_interval / 256,
    }
}

/// Master down interval in nanoseconds: `down_timer_adverts` intervals of the master and the skew time.
pub(super) fn master_down(version: Version, priority: u8, master_interval: u64, adverts: u32) -> u64 {
    u64::from(adverts) * master_interval + skew(version, priority, master_interval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn skew_is_not_cut_to_whole_seconds() {
        assert_eq!(skew(Version::V2, 100, 1000 * MS), 609_375_000);
        assert_eq!(skew(Version::V2, 254, 10_000 * MS), 7_812_500);
        assert_eq!(skew(Version::V3, 100, 1000 * MS), 609_375_000);
        assert_eq!(skew(Version::V3, 100, 10 * MS), 6_093_750);
    }

    #[test]
    fn master_down_interval_as_dumps_show_it() {
        // 125: `Master down timer = 3511718 usecs`; 120 at 0.5 s and four adverts in version 3: 2265625.
        assert_eq!(master_down(Version::V2, 125, 1000 * MS, 3) / 1000, 3_511_718);
        assert_eq!(master_down(Version::V3, 120, 500 * MS, 4) / 1000, 2_265_625);
    }

    #[test]
    fn an_owner_stays_an_owner() {
        assert_eq!(effective(255, 12), 255);
        assert_eq!(effective(100, 355), 254);
        assert_eq!(effective(100, -20), 1);
    }

    proptest! {
        #[test]
        fn effective_is_never_zero_and_owner_only_by_base(base in 1u8..=255, values in prop::collection::vec(any::<i32>(), 0..8)) {
            let contributions: Vec<_> =
                values.into_iter().map(|value| Contribution { name: String::new(), value }).collect();
            let effective = effective(base, total(base, &contributions));
            prop_assert!(effective >= 1);
            prop_assert_eq!(effective == 255, base == 255);
        }
    }
}
