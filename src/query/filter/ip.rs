//! `ip:203.0.113.7`, `ip:203.0.113.0/24`, `ip:203.0.*`: where it came from.
//!
//! Addresses and networks are compared as addresses, IPv4 within IPv6 as IPv4; everything else with the text as sent,
//! because real senders write `AWS Internal` there.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv6Addr};
use std::ops::ControlFlow;

use super::{EachMatch, Filter, Match};
use crate::query::error::ParseError;
use crate::query::lex::{Raw, Shape};
use crate::query::parse::Reading;
use crate::query::pattern::Pattern;
use crate::query::shown;
use crate::query::values;
use crate::query::view::View;

/// Where it came from.
#[derive(Clone, Debug, PartialEq)]
pub enum Ip {
    /// Compared with the text, folded.
    Text(Pattern),
    /// Compared with texts that are addresses. A single address is a network of one.
    Network(Cidr),
}

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// Its first address. IPv4 within IPv6 is written as IPv4.
    pub address: IpAddr,
    /// Leading bits that count: up to 32, or 128.
    pub prefix: u8,
}

impl Ip {
    pub(in crate::query) fn parse(raw: &Raw, reading: &Reading<'_>) -> Result<Filter, ParseError> {
        let text = raw.text();
        let plain = raw.shape == Shape::Quoted || (raw.shape == Shape::Bare && !raw.has_wildcard());
        let ip = match text.parse::<IpAddr>() {
            Ok(address) if plain => Ip::Network(Cidr::new(values::mapped(address), 128)),
            _ if plain && is_meant_as_network(&text) => Ip::Network(Cidr::read(&text).ok_or_else(|| {
                ParseError::value(raw.at, format!("\"{text}\""), "expected a network such as 203.0.113.0/24")
            })?),
            _ => Ip::Text(Pattern::read(raw, reading)?),
        };
        Ok(Filter::Ip(ip))
    }

    pub(in crate::query) fn each_match(&self, view: &View<'_>, each: &mut EachMatch<'_>) -> ControlFlow<()> {
        let event = view.event();
        let is_match = match self {
            Ip::Text(pattern) => values::ip_text(event).is_some_and(|text| pattern.is_match(&text)),
            Ip::Network(network) => values::ip_address(event).is_some_and(|address| network.contains(address)),
        };
        if is_match {
            each(Match::Values(shown::ip(event).as_slice()))?;
        }
        ControlFlow::Continue(())
    }
}

/// `::ffff:0.0.0.0`, the first of the addresses that are IPv4 (RFC 4291, 2.5.5.2).
const MAPPED_FIRST: u128 = 0xffff_0000_0000;
/// `::ffff:255.255.255.255`, the last.
const MAPPED_LAST: u128 = 0xffff_ffff_ffff;

/// What has only characters of an address before a slash; other texts may have a slash too.
fn is_meant_as_network(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, _)| address.chars().all(|c| c.is_ascii_hexdigit() || ".:".contains(c)))
}

impl Cidr {
    /// The network that `text` spells: address, slash, and how many of its bits count.
    pub(in crate::query) fn read(text: &str) -> Option<Cidr> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix: u8 = Some(prefix).filter(|p| p.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= width).then(|| Cidr::new(values::mapped(address), prefix + (128 - width)))
    }

    /// Whether `text` is an address, a slash and digits: a network, unless it has fewer bits than they say.
    pub(in crate::query) fn is_meant(text: &str) -> bool {
        text.split_once('/').is_some_and(|(address, prefix)| {
            address.parse::<IpAddr>().is_ok() && prefix.bytes().all(|byte| byte.is_ascii_digit())
        })
    }

    /// The network of `address`, of which `prefix` of 128 bits count.
    fn new(address: Ipv6Addr, prefix: u8) -> Cidr {
        let first = Ipv6Addr::from_bits(address.to_bits() & !host_bits(prefix));
        match first.to_ipv4_mapped() {
            Some(v4) if prefix >= 96 => Cidr { address: IpAddr::V4(v4), prefix: prefix - 96 },
            _ => Cidr { address: IpAddr::V6(first), prefix },
        }
    }

    /// First and last of the addresses that lie in it, IPv4 as IPv4-mapped IPv6. They are two ranges where a network of
    /// IPv6 goes around all of IPv4, which does not lie in it: `::/0` is IPv6 only.
    pub fn ranges(&self) -> impl Iterator<Item = (Ipv6Addr, Ipv6Addr)> {
        let first = values::mapped(self.address).to_bits();
        let ranges = match self.address {
            IpAddr::V4(_) => [Some((first, first | host_bits(self.prefix + 96))), None],
            IpAddr::V6(_) => {
                let last = first | host_bits(self.prefix);
                [(first, last.min(MAPPED_FIRST - 1)), (first.max(MAPPED_LAST + 1), last)].map(Some)
            }
        };
        let is_some = |(first, last): &(u128, u128)| first <= last;
        ranges.into_iter().flatten().filter(is_some).map(|(first, last)| (first.into(), last.into()))
    }

    /// Whether `address`, IPv4 as IPv4-mapped IPv6, lies in it.
    pub fn contains(&self, address: Ipv6Addr) -> bool {
        self.ranges().any(|(first, last)| first <= address && address <= last)
    }

    /// Whether `text` is an address that lies in it.
    pub fn contains_text(&self, text: &str) -> bool {
        text.parse().is_ok_and(|address| self.contains(values::mapped(address)))
    }

    /// Whether it holds one address only.
    pub fn is_single(&self) -> bool {
        self.prefix == if self.address.is_ipv4() { 32 } else { 128 }
    }
}

/// The bits behind `prefix` of 128.
fn host_bits(prefix: u8) -> u128 {
    u128::MAX.checked_shr(u32::from(prefix)).unwrap_or(0)
}

impl Display for Ip {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Ip::Text(pattern) => write!(f, "ip:{pattern}"),
            Ip::Network(network) => write!(f, "ip:{network}"),
        }
    }
}

impl Display for Cidr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.is_single() {
            true => self.address.fmt(f),
            false => write!(f, "{}/{}", self.address, self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_what_shares_its_first_bits_and_is_of_its_kind() {
        let addresses = ["::", "::1", "::7fff:0:0", "::fffe:ffff:ffff", "::ffff:0.0.0.0", "::ffff:10.1.2.3"]
            .into_iter()
            .chain(["::ffff:255.255.255.255", "::1:0:0:0", "64:ff9b::a01:203", "2001:db8::7", "8000::", "ffff::"])
            .map(|text| text.parse::<Ipv6Addr>().unwrap());
        let addresses: Vec<Ipv6Addr> = addresses.collect();
        for of in &addresses {
            for prefix in 0..=128 {
                let network = Cidr::new(*of, prefix);
                for address in &addresses {
                    let is_v4 = address.to_ipv4_mapped().is_some();
                    let differing = address.to_bits() ^ of.to_bits();
                    let expected = differing.leading_zeros() >= u32::from(prefix) && network.address.is_ipv4() == is_v4;
                    assert_eq!(network.contains(*address), expected, "{address} in {network}, of {of}/{prefix}");
                }
            }
        }
    }
}
