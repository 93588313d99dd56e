//! Watching whether packets are still dropped.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use plimsoll_ct::Counter;
use plimsoll_diagnosis::Said;
use plimsoll_diagnosis::plan::Target;
use plimsoll_wire::statistics::parse_proc;

use crate::place::Place;

/// Long enough to see drops that matter.
pub(crate) const GLANCE: Duration = Duration::from_secs(1);

/// What was counted over a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Packets that conntrack dropped.
    pub drops: u64,
    /// Packets that the interfaces received: whether there was anything to drop.
    pub packets: u64,
    /// The span.
    pub span: Duration,
}

/// Watches a namespace for so long.
pub fn watch(target: &Target, span: Duration) -> io::Result<Flow> {
    let place = Place::open(target, None)?
        .ok_or_else(|| io::Error::other(Said::of("the namespace is gone", "命名空间已经不在了")))?;
    place.run(|| {
        let (drops, packets) = (drops()?, packets()?);
        std::thread::sleep(span);
        Ok(Flow {
            drops: self::drops()?.saturating_sub(drops),
            packets: self::packets()?.saturating_sub(packets),
            span,
        })
    })
}

/// Watches all namespaces for so long: what is the whole machine's, such as the limit, is a matter of each.
pub fn watch_all(span: Duration) -> io::Result<Flow> {
    let all = Place::all();
    // One may be gone meanwhile, or not count.
    let counts = || -> Vec<Option<[u64; 2]>> {
        all.iter().map(|(_, place)| place.run(|| Ok([drops()?, packets()?])).ok()).collect()
    };
    let before = counts();
    std::thread::sleep(span);
    let mut flow = Flow { drops: 0, packets: 0, span };
    for (before, after) in before.into_iter().zip(counts()) {
        let (Some(before), Some(after)) = (before, after) else { continue };
        flow.drops += after[0].saturating_sub(before[0]);
        flow.packets += after[1].saturating_sub(before[1]);
    }
    Ok(flow)
}

/// Watches for so long whether a file stays away. The modules that came when it did not.
pub fn stays_away(path: &str, span: Duration) -> io::Result<Option<Vec<String>>> {
    const LOOKS: u32 = 20;
    for _ in 0..LOOKS {
        if Path::new(path).exists() {
            let modules = fs::read_to_string("/proc/modules")?;
            let names = modules.lines().filter_map(|l| l.split(' ').next());
            return Ok(Some(names.filter(|n| n.contains("conntrack")).map(Into::into).collect()));
        }
        std::thread::sleep(span / LOOKS);
    }
    Ok(None)
}

/// Of the calling thread's namespace.
fn drops() -> io::Result<u64> {
    let read = |name| fs::read(format!("/proc/thread-self/net/stat/{name}"));
    let text = read("nf_conntrack").or_else(|_| read("ip_conntrack"))?;
    let found = parse_proc(&text).map_err(|e| io::Error::other(Said::from(e)))?;
    Ok(found.cpus.sum().get(Counter::Drop).unwrap_or(0))
}

/// Received packets over all interfaces: the second number behind each name.
fn packets() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/net/dev")?;
    let received = text.lines().filter_map(|line| {
        let (_, numbers) = line.split_once(':')?;
        numbers.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    Ok(received.sum())
}
