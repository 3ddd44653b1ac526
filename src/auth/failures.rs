//! Wrong keys and refused sign-ins, by address. Nobody is locked out: comparing a key costs one hash, and who has the right one is
//! let in whatever others from there have tried.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;

use super::folds::Folds;

/// Failures that are remembered.
const FAILURES_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("it is not 0");

/// What was tried in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attempt {
    /// A key was shown that is not known.
    Key,
    /// A person was not signed in, for what this word says.
    Person(&'static str),
}

/// What makes two failures the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    /// `None` for a connection without an address.
    neighbourhood: Option<IpAddr>,
    attempt: Attempt,
}

impl Failure {
    /// Of an attempt from this address.
    pub fn new(address: Option<IpAddr>, attempt: Attempt) -> Failure {
        Failure { neighbourhood: address.map(neighbourhood), attempt }
    }
}

/// What was refused of late, folded.
pub fn failures<T: Clone>() -> Folds<Failure, T> {
    Folds::new(FAILURES_MAX)
}

/// One household has one IPv4 address, or 2^64 of IPv6.
pub fn neighbourhood(address: IpAddr) -> IpAddr {
    // IPv4 by way of a socket for both is IPv4.
    match address.to_canonical() {
        IpAddr::V4(four) => IpAddr::V4(four),
        IpAddr::V6(six) => IpAddr::from(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_a_network_is_one_and_each_attempt_is_for_itself() {
        let failure = |high: u64, low: u64, attempt| {
            let address = Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low));
            Failure::new(Some(IpAddr::from(address)), attempt)
        };
        let one = failure(0x2001_0db8_0000_0000, 1, Attempt::Key);
        assert_eq!(one, failure(0x2001_0db8_0000_0000, 2, Attempt::Key));
        assert_ne!(one, failure(0x2001_0db8_0000_0001, 1, Attempt::Key));
        assert_ne!(one, failure(0x2001_0db8_0000_0000, 1, Attempt::Person("no_role")));
        let four = |last| Failure::new(Some(IpAddr::from([10, 0, 0, last])), Attempt::Key);
        assert_ne!(four(1), four(2));
        let mapped = Failure::new(Some("::ffff:10.0.0.1".parse().unwrap()), Attempt::Key);
        assert_eq!(mapped, four(1), "whichever socket it came by");
    }
}
