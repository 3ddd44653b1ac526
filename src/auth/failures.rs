//! Wrong keys and refused sign-ins, folded: the first from an address is told at once, what follows as a number every few
//! minutes. Nobody is locked out: comparing a key costs one hash, and who has the right one is let in whatever others from there have tried.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;

/// What was refused from one address is told once in so long, ms.
pub const FOLD_MS: u64 = 5 * 60 * 1000;
/// Addresses that are remembered; beyond, that whose failure is longest ago is forgotten.
const ADDRESSES_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("it is not 0");

/// What was tried in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attempt {
    /// A key was shown that is not known.
    Key,
    /// A person was not signed in, for what this word says.
    Person(&'static str),
}

struct Told {
    at_ms: u64,
    since: u64,
}

/// What was refused of late.
pub struct Failures {
    /// By address, none for a connection without one, and by what was tried. Held to count one.
    by_address: Mutex<LruCache<(Option<IpAddr>, Attempt), Told>>,
}

impl Default for Failures {
    fn default() -> Failures {
        Failures { by_address: Mutex::new(LruCache::new(ADDRESSES_MAX)) }
    }
}

impl Failures {
    /// Counts one. Answers how many there were since the last that was told of, this one included, if it is to be told now.
    pub fn count(&self, address: Option<IpAddr>, attempt: Attempt, now_ms: u64) -> Option<u64> {
        let place = (address.map(neighbourhood), attempt);
        let mut by_address = self.by_address.lock();
        let told = match by_address.get_mut(&place) {
            Some(told) => told,
            None => {
                by_address.put(place, Told { at_ms: now_ms, since: 0 });
                return Some(1);
            }
        };
        told.since += 1;
        if now_ms < told.at_ms + FOLD_MS {
            return None;
        }
        told.at_ms = now_ms;
        Some(std::mem::take(&mut told.since))
    }
}

/// One household has one IPv4 address, or 2^64 of IPv6.
pub(super) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => IpAddr::from(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_failures_are_told_of_twice() {
        let failures = Failures::default();
        let here = Some(IpAddr::from([127, 0, 0, 1]));
        let told: Vec<u64> = (0..10_000).filter_map(|n| failures.count(here, Attempt::Key, n)).collect();
        assert_eq!(told, [1]);
        assert_eq!(
            failures.count(Some(IpAddr::from([10, 0, 0, 1])), Attempt::Key, 5),
            Some(1),
            "each address for itself"
        );
        assert_eq!(failures.count(here, Attempt::Key, FOLD_MS), Some(10_000));
        assert_eq!(failures.count(here, Attempt::Key, FOLD_MS + 1), None);
        assert_eq!(failures.count(here, Attempt::Person("no_role"), FOLD_MS + 1), Some(1), "each attempt for itself");
    }

    #[test]
    fn whoever_has_a_network_is_one() {
        let failures = Failures::default();
        let six = |low: u64| Some(IpAddr::from(Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | u128::from(low))));
        assert_eq!(failures.count(six(1), Attempt::Key, 0), Some(1));
        assert_eq!(failures.count(six(2), Attempt::Key, 1), None);
    }

    #[test]
    fn however_many_addresses_fail_memory_is_bounded() {
        let failures = Failures::default();
        for n in 0..20_000_u32 {
            failures.count(Some(IpAddr::from(n.to_be_bytes())), Attempt::Key, 0);
        }
        assert_eq!(failures.by_address.lock().len(), ADDRESSES_MAX.get());
    }
}
