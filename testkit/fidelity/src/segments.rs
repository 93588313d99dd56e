//! TCP and SCTP by hand: a flow's packets one by one through both sides, with what each makes of its entry.

use std::io::{self, Error};
use std::net::{IpAddr, Ipv4Addr};

use plimsoll_ct::Entry;
use plimsoll_model::Treatment;

use crate::compare;
use crate::forge::{self, TcpSegment};
use crate::run::Pair;

/// How a segment is written.
pub const GRAMMAR: &str = "\
a flow is segments, apart by blanks: [~]SIDE FLAGS SEQ[,ACK][+OCTETS][wWINDOW], as in `>S0 <SA0,1 >A1,1 >R5`:
~ past the tracker, > from the client, < from the server; flags of FSRPAU; window 65535. NAME=VALUE before them sets nf_conntrack_NAME.
Of SCTP: [~]SIDE c TAG,CHUNK[:OFFERED][+CHUNK…], as in `>c0,1:7 <c7,2:9 >c9,10 <c7,11`: chunks by their types, the tags that INITs offer";

/// A chunk: type, flags, what stands behind its header.
type Chunk = (u8, u8, Vec<u8>);

/// A written packet of SCTP, without its side.
fn chunks(word: &str) -> Option<(u32, Vec<Chunk>)> {
    let (tag, chunks) = word.strip_prefix('c')?.split_once(',')?;
    let chunk = |text: &str| {
        let (kind, offered) = text.split_once(':').unwrap_or((text, "0"));
        let mut value = vec![0; 16];
        value[..4].copy_from_slice(&offered.parse::<u32>().ok()?.to_be_bytes());
        Some((kind.parse().ok()?, 0, value))
    };
    Some((tag.parse().ok()?, chunks.split('+').map(chunk).collect::<Option<_>>()?))
}

/// A written packet from one end to the other: whether it is tracked, and it.
fn packet(word: &str, [client, server]: [IpAddr; 2]) -> Option<(bool, Vec<u8>)> {
    let (tracked, rest) = word.strip_prefix('~').map_or((true, word), |rest| (false, rest));
    let reply = rest.starts_with('<');
    let (source, destination) = if reply { (server, client) } else { (client, server) };
    let ports = if reply { (80, 4000) } else { (4000, 80) };
    if let Some((tag, chunks)) = rest.get(1..).and_then(chunks) {
        return Some((tracked, forge::sctp(source, destination, ports, tag, &chunks)));
    }
    let segment = TcpSegment { ports, ..parse(rest.strip_prefix(['<', '>'])?)? };
    Some((tracked, segment.packet(source, destination)))
}

/// A written segment, without its side.
fn parse(rest: &str) -> Option<TcpSegment> {
    let begin = rest.find(|c: char| c.is_ascii_digit())?;
    let (letters, rest) = rest.split_at(begin);
    let mut flags = 0;
    for letter in letters.chars() {
        flags |= 1 << "FSRPAU".find(letter)?;
    }
    let (rest, window) = rest.split_once('w').unwrap_or((rest, "65535"));
    let (rest, payload) = rest.split_once('+').unwrap_or((rest, "0"));
    let (seq, ack) = rest.split_once(',').unwrap_or((rest, "0"));
    let options = if flags & 2 == 0 { vec![] } else { vec![1, 3, 3, 7, 1, 1, 4, 2] };
    Some(TcpSegment {
        seq: seq.parse().ok()?,
        ack: ack.parse().ok()?,
        flags,
        window: window.parse().ok()?,
        options,
        payload: payload.parse().ok()?,
        ..TcpSegment::default()
    })
}

fn shown(entry: Option<&Entry>) -> String {
    let Some(entry) = entry else { return "none".into() };
    let seconds = entry.expires.map_or(0, |s| s.get());
    format!("{:?} {seconds} {:#06x}", entry.state, entry.status.0)
}

/// One flow; prints a line for each segment, and says whether both sides agree at its end.
pub fn run(pair: &mut Pair, flow: &str, show: &mut dyn FnMut(&str)) -> io::Result<bool> {
    let named = |word: &str| {
        let (name, value) = word.split_once('=')?;
        Some((format!("nf_conntrack_{name}"), value.parse().ok()?))
    };
    let settings: Vec<(String, u64)> = flow.split_whitespace().filter_map(named).collect();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    pair.configure(&settings)?;
    let client = Ipv4Addr::from(0x0a00_0000 + pair.number());
    let ends = [IpAddr::from(client), Ipv4Addr::new(192, 0, 2, 1).into()];
    show(&format!("--- {flow}"));
    for word in flow.split_whitespace().filter(|word| !word.contains('=')) {
        let written = packet(word, ends);
        let (tracked, packet) =
            written.ok_or_else(|| Error::other(format!("{word}: {GRAMMAR}")))?;
        let treatment = Treatment { untracked: !tracked, ..Treatment::default() };
        pair.feed(&packet, &treatment)?;
        let kernel = pair.kernel.entries()?;
        let now = pair.now();
        pair.model.advance(now);
        let model = pair.model.snapshot();
        let mark = if compare::entries(&kernel, &model).is_empty() { "" } else { "   differs" };
        let (kernel, model) = (shown(kernel.first()), shown(model.first()));
        let invalid = |differences: &[compare::Difference]| {
            let counted = |d: &&compare::Difference| {
                !matches!(
                    d,
                    compare::Difference::Entry { .. } | compare::Difference::Expected { .. }
                )
            };
            differences.iter().filter(counted).map(|d| format!("   {d}")).collect::<String>()
        };
        let counted = invalid(&pair.differences()?);
        show(&format!("{word:14} kernel {kernel:28} model {model}{mark}{counted}"));
    }
    let differences = pair.differences()?;
    for difference in &differences {
        show(&format!("   {difference}"));
    }
    Ok(differences.is_empty())
}
