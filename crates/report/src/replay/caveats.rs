//! What the capture cannot tell, a sentence each.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::Counter;
use plimsoll_replay::{Answer, Row, Tally};

use crate::Language;
use crate::number::{count, counted, ratio, share};
use crate::spoken::span;

/// So many of the packets are more than chance.
const MANY: f64 = 0.05;

/// So many UDP flows are no chance.
const MANY_FLOWS: u64 = 100;

/// Packets of several queues come some milliseconds out of turn; by more than a minute, in nanoseconds, none does.
const SET_BACK: u64 = 60_000_000_000;

/// What the lines of the log about so many packets lack.
pub fn log_cut(packets: u64, language: Language) -> String {
    let n = count(packets);
    let packets = counted(packets, "packet that was", "packets that were");
    spoken!(
        language,
        "The log has lines about {packets} cut by the snapshot length: they show as much of them as was captured, and \
         none tells of a checksum.",
        "日志里有 {n} 个包被抓取长度（snaplen）截断：只显示抓到的部分，校验和一概没有判断。"
    )
}

/// Whether so many packets were cut within their headers that what the others need says little.
pub fn lacks_many(a: &Answer) -> bool {
    let Tally { packets, truncated, .. } = a.tally;
    ratio(truncated, packets + truncated).is_some_and(|part| part > MANY)
}

/// Packets that were left out.
fn left_out(n: u64, language: Language) -> String {
    let (packets, n) = (counted(n, "packet was", "packets were"), count(n));
    spoken!(
        language,
        "{packets} cut within the headers and left out; connections may be missing with them. A longer snapshot length \
         keeps the headers: tcpdump -s 96, or -s 128 with IPv6, VLANs or tunnels.",
        "{n} 个包在包头之内就被截断，没有计入，有的连接可能因此漏掉。抓取长度（snaplen）长一些就能留下包头：\
         tcpdump -s 96；有 IPv6、VLAN 或隧道时用 -s 128。"
    )
}

/// What the capture cannot tell, in the order of weight.
pub fn caveats(a: &Answer, language: Language) -> Vec<String> {
    let mut said = Vec::new();
    let doubts = &a.doubts;
    for broken in &a.broken {
        said.push(spoken!(
            language,
            "{broken}; what follows it was not read.",
            "{broken}；其后的内容没有读。"
        ));
    }
    if a.tally.truncated > 0 {
        said.push(left_out(a.tally.truncated, language));
    }
    for (rule, missing) in &a.one_way {
        said.push(spoken!(
            language,
            "NOTRACK '{rule}' is one direction only, as a rule of the kernel is: the answers are still \
             looked up and find no entry, so that they are INVALID or open entries back to front. Add \
             --notrack '{missing}'.",
            "NOTRACK '{rule}' 和内核的规则一样只管一个方向：回包仍会查表而找不到条目，于是成为 INVALID，或者建立方向颠倒的\
             条目。请加上 --notrack '{missing}'。"
        ));
    }
    if a.lost_by_capture > 0 {
        let n = count(a.lost_by_capture);
        let packets = counted(a.lost_by_capture, "packet", "packets");
        said.push(spoken!(
            language,
            "The capturing host lost {packets} itself (its own statistics): flows are missing here that the \
             router saw.",
            "抓包的主机自己丢了 {n} 个包（它自己的统计）：路由器见过的一些流，这里没有。"
        ));
    }
    if let Some(part) = ratio(doubts.one_sided, doubts.tcp).filter(|r| *r > MANY).map(share) {
        said.push(spoken!(
            language,
            "{part} of the TCP packets acknowledge an answer that was not captured: the capture shows \
             one direction, is sampled, or addresses change on the way (NAT). Entries then end sooner, or \
             live longer, than on the router.",
            "{part} 的 TCP 包所确认的回包没有抓到：抓包只有一个方向，或是抽样的，或者地址在途中变了（NAT）。\
             这样条目会比在路由器上结束得早，或者活得久。"
        ));
    }
    if doubts.udp_entries >= MANY_FLOWS && doubts.udp_answers == 0 && !a.synthetic {
        let n = count(doubts.udp_entries);
        said.push(spoken!(
            language,
            "None of {n} UDP flows was answered. Syslog, multicast and floods are like that; with DNS, QUIC and the like it means \
             that the capture shows one direction, and on the router their entries live longer than here.",
            "{n} 条 UDP 流没有一条得到回应。syslog、组播、洪泛攻击本来如此；如果是 DNS、QUIC 之类，说明抓包只有一个方向，\
             它们的条目在路由器上比在这里活得久。"
        ));
    }
    if let Some(part) = ratio(doubts.twice, doubts.looked_at).filter(|r| *r > MANY).map(share) {
        said.push(spoken!(
            language,
            "{part} of the packets were captured twice (as -i any does on a router): the table is the \
             same, but packets lost are counted twice.",
            "{part} 的包被抓了两次（在路由器上用 -i any 就会这样）：表不受影响，但丢包会算两遍。"
        ));
    }
    let now = &a.as_set.outcome;
    if now.peak == 0 && now.lost == 0 && a.tally.packets > 0 {
        let invalid = count(now.counters.get(Counter::Invalid).unwrap_or(0));
        said.push(spoken!(
            language,
            "No packet made an entry: they were INVALID ({invalid}), not tracked, or fragments of datagrams whose other \
             parts were not captured.",
            "没有一个包建立条目：它们是 INVALID（{invalid} 个）、不被跟踪，或者是其余分片没有抓到的分片。"
        ));
    }
    said.extend(counts(a, language));
    if a.rows().any(|row| row.outcome.lost > 0) {
        said.push(spoken!(
            language,
            "What a lost packet leads to (no answer, a second try) is not in the traffic: behind the \
             first drop the numbers of lost packets are an estimate.",
            "丢包的后果（没有回应、重试）不在这份流量里：首次丢包之后，丢包数只是估计。"
        ));
    }
    if a.scale > 1 {
        let copies = count(a.scale.into());
        said.push(spoken!(
            language,
            "{copies} copies do everything at the same moment, which makes peaks a little higher than so many \
             independent clients would.",
            "{copies} 份流量步调完全一致，峰值会比同样多的独立客户端略高。"
        ));
    }
    said.extend(chains(a, language));
    said
}

