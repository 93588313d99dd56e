//! Stages: a lab in a known state, kept in it for as long as the stage is held. For tests of whatever
//! looks at a table.
//!
//! Each says what a reader of the server's namespace must find. Everything on them is real traffic; the
//! one thing that is staged beyond that is the age of the connections of [`established_idle`].

use crate::address::{SERVICE_PORT, Sources};
use crate::attempt::{Attempt, attempt};
use crate::nat::Senders;
use crate::visitors::Service;
use crate::{Closing, Firewall, Flood, Kind, Lab, LabError, Namespace, Options, Pace, Visitors};
use plimsoll_ct::{Entries, Seconds};
use std::time::{Duration, Instant};

/// A lab with the traffic that keeps it in its state. Dropping it ends the traffic, then the lab.
#[derive(Debug)]
pub struct Stage {
    visitors: Option<Visitors>,
    flood: Option<Flood>,
    senders: Option<Senders>,
    // Last: the traffic ends first.
    lab: Lab,
}

impl Stage {
    fn new(options: Options) -> Result<Self, LabError> {
        let lab = Lab::build(&Options { patience: PATIENCE, ..options })?;
        Ok(Self { visitors: None, flood: None, senders: None, lab })
    }

    /// A lab with rules, whose table will hold at most about so many entries.
    fn tracking(entries: u64) -> Result<Self, LabError> {
        Self::new(Options { entries: Some(Entries(entries)), ..Options::default() })
    }

    /// A lab whose table will be full, at the host's limit or at another one.
    fn to_be_full(limit: Option<Entries>) -> Result<Self, LabError> {
        Self::new(Options { limit, ..Options::default() })
    }

    /// The lab.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The namespace whose table is on stage.
    pub fn server(&self) -> &Namespace {
        self.lab.server()
    }

    /// The visitors, on stages that have some.
    pub fn visitors(&self) -> Option<&Visitors> {
        self.visitors.as_ref()
    }

    /// The flood, on stages that have one.
    pub fn flood(&self) -> Option<&Flood> {
        self.flood.as_ref()
    }

    fn visited(mut self, per_second: u32) -> Result<Self, LabError> {
        self.visitors = Some(self.lab.keep_visiting(per_second)?);
        Ok(self)
    }

    /// Entries that saw no reply live 30 s by default: on a busy machine they would begin to expire before the end.
    fn lasting(self, timeout: &str) -> Result<Self, LabError> {
        self.lab.set_timeout(timeout, Seconds(600))?;
        Ok(self)
    }

    /// First so many packets at once, then a steady flow.
    fn flooded(
        mut self,
        kind: Kind,
        sources: Sources,
        burst: u64,
        per_second: u64,
    ) -> Result<Self, LabError> {
        // Entries of the burst are known when its packets are through: they pass inside the send.
        self.lab.flood(kind, sources, Pace::burst(burst))?.finish()?;
        let steady = Pace { per_second: Some(per_second), packets: None };
        self.flood = Some(self.lab.flood_from(kind, sources, steady, burst)?);
        Ok(self)
    }
}

/// How long a stage waits for other labs, if it or one of them changes the limit.
const PATIENCE: Duration = Duration::from_secs(300);
/// Packets of a flood that come before a stage is handed over.
const BURST: u64 = 40_000;
/// And those of each second afterwards.
const STEADY: u64 = 1_000;

/// Tracking is on, nothing happens: no entry.
pub fn idle() -> Result<Stage, LabError> {
    Stage::tracking(0)
}

/// An ordinary server: tracking is on, ten visitors a second, all served.
pub fn quiet() -> Result<Stage, LabError> {
    Stage::tracking(5_000)?.visited(10)
}

/// No rule needs tracking, so nothing is tracked, though there are visitors.
pub fn untracked() -> Result<Stage, LabError> {
    Stage::new(Options { stateful: false, entries: Some(Entries(0)), ..Options::default() })?
        .visited(10)
}

/// Full of ASSURED connections, and dropping: 1,000 SYNs a second find no place. At the host's limit
/// (10 s for 262,144) or at a lower one, set for as long as the stage is held.
pub fn assured_full(limit: Option<Entries>) -> Result<Stage, LabError> {
    let mut stage = Stage::to_be_full(limit)?;
    let lab = &stage.lab;
    let free = lab.limit().get().get().saturating_sub(lab.count()?);
    lab.fill_tcp(free, Closing::Silent, &|_| {})?;
    stage.flood = Some(lab.flood(Kind::Syn, Sources::Unanswered, Pace::steady(STEADY))?);
    dropping(lab)?;
    Ok(stage)
}

/// Full of entries that saw no reply: each new one pushes an old one out (early drop), almost none is
/// lost.
///
/// A lower limit than the number of buckets gives drops beside the early drops, since the kernel looks
/// for a victim in eight buckets only.
pub fn early_drop_pressure(limit: Option<Entries>) -> Result<Stage, LabError> {
    let stage = Stage::to_be_full(limit)?.lasting("udp_timeout")?;
    let entries = stage.lab.limit().get().get();
    stage.flooded(Kind::Udp, Sources::Unanswered, entries + entries / 20, STEADY * 5)
}

/// A SYN flood whose sources cannot be answered: 40,000 entries SYN_SENT `[UNREPLIED]`, growing.
pub fn syn_flood() -> Result<Stage, LabError> {
    Stage::tracking(BURST * 4)?.visited(10)?.flooded(Kind::Syn, Sources::Unanswered, BURST, STEADY)
}

/// A SYN flood that the server answers: 40,000 entries SYN_RECV, replied but not ASSURED, growing.
pub fn half_open_flood() -> Result<Stage, LabError> {
    Stage::tracking(BURST * 4)?.visited(10)?.flooded(Kind::Syn, Sources::Answered, BURST, STEADY)
}

