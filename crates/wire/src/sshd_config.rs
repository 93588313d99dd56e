//! The ports in sshd_config(5).

use alloc::vec::Vec;

/// What sshd takes where no line names a port.
const DEFAULT: u16 = 22;

/// Ports that the lines before the first `Match` name, by `Port` and by `ListenAddress`, in order; 22 where none does.
/// Files that it includes are read by whoever reads this one: their text goes ahead.
pub fn ports(text: &str) -> Vec<u16> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        let Some(end) = line.find([' ', '\t', '=']) else { continue };
        let (key, value) = line.split_at(end);
        let value = value.trim_matches([' ', '\t', '=', '"']);
        let value = value.split([' ', '\t', '"', '#']).next().unwrap_or_default();
        let port = match key.to_ascii_lowercase().as_str() {
            "match" => break,
            "port" => value.parse().ok(),
            "listenaddress" => of_address(value),
            _ => None,
        };
        found.extend(port.filter(|port| *port != 0 && !found.contains(port)));
    }
    if found.is_empty() {
        found.push(DEFAULT);
    }
    found
}

/// `192.0.2.1:2222`, `[2001:db8::1]:2222`; an address alone has none.
fn of_address(value: &str) -> Option<u16> {
    let (host, port) = value.rsplit_once(':')?;
    let whole = !host.contains(':') || host.starts_with('[') && host.ends_with(']');
    whole.then(|| port.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_named_by_themselves_and_behind_addresses() {
        assert_eq!(ports("# Port 2\nPort 22\nport=2222\nPort \"2200\" # why\n"), [22, 2222, 2200]);
        assert_eq!(
            ports(
                "ListenAddress 192.0.2.1:222\nListenAddress [2001:db8::1]:223\nListenAddress 2001:db8::1\n"
            ),
            [222, 223]
        );
        assert_eq!(ports("PermitRootLogin no\nMatch User x\n  Port 99\n"), [22]);
        assert_eq!(ports("Port\nPort x\nPort 0\nPort 70000\nListenAddress ::\n"), [22]);
    }
}
