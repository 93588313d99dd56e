//! The part of a filter that the kernel can apply.

use plimsoll_ct::Status;
use plimsoll_flows::{End, Expr, Filter, Flag, Port, Side, Test};
use plimsoll_probe::entries::Filter as Narrow;

/// What every entry that the filter lets through has. The filter judges all the same: old kernels ignore parts of it in
/// silence.
pub fn narrow(filter: &Filter) -> Narrow {
    let mut narrow = Narrow::default();
    match &filter.expr {
        Some(Expr::And(list)) => list.iter().for_each(|expr| add(expr, &mut narrow)),
        Some(expr) => add(expr, &mut narrow),
        None => {}
    }
    if narrow.protocol.is_none() {
        narrow.destination_port = None;
    }
    narrow
}

fn add(expr: &Expr, narrow: &mut Narrow) {
    let (test, yes) = match expr {
        Expr::Test(test) => (test, true),
        Expr::Not(inner) => match &**inner {
            Expr::Test(test) => (test, false),
            Expr::Not(_) | Expr::And(_) | Expr::Or(_) => return,
        },
        Expr::And(list) => return list.iter().for_each(|expr| add(expr, narrow)),
        Expr::Or(_) => return,
    };
    match (test, yes) {
        (Test::Family(family), true) => _ = narrow.family.get_or_insert(*family),
        (Test::Protocol(protocol), true) => _ = narrow.protocol.get_or_insert(*protocol),
        (Test::Port { side: Side::Original, end: End::Destination, ports }, true) => {
            if let [Port::Range(first, last)] = ports[..]
                && first == last
            {
                narrow.destination_port.get_or_insert(first);
            }
        }
        (Test::Flag(flag), yes) => {
            let (bit, set) = match flag {
                Flag::Assured => (Status::ASSURED, yes),
                Flag::Replied => (Status::SEEN_REPLY, yes),
                Flag::Unreplied => (Status::SEEN_REPLY, !yes),
                Flag::Offloaded | Flag::Expected | Flag::Dying | Flag::Fixed => return,
            };
            let (value, mask) = narrow.status.get_or_insert((Status::empty(), Status::empty()));
            // Two that contradict each other: the filter finds out.
            if !mask.contains(bit) {
                *mask |= bit;
                *value |= if set { bit } else { Status::empty() };
            }
        }
        // An entry without a mark has none that is 0, but for the kernel it has: only others are narrowed.
        (Test::Mark(marks), true) => {
            if let [mark] = marks[..]
                && mark.value & mark.mask.unwrap_or(u32::MAX) != 0
            {
                narrow.mark.get_or_insert((mark.value, mark.mask.unwrap_or(u32::MAX)));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use plimsoll_ct::{Family, Protocol};
    use plimsoll_flows::Names;

    fn of(text: &str) -> Narrow {
        narrow(&Filter::parse(text, &Names::default()).unwrap())
    }

    #[test]
    fn only_what_all_matching_entries_have_is_asked_of_the_kernel() {
        let found = of("tcp and dport 443 and not assured and mark 0x1/0xff");
        assert_eq!(found.protocol, Some(Protocol::Tcp));
        assert_eq!(found.destination_port, Some(443));
        assert_eq!(found.status, Some((Status::empty(), Status::ASSURED)));
        assert_eq!(found.mark, Some((1, 0xff)));
        assert_eq!(of("tcp or udp"), Narrow::default());
        assert_eq!(of("not tcp"), Narrow::default());
        assert_eq!(of("dport 443"), Narrow::default());
        assert_eq!(of("mark 0"), Narrow::default());
        assert_eq!(of("mark 1,2 and dport 80-90 tcp").mark, None);
        assert_eq!(of("ipv6 (unreplied or tcp)").family, Some(Family::V6));
        assert_eq!(
            of("ipv6 and (assured and replied)").status,
            Some((Status::SEEN_REPLY | Status::ASSURED, Status::SEEN_REPLY | Status::ASSURED))
        );
    }
}