/// What hash chains that were too long lost: with the setting as it is, or else without a limit.
fn chains(a: &Answer, language: Language) -> Option<String> {
    let now = &a.as_set.outcome;
    let lost = |row: &Row| (row.outcome.lost_to_chains() > 0).then(|| row.outcome.lost_to_chains());
    let buckets = count(now.buckets);
    if let Some(lost) = lost(&a.as_set) {
        let (n, packets) = (count(lost), counted(lost, "packet was", "packets were"));
        return Some(spoken!(
            language,
            "{packets} lost to hash chains that were too long, not to the limit: more buckets help \
             (nf_conntrack_buckets, now {buckets}).",
            "{n} 个包是因哈希链太长而丢的，不是因为上限：增加桶数有用（nf_conntrack_buckets，现为 {buckets}）。"
        ));
    }
    let lost = a.unlimited.as_ref().and_then(lost)?;
    let (n, packets) = (count(lost), counted(lost, "packet", "packets"));
    Some(spoken!(
        language,
        "Under the limit as it is hash chains stay short enough; without one, {packets} would be lost to chains that are too \
         long: a higher limit takes more buckets (nf_conntrack_buckets, now {buckets}).",
        "按现有的上限，哈希链还不算太长；不设上限的话，会有 {n} 个包因哈希链太长而丢失：提高上限就得增加桶数\
         （nf_conntrack_buckets，现为 {buckets}）。"
    ))
}

/// A silence of more than a day.
fn silence(tally: &Tally, language: Language) -> Option<String> {
    let (gap, frame) = (span(language, tally.gap as f64 / 1e9), count(tally.gap_before));
    (tally.gap > 0).then(|| {
        spoken!(
            language,
            "Nothing came for {gap} before packet {frame}: what was in the table by then has mostly expired. Where captures \
             of different days were put together, or one packet's time is wrong, replay the parts by themselves.",
            "第 {frame} 个包之前有 {gap}没有任何包：表里原有的条目到那时大多已经超时。如果是把不同日子的抓包拼在了一起，\
             或者某个包的时间有误，请分开重放。"
        )
    })
}

/// What packets that come out of turn are, in both languages.
fn backwards(tally: &Tally) -> (String, String) {
    let seconds = tally.backwards_by as f64 / 1e9;
    let (by, by_zh) = if seconds < 0.1 {
        ("less than 0.1 s".into(), "不到 0.1 秒".into())
    } else {
        let (by, by_zh) = (span(Language::English, seconds), span(Language::Chinese, seconds));
        (format!("up to {by}"), format!("最多早 {by_zh}"))
    };
    let (clock, clock_zh) = if tally.backwards_by > SET_BACK {
        (
            " A clock was set, or one packet's time is wrong: behind it nothing expires until the times have caught up.",
            "时钟被调过，或者某个包的时间有误：在那之后，直到时间追上为止，没有条目会超时。",
        )
    } else {
        ("", "")
    };
    (
        format!("earlier than one before, by {by}, and taken at its time.{clock}"),
        format!("个包的时间早于前面的包（{by_zh}），按那个包的时间计。{clock_zh}"),
    )
}

