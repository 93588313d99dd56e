//! /proc/net/tcp and tcp6: connections of local processes, and when their keepalives are due.
//!
//! Kernel: `get_tcp4_sock()`, net/ipv4/tcp_ipv4.c. The timer 2 of an ESTABLISHED connection is that of its
//! keepalives; its time stands in ticks of user space, of which there are 100 a second. Addresses are not read.

/// Ticks of user space in a second (`USER_HZ`).
const TICKS: u64 = 100;
/// `TCP_ESTABLISHED`, as the state column has it.
const ESTABLISHED: &str = "01";

/// An ESTABLISHED connection of a local process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSocket {
    /// Port on this side.
    pub local_port: u16,
    /// Port on the other side.
    pub remote_port: u16,
    /// Seconds until its next keepalive is due; `None`: it sends none.
    pub keepalive: Option<u64>,
}

/// The ESTABLISHED ones. Lines that can't be understood are passed over.
pub fn parse(text: &str) -> impl Iterator<Item = TcpSocket> + '_ {
    text.lines().skip(1).filter_map(line)
}

fn line(line: &str) -> Option<TcpSocket> {
    let mut columns = line.split_ascii_whitespace();
    columns.next()?;
    let (local, remote, state) = (columns.next()?, columns.next()?, columns.next()?);
    columns.next()?;
    let (timer, when) = columns.next()?.split_once(':')?;
    let port = |address: &str| u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok();
    if state != ESTABLISHED {
        return None;
    }
    let keepalive = match timer {
        "02" => Some(u64::from_str_radix(when, 16).ok()? / TICKS),
        _ => None,
    };
    Some(TcpSocket { local_port: port(local)?, remote_port: port(remote)?, keepalive })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Linux 6.18: a listener on 443, a client without keepalives, the server's side with SO_KEEPALIVE set just
    /// now. Cut: blanks at the ends.
    const TEXT: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 350229 1 0000000092c356fc 100 0 0 10 0
   1: 0100007F:B234 0100007F:01BB 01 00000000:00000000 00:00000000 00000000     0        0 350230 2 0000000053c292f3 20 0 0 10 -1
   2: 0100007F:01BB 0100007F:B234 01 00000000:00000000 02:000AFC80 00000000     0        0 350231 2 0000000030a95772 20 0 0 10 -1
";

    #[test]
    fn established_connections_and_their_keepalives_are_read() {
        let found: Vec<TcpSocket> = parse(TEXT).collect();
        let expected = [
            TcpSocket { local_port: 45_620, remote_port: 443, keepalive: None },
            TcpSocket { local_port: 443, remote_port: 45_620, keepalive: Some(7200) },
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_line_is_passed_over() {
        assert_eq!(parse("head\n: : :\n1: a b 01 c 02:zz\n").count(), 0);
    }
}