/// A UDP flood: 40,000 entries `[UNREPLIED]`, growing.
pub fn udp_flood() -> Result<Stage, LabError> {
    Stage::tracking(BURST * 4)?.lasting("udp_timeout")?.flooded(
        Kind::Udp,
        Sources::Unanswered,
        BURST,
        STEADY,
    )
}

/// A flood of echo requests: 40,000 entries `[UNREPLIED]`, growing.
pub fn icmp_flood() -> Result<Stage, LabError> {
    Stage::tracking(BURST * 4)?.lasting("icmp_timeout")?.flooded(
        Kind::Ping,
        Sources::Unanswered,
        BURST,
        STEADY,
    )
}

/// So many orderly closed connections: entries TIME_WAIT `[ASSURED]`, 120 s.
pub fn time_wait(connections: u64) -> Result<Stage, LabError> {
    let stage = Stage::tracking(connections)?;
    stage.lab.fill_tcp(connections, Closing::Orderly, &|_| {})?;
    Ok(stage)
}

/// So many leaked connections, ESTABLISHED `[ASSURED]`, that look silent for `idle`.
///
/// Nobody can wait for hours, so the connections are made while the namespace's timeout is shorter by
/// `idle`, and then the default of five days comes back. What a reader finds is to the second what real
/// silence leaves: `timeout - expires = idle`.
pub fn established_idle(connections: u64, idle: Seconds) -> Result<Stage, LabError> {
    const FIVE_DAYS: Seconds = Seconds(432_000);
    let stage = Stage::tracking(connections)?;
    stage.lab.set_timeout("tcp_timeout_established", FIVE_DAYS.saturating_sub(idle))?;
    stage.lab.fill_tcp(connections, Closing::Silent, &|_| {})?;
    stage.lab.set_timeout("tcp_timeout_established", FIVE_DAYS)?;
    Ok(stage)
}

/// So many UDP conversations, answered and ASSURED: healthy traffic that looks like much. They live
/// 120 s.
pub fn udp_conversations(conversations: u64) -> Result<Stage, LabError> {
    let stage = Stage::tracking(conversations)?;
    stage.lab.fill_udp_assured(conversations)?;
    Ok(stage)
}

/// Source NAT to ten ports, and more senders than that: `drop` and `insert_failed` rise together while
/// the table is nearly empty.
pub fn nat_exhausted(firewall: Option<Firewall>) -> Result<Stage, LabError> {
    let entries = Some(Entries(1_000));
    let mut stage = Stage::new(Options { firewall, entries, ..Options::default() })?;
    stage.lab.apply(&stage.lab.firewall().few_nat_ports(40_000, 40_009))?;
    stage.senders = Some(Senders::start(&stage.lab)?);
    dropping(&stage.lab)?;
    Ok(stage)
}

/// A server that accepts nobody, with a queue for one: the listen queue overflows, conntrack is fine.
pub fn listen_overflow() -> Result<Stage, LabError> {
    let mut stage = Stage::tracking(5_000)?;
    stage.visitors = Some(stage.lab.visit(50, Service::Deaf)?);
    let mut since = Instant::now();
    while listen_overflows(stage.server())? == 0 {
        wait(&mut since, attempt!("waiting for the listen queue to overflow", "等待监听队列溢出"))?;
    }
    Ok(stage)
}

/// Every connection announces one that never comes, until the table of expectations is full. Needs nft.
pub fn expectations_full() -> Result<Stage, LabError> {
    let options = Options {
        firewall: Some(Firewall::Nft),
        entries: Some(Entries(20_000)),
        ..Options::default()
    };
    let stage = Stage::new(options)?;
    stage.lab.apply(&Firewall::expect_another(600, SERVICE_PORT + 1))?;
    let name = "net.netfilter.nf_conntrack_expect_max";
    let saw = stage.server().setting(name)?;
    let max: u64 = saw.parse().map_err(|_| LabError::Unexpected { file: name.to_owned(), saw })?;
    // Each from another host: two announcements of one host would be the same.
    stage.lab.fill_tcp_scattered(max + 200, Closing::Silent, &|_| {})?;
    Ok(stage)
}

/// Waits until the server's table drops.
fn dropping(lab: &Lab) -> Result<(), LabError> {
    use plimsoll_ct::Counter;
    let before = lab.reading()?;
    let mut since = Instant::now();
    while lab.reading()?.grown(Counter::Drop, &before) == 0 {
        wait(&mut since, attempt!("waiting for the table to drop a packet", "等待连接跟踪表丢包"))?;
    }
    Ok(())
}

fn wait(since: &mut Instant, doing: Attempt) -> Result<(), LabError> {
    if since.elapsed() > Duration::from_secs(20) {
        let source = std::io::ErrorKind::TimedOut.into();
        return Err(LabError::System { doing, source });
    }
    std::thread::sleep(Duration::from_millis(20));
    Ok(())
}

/// `TcpExt: ListenOverflows` of a namespace.
pub fn listen_overflows(namespace: &Namespace) -> Result<u64, LabError> {
    let file = "/proc/thread-self/net/netstat";
    let text = namespace
        .run(|| std::fs::read_to_string(file))?
        .map_err(LabError::system(Attempt::read(file)))?;
    let mut rows = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, values) = (rows.next().unwrap_or_default(), rows.next().unwrap_or_default());
    names
        .split_whitespace()
        .zip(values.split_whitespace())
        .find(|(name, _)| *name == "ListenOverflows")
        .and_then(|(_, value)| value.parse().ok())
        .ok_or_else(|| LabError::Unexpected { file: file.to_owned(), saw: names.to_owned() })
}
