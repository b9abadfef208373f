//! Jitter and discriminators. The seed comes from the caller, so that a run can be repeated.

/// In 1/1024 of the interval.
pub(super) const LATITUDE: u64 = 102;

/// SplitMix64: a full period, and any seed will do.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// Begins with a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A discriminator: any number but 0.
    pub fn discriminator(&mut self) -> u32 {
        loop {
            let number = (self.next() >> 32) as u32;
            if number != 0 {
                return number;
            }
        }
    }

    /// Which part of the interval passes before the next packet may go out: 75 to 80 per cent, in 1/1024. It goes
    /// out before [`LATITUDE`] more have passed: 75 to 90 per cent in all (RFC 5880 6.8.7; keepalived keeps below
    /// 90 for every multiplier).
    pub fn jitter(&mut self) -> u64 {
        768 + self.next() % (819 - 768 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_in_its_limits_and_discriminators_are_not_zero() {
        let mut random = Random::new(0);
        let drawn: Vec<u64> = (0..5000).map(|_| random.jitter()).collect();
        assert!(drawn.iter().all(|part| (768..=819).contains(part)));
        assert!(drawn.contains(&768) && drawn.contains(&819));
        // 90 per cent at most.
        assert_eq!((819 + LATITUDE) * 100 / 1024, 89);
        assert!((0..1000).all(|_| random.discriminator() != 0));
        assert_ne!(Random::new(1).next(), Random::new(2).next());
    }
}
