//! Which addresses to advertise when the operator did not say.

use std::io;
use std::net::IpAddr;

use crate::sys;

/// Candidates' addresses, best first: the given ones, else the bound ones, a wildcard standing for every interface.
pub fn advertised(given: &[IpAddr], bound: &[IpAddr]) -> io::Result<Vec<IpAddr>> {
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    if !bound.iter().any(IpAddr::is_unspecified) {
        return Ok(bound.to_vec());
    }
    let interfaces = sys::interface_addresses()?;
    Ok(expand(bound, &interfaces))
}

fn expand(bound: &[IpAddr], interfaces: &[IpAddr]) -> Vec<IpAddr> {
    let any_v4 = bound.iter().any(|ip| ip.is_unspecified());
    let any_v6 = bound.iter().any(|ip| ip.is_unspecified() && ip.is_ipv6());
    let mut found: Vec<IpAddr> = bound.iter().copied().filter(|ip| !ip.is_unspecified()).collect();
    for ip in interfaces {
        let covered = if ip.is_ipv6() { any_v6 } else { any_v4 };
        if covered && usable(ip) && !found.contains(ip) {
            found.push(*ip);
        }
    }
    // Loopback last: it serves a browser on this machine, nobody else.
    found.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
    found
}

fn usable(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_link_local(),
        // Link-local addresses mean nothing without an interface, which a candidate cannot name.
        IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_wildcard_stands_for_every_interface_with_loopback_last() {
        let interfaces = [ip("127.0.0.1"), ip("10.0.0.7"), ip("fe80::1"), ip("2001:db8::7"), ip("::1")];
        assert_eq!(expand(&[ip("0.0.0.0")], &interfaces), [ip("10.0.0.7"), ip("127.0.0.1")]);
        let both = expand(&[ip("0.0.0.0"), ip("::")], &interfaces);
        assert_eq!(both, [ip("10.0.0.7"), ip("2001:db8::7"), ip("127.0.0.1"), ip("::1")]);
    }

    #[test]
    fn given_addresses_win_over_bound_ones() {
        assert_eq!(advertised(&[ip("203.0.113.9")], &[ip("0.0.0.0")]).unwrap(), [ip("203.0.113.9")]);
        assert_eq!(advertised(&[], &[ip("127.0.0.1")]).unwrap(), [ip("127.0.0.1")]);
    }
}
