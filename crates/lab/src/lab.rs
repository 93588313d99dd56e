//! Two namespaces joined by a cable: a client and a server whose firewall tracks connections.

use crate::command::{Step, installed};
use crate::guard::Guard;
use crate::sweep::{PREFIX, sweep};
use crate::{
    APPLICATION, CLIENT, Firewall, HostLimit, LabError, Memory, Namespace, Reading, Sources, WEB,
};
use plimsoll_ct::{Entries, Seconds};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// What the lab shall look like.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The program that writes the rules; the one that is installed by default.
    pub firewall: Option<Firewall>,
    /// Whether the server has the rules that switch tracking on.
    pub stateful: bool,
    /// The most entries that the table shall hold, for the check of memory; the limit by default.
    pub entries: Option<Entries>,
    /// Another `nf_conntrack_max` **for the whole machine**, for as long as the lab stands; the host's
    /// own by default. Such a lab runs alone.
    pub limit: Option<Entries>,
    /// How long to wait for other labs, if one of the two changes the limit.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            firewall: None,
            stateful: true,
            entries: None,
            limit: None,
            patience: Duration::from_secs(5),
        }
    }
}

/// The lab. Dropping it removes everything it made.
#[derive(Debug)]
pub struct Lab {
    server: Namespace,
    client: Namespace,
    firewall: Firewall,
    guard: Arc<Guard>,
    sources: AtomicU64,
    // Last: the limit comes back when the namespaces are gone.
    limit: HostLimit,
}

/// Removes namespaces; one that is gone already is no error.
const UNDO: &str = "for n in \"$@\"; do\n\
                    if [ -e \"/run/netns/$n\" ]; then ip netns del \"$n\" || failed=1; fi\n\
                    done\n\
                    exit ${failed:-0}\n";

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Lab {
    /// Builds it, after removing what killed labs may have left behind. On an error nothing is left.
    pub fn build(options: &Options) -> Result<Self, LabError> {
        if !nix::unistd::geteuid().is_root() {
            return Err(LabError::NotRoot);
        }
        if !installed("ip") {
            return Err(LabError::NoIp);
        }
        let firewall = match options.firewall {
            Some(firewall) => firewall,
            None => Firewall::find()?,
        };
        let limit = HostLimit::current()?;
        let entries = options.entries.or(options.limit).unwrap_or(limit);
        Memory::read()?.allows(entries)?;
        sweep()?;
        let limit = HostLimit::claim(options.limit, options.patience)?;

        let id =
            format!("{PREFIX}{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let (server, client) = (format!("{id}-server"), format!("{id}-client"));
        let guard = Guard::post(UNDO, &[&server, &client], None)?;
        let mut undo = Undo(Some(Arc::clone(&guard)));
        let lab = Self {
            server: Namespace::create(&server)?,
            client: Namespace::create(&client)?,
            firewall,
            guard,
            sources: AtomicU64::new(0),
            limit,
        };
        // From here on the lab's own drop undoes.
        undo.0 = None;
        lab.connect()?;
        if options.stateful {
            lab.apply(&firewall.stateful())?;
        }
        Ok(lab)
    }

    /// The namespace whose table is filled.
    pub fn server(&self) -> &Namespace {
        &self.server
    }

    /// The namespace that the traffic comes from. It has no rules, so it tracks nothing.
    pub fn client(&self) -> &Namespace {
        &self.client
    }

    /// The limit that the table is held to.
    pub fn limit(&self) -> &HostLimit {
        &self.limit
    }

    /// The program that writes the rules.
    pub fn firewall(&self) -> Firewall {
        self.firewall
    }

    /// Entries in the server's table.
    pub fn count(&self) -> Result<u64, LabError> {
        self.server.count()
    }

    /// Count and statistics of the server's table.
    pub fn reading(&self) -> Result<Reading, LabError> {
        self.server.reading()
    }

    /// The cure: exempts a TCP port from tracking. Returns the commands that were run in the server's
    /// namespace.
    pub fn untrack(&self, port: u16) -> Result<Vec<Step>, LabError> {
        let steps = self.firewall.untrack(port);
        self.apply(&steps)?;
        Ok(steps)
    }

    /// Sets a timeout of the server, named without its prefix: `tcp_timeout_established`.
    ///
    /// Kernel: entries that are in the table keep their expiry until their next packet.
    pub fn set_timeout(&self, name: &str, timeout: Seconds) -> Result<(), LabError> {
        self.server.set(&format!("net.netfilter.nf_conntrack_{name}"), timeout)
    }

    /// Runs commands in the server's namespace.
    pub(crate) fn apply(&self, steps: &[Step]) -> Result<(), LabError> {
        steps.iter().try_for_each(|step| step.run(Some(&self.server)))
    }

    /// Removes everything and brings the limit back; the second call does nothing. Traffic that still runs ends with its handle.
    pub fn cleanup(&self) -> Result<(), LabError> {
        let removed = self.guard.dismiss();
        self.limit.restore().and(removed)
    }

    /// Sets `count` sources aside; returns the first.
    pub(crate) fn next_source(&self, count: u64) -> u64 {
        self.sources.fetch_add(count, Ordering::Relaxed)
    }

    fn connect(&self) -> Result<(), LabError> {
        let (server, client) = (self.server.name(), self.client.name());
        let ip = |line: String| Step::new("ip", &line).run(None);
        ip(format!("-n {server} link add lab0 type veth peer name lab0 netns {client}"))?;
        for namespace in [&self.server, &self.client] {
            // A new namespace inherits these from the host: a router's settings would change the traffic.
            namespace.set("net.ipv4.ip_forward", 0)?;
            for device in ["all", "default", "lab0"] {
                namespace.set(&format!("net.ipv4.conf.{device}.rp_filter"), 0)?;
            }
            // Without a free one a FIN that comes late is answered by a reset, and the entry is CLOSE.
            namespace.set("net.ipv4.tcp_max_tw_buckets", 1 << 20)?;
        }
        ip(format!("-n {server} addr add {WEB}/29 dev lab0"))?;
        ip(format!("-n {server} addr add {APPLICATION}/29 dev lab0"))?;
        ip(format!("-n {client} addr add {CLIENT}/29 dev lab0"))?;
        for name in [server, client] {
            ip(format!("-n {name} link set lo up"))?;
            ip(format!("-n {name} link set lab0 up"))?;
        }
        ip(format!("-n {client} route add local {} dev lo", Sources::Real.prefix()))?;
        for sources in [Sources::Real, Sources::Answered] {
            ip(format!("-n {server} route add {} via {CLIENT}", sources.prefix()))?;
        }
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = self.cleanup() {
            error.tell();
        }
    }
}

/// Undoes on the way out of a build that fails half-way.
struct Undo(Option<Arc<Guard>>);

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(guard) = self.0.take() {
            // The error that ended the build is the one to report; the next lab sweeps again.
            let _ = guard.dismiss();
        }
    }
}
