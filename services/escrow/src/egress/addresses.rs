//! Which IP addresses belong to the public internet. Whatever is not known to, does not.
//!
//! Source: the special-purpose registries of IANA,
//! <https://www.iana.org/assignments/iana-ipv4-special-registry> and
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 networks that are not public: address and length of the prefix.
const PRIVATE_V4: [(Ipv4Addr, u32); 15] = [
    // "This network", and with it 0.0.0.0, which means this machine.
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    // Private.
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Carrier-grade NAT.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // This machine.
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local, and with it the metadata services of clouds.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Protocol assignments.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation.
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Relays of 6to4.
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Benchmarks.
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Multicast.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved, and with it the broadcast.
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// What is given out as global unicast. Outside of it is all that leads elsewhere: this machine, mapped and translated IPv4
/// (also by NAT64), unique local, link-local, site-local, multicast.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// Networks in it that are not public.
const PRIVATE_V6: [(Ipv6Addr, u32); 5] = [
    // Protocol assignments: Teredo, ORCHID, benchmarks and others.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation.
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4, which leads to any IPv4 address.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    // The 6bone, which is no more.
    (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16),
];

/// Whether an address is a public host's.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !PRIVATE_V4.iter().any(|(network, bits)| is_in_v4(address, *network, *bits)),
        IpAddr::V6(address) => {
            is_in_v6(address, GLOBAL_V6.0, GLOBAL_V6.1)
                && !PRIVATE_V6.iter().any(|(network, bits)| is_in_v6(address, *network, *bits))
        }
    }
}

fn is_in_v4(address: Ipv4Addr, network: Ipv4Addr, bits: u32) -> bool {
    (address.to_bits() ^ network.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0
}

fn is_in_v6(address: Ipv6Addr, network: Ipv6Addr, bits: u32) -> bool {
    (address.to_bits() ^ network.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_public_internet_are_asked() {
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00::1",
            "3ffd::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn addresses_that_lead_anywhere_else_are_not() {
        for (kind, addresses) in [
            ("unspecified", ["0.0.0.0", "0.1.2.3", "::"].as_slice()),
            ("private", &["10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1"]),
            ("carrier-grade NAT", &["100.64.0.0", "100.127.255.255"]),
            ("loopback", &["127.0.0.1", "127.255.255.255", "::1"]),
            ("link-local", &["169.254.169.254", "fe80::1", "febf::1"]),
            ("site-local", &["fec0::1"]),
            ("unique local", &["fc00::1", "fd00:ec2::254", "fdff::1"]),
            (
                "protocol assignments",
                &["192.0.0.1", "192.0.0.170", "2001:1::1", "2001:1ff::1", "100::1", "5f00::1"],
            ),
            (
                "documentation",
                &["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1", "3fff:fff::1"],
            ),
            ("benchmarks", &["198.18.0.0", "198.19.255.255", "2001:2::1"]),
            ("multicast", &["224.0.0.1", "239.255.255.255", "ff02::1"]),
            ("reserved and broadcast", &["240.0.0.1", "255.255.255.255"]),
            ("IPv4-mapped", &["::ffff:1.1.1.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"]),
            ("IPv4-compatible and translated", &["::1.1.1.1", "::127.0.0.1", "::ffff:0:127.0.0.1"]),
            ("NAT64", &["64:ff9b::1.1.1.1", "64:ff9b::127.0.0.1", "64:ff9b:1::10.0.0.1"]),
            ("6to4 and its relays", &["2002::1", "2002:7f00:1::1", "192.88.99.1"]),
            ("Teredo and ORCHID", &["2001::1", "2001:0:7f00::1", "2001:10::1", "2001:20::1"]),
            ("the 6bone", &["3ffe::1"]),
            ("not given out", &["4000::1", "1fff::1", "e000::1"]),
        ] {
            for address in addresses {
                assert!(!is_public(address.parse().unwrap()), "{kind}: {address}");
            }
        }
    }
}