/// What of the packets was not as on the wire.
fn counts(a: &Answer, language: Language) -> Vec<String> {
    let tally = &a.tally;
    let link = tally.unread_link.map_or_else(String::new, |link| format!(", LINKTYPE {link}"));
    let link_zh = link.replace(", ", "，");
    let some = |n: u64, english: [&str; 3], chinese: &str| {
        (n > 0).then(|| match language {
            Language::English => {
                format!("{} {}", counted(n, english[0], english[1]), english[2])
            }
            Language::Chinese => format!("{} {chinese}", count(n)),
        })
    };
    let packets =
        |n: u64, rest: &str, chinese: &str| some(n, ["packet was", "packets were", rest], chinese);
    let (backwards, backwards_zh) = backwards(tally);
    let said = [
        silence(tally, language),
        some(
            tally.picked_up,
            [
                "connection was",
                "connections were",
                "under way when the capture began, or had been given up before: their state is a guess, and entries that \
                 were silent all along are missing from the count.",
            ],
            "条连接在抓包开始时已在进行，或者之前已被放弃：它们的状态只是猜测；一直没有流量的条目不在计数里。",
        ),
        some(
            tally.merged,
            [
                "TCP segment is",
                "TCP segments are",
                "longer than an Ethernet frame: the network card had merged them, so that the wire saw more segments \
                 than the model.",
            ],
            "个 TCP 段比以太网帧还长：网卡已把它们合并，线路上的段比模型见到的多。",
        ),
        packets(
            if tally.options_cut > 0 { 0 } else { tally.sliced },
            "cut by the snapshot length; the headers were there, so the table is not touched by it.",
            "个包被抓取长度（snaplen）截断；包头都在，表不受影响。",
        ),
        some(
            tally.options_cut,
            [
                "SYN was",
                "SYNs were",
                "cut within the options by the snapshot length: their connections are taken to have no window scaling, so \
                 that segments may be INVALID here, and entries end sooner, that were right on the router (tcpdump -s 128 \
                 keeps them).",
            ],
            "个 SYN 的选项被抓取长度（snaplen）截断：只好认为它们的连接没有窗口缩放，于是在路由器上正常的段在这里可能成为 INVALID，\
             条目也可能结束得更早（tcpdump -s 128 可以保全选项）。",
        ),
        (tally.log_cut > 0).then(|| log_cut(tally.log_cut, language)),
        some(
            if ratio(tally.not_ip, tally.frames).is_some_and(|part| part > MANY) {
                tally.not_ip
            } else {
                0
            },
            [
                "frame was",
                "frames were",
                "not IP (ARP, STP, MPLS and the like): conntrack does not see such.",
            ],
            "个帧不是 IP（ARP、STP、MPLS 之类）：连接跟踪看不到它们。",
        ),
        packets(
            tally.malformed,
            "left out for a wrong IP header: a host drops such before conntrack.",
            "个包的 IP 头有误，没有计入：主机在连接跟踪之前就会丢掉这种包。",
        ),
        some(
            tally.unknown_link,
            [
                "frame was",
                "frames were",
                &format!(
                    "of a link type that is not read{link} (read are Ethernet, Linux cooked, raw IP, loopback, PPP)."
                ),
            ],
            &format!(
                "个帧的链路类型不支持{link_zh}（支持的有 Ethernet、Linux cooked、raw IP、loopback、PPP）。"
            ),
        ),
        some(tally.backwards, ["packet is", "packets are", &backwards], &backwards_zh),
        some(
            tally.untimed,
            [
                "packet has no time and is",
                "packets have no time and are",
                "taken at that of the one before.",
            ],
            "个包没有时间，按前一个包的时间计。",
        ),
    ];
    said.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_units_of_the_language() {
        let day = 86_400_000_000_000;
        let tally =
            Tally { gap: 2 * day, gap_before: 7, backwards_by: 3 * day, ..Tally::default() };
        let said = |language| silence(&tally, language).unwrap_or_default();
        assert!(said(Language::English).starts_with("Nothing came for 2 d before packet 7"));
        assert!(said(Language::Chinese).starts_with("第 7 个包之前有 2 天没有任何包"));
        let (english, chinese) = backwards(&tally);
        assert!(
            english.contains("by up to 3 d,") && chinese.contains("（最多早 3 天）"),
            "{chinese}"
        );
    }
}
