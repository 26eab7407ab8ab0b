//! Where somebody comes from, as limits count them: never more finely than people are given
//! addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is that of the machine itself. The other addresses of its loopback interface
/// are not what people at it use.
pub fn is_this_machine(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address == IpAddr::V4(Ipv4Addr::LOCALHOST) || address == IpAddr::V6(Ipv6Addr::LOCALHOST)
}

/// What one machine or household has: an IPv4 address, or 64 bits of IPv6.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => address,
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that addresses of one household count as one.
    #[test]
    fn a_household_is_one() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert!(is_this_machine(network("::1")) && is_this_machine(network("127.0.0.1")));
        assert!(!is_this_machine(network("127.0.0.9")) && !is_this_machine(network("::2")));
    }
}
