//! Another timeout: for all entries of a namespace, or for one service.
//!
//! Kernel: `nf_ct_timeout_lookup()`. A changed setting applies at the next packet of an entry; a policy for
//! one service is given to an entry with its first packet, so entries that exist keep theirs.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::{Access, Protocol, Unit};

use super::floors::floor;
use super::{
    Change, Ground, NO_NAMESPACE, Plan, Readback, Setting, Target, Verify, policy, tell_of_rules,
};
use crate::Said;
use crate::boot::out_of_range;
use crate::case::{Case, Space};
use crate::facts::{Fact, Keepalives, Tracking};
use crate::{RemedyId, commands, words};

/// What is longer than a month is easily mistyped.
const LONGEST: u64 = 30 * 86_400;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeoutRequest {
    /// One service; `None`: all entries.
    pub service: Option<(Protocol, u16)>,
    /// Settings or states, and seconds: `tcp_timeout_established`, or for one service `established`.
    pub values: Vec<(String, u64)>,
    /// Below the floors that are only warned of, for all entries as well.
    pub allow_short: bool,
    /// Ticks in a second of this kernel, where known: a timeout is kept in ticks.
    pub hz: Option<u32>,
}

/// The plan. `keepalives`: of the local processes that it concerns.
pub fn timeout(
    request: &TimeoutRequest,
    keepalives: &Fact<Keepalives>,
    ground: &Ground<'_>,
) -> Plan {
    let case = Case::new(ground.before, ground.now);
    let mut plan = Plan::new(RemedyId::Timeout, title(request), Target::of(ground));
    let Some(space) = ground.space(&case) else {
        plan.refused.push(NO_NAMESPACE);
        return plan;
    };
    if request.values.is_empty() {
        plan.refused.push(Said::of("no timeout was given", "没有给出超时"));
        return plan;
    }
    match request.service {
        None => settings(request, &case, space, &mut plan),
        Some((protocol, port)) => {
            if let Some(Tracking::Off { because }) = space.now.tracking.value() {
                plan.refused.push(said!(
                    "nothing is tracked here ({}), and a policy would switch tracking on",
                    "这里什么也不跟踪（{:#}），而策略会打开跟踪",
                    because.map(words::clean)
                ));
            }
            for (n, (state, seconds)) in request.values.iter().enumerate() {
                if let Some(name) = policy::setting_of(protocol, state) {
                    judge(&mut plan, name, *seconds, true, &case, request.hz);
                }
                if request.values[..n].iter().any(|(earlier, _)| earlier == state) {
                    plan.refused.push(twice(&words::clean(state)));
                }
            }
            policy::changes(protocol, port, &request.values, &case, space, &mut plan);
        }
    }
    let lowest = established(request);
    if let Some(seconds) = lowest {
        warn_of_silence(&mut plan, seconds, keepalives, space, request.service);
    }
    if request.service.is_none() {
        let host = space.now.is_initial();
        plan.warnings.push(if host { super::UNTIL_BOOT } else { super::UNTIL_GONE });
    } else {
        tell_of_rules(&case, space, &mut plan);
    }
    plan.verify = alloc::vec![Verify::DropsEnd];
    plan
}

fn title(request: &TimeoutRequest) -> Said {
    let value = |(k, v): &(String, u64)| {
        let k = words::clean(k);
        said!("{k} to {v} s", "{k} 设为 {v} 秒")
    };
    let values: Vec<Said> = request.values.iter().map(value).collect();
    let values = Said::join(&values, &Said::of(", ", "，"));
    match request.service {
        Some((protocol, port)) => {
            said!("for {}/{port} set {values}", "对 {}/{port} 把 {values:#}", protocol.name())
        }
        None => said!("set {values}", "把 {values:#}"),
    }
}

/// The modern bare name of a setting, as people shorten it: `established`, `udp`, `tcp_timeout_close`.
fn bare(name: &str) -> Option<&'static plimsoll_ct::Setting> {
    let tries = [
        name.to_string(),
        format!("nf_conntrack_{name}"),
        format!("nf_conntrack_tcp_timeout_{name}"),
        format!("nf_conntrack_{name}_timeout"),
    ];
    let found = tries.iter().find_map(|name| plimsoll_ct::Setting::find(name))?;
    (found.unit == Unit::Seconds && found.access == Access::Writable).then_some(found)
}

fn settings(request: &TimeoutRequest, case: &Case<'_>, space: &Space<'_>, plan: &mut Plan) {
    if space.now.settings.is_empty() {
        plan.refused.push(said!(
            "no setting of conntrack is there: it is not loaded, or they could not be read",
            "没有任何连接跟踪的设置：它没有加载，或者没能读到"
        ));
        return;
    }
    let mut longest = 0;
    let mut named = BTreeSet::new();
    for (name, seconds) in &request.values {
        let Some(setting) = bare(name) else {
            plan.refused.push(said!(
                "there is no timeout {:?}",
                "没有这样的超时：{:?}",
                words::clean(name)
            ));
            continue;
        };
        if !named.insert(setting.name) {
            plan.refused.push(twice(setting.name));
            continue;
        }
        let Some(now) = space.now.setting(setting.name) else {
            plan.refused.push(said!(
                "{} is not there on this kernel",
                "本内核没有 {}",
                setting.name
            ));
            continue;
        };
        judge(plan, setting.name, *seconds, request.allow_short, case, request.hz);
        if now == *seconds {
            continue;
        }
        longest = longest.max(now);
        plan.changes.push(Change::Setting(Setting {
            path: commands::path(case.profile, setting.name),
            before: now.to_string(),
            after: seconds.to_string(),
            readback: Readback::Exact,
            step: None,
        }));
    }
    plan.effect = match (plan.changes.is_empty(), plan.refused.is_empty()) {
        (true, true) => Said::of("They are that already.", "已经是这样。"),
        (true, false) => Said::default(),
        (false, _) => said!(
            "Entries take it with their next packet. Those that get none keep their expiry: it frees \
             nothing at once, and shows within {}.",
            "条目在下一个包到来时采用新值。没有包的条目仍按原来的时间过期：不会马上腾出地方，{:#}内见效。",
            words::span(longest as f64)
        ),
    };
}

fn twice(name: &str) -> Said {
    said!("{name} is given twice", "{name} 给了两次")
}

fn judge(plan: &mut Plan, name: &str, seconds: u64, short: bool, case: &Case<'_>, hz: Option<u32>) {
    let floor = floor(name);
    let rank = case.after.host.kernel.value().map_or(case.profile.from, |kernel| kernel.rank());
    let number = i64::try_from(seconds).unwrap_or(i64::MAX);
    if let Some(why) = plimsoll_ct::Setting::find(name)
        .and_then(|setting| out_of_range(setting, case.profile, rank, hz, number))
    {
        plan.refused.push(said!("{name}: {why}", "{name}：{why:#}"));
    } else if seconds < floor.never_below {
        plan.refused.push(said!(
            "{name}: {seconds} s is too short for anything, {} s is the least",
            "{name}：{seconds} 秒对什么都太短，最少 {} 秒",
            floor.never_below
        ));
    } else if seconds < floor.hurts_below {
        let text = said!("{name} of {seconds} s: {}", "{name} 为 {seconds} 秒：{:#}", floor.why);
        if short || name != "nf_conntrack_tcp_timeout_established" {
            plan.warnings.push(text);
        } else {
            plan.refused.push(said!(
                "{text}; for all ports only with --allow-short, or for one service with --port",
                "{text:#}；用于所有端口要加 --allow-short，或用 --port 只用于一个服务"
            ));
        }
    } else if seconds > LONGEST {
        plan.warnings.push(said!(
            "{name} of {seconds} s is {}",
            "{name} 为 {seconds} 秒，即 {:#}",
            words::span(seconds as f64)
        ));
    }
}

/// The timeout of established TCP that is asked for.
fn established(request: &TimeoutRequest) -> Option<u64> {
    let values = request.values.iter().filter(|(name, _)| match request.service {
        Some((protocol, _)) => protocol == Protocol::Tcp && name == "established",
        None => bare(name).is_some_and(|s| s.name == "nf_conntrack_tcp_timeout_established"),
    });
    values.map(|(_, seconds)| *seconds).min()
}

/// Connections of local processes that are silent for longer than the new timeout.
fn warn_of_silence(
    plan: &mut Plan,
    seconds: u64,
    keepalives: &Fact<Keepalives>,
    space: &Space<'_>,
    service: Option<(Protocol, u16)>,
) {
    let found = match keepalives {
        Fact::Known { value, source: _ } => *value,
        Fact::Missing(gap) => {
            plan.warnings.push(said!(
                "keepalives of local processes could not be read: {}",
                "读不到本机进程的 keepalive：{:#}",
                gap.detail.map(words::clean)
            ));
            return;
        }
    };
    let which = service
        .map_or_else(Said::default, |(_, port)| said!(" with port {port}", "端口 {port} 的 "));
    if found.without > 0 {
        let loose = space.now.setting("nf_conntrack_tcp_loose").unwrap_or(1) != 0;
        let then = if loose {
            Said::of(
                "their next packet picks them up again (nf_conntrack_tcp_loose is on), unless a rule drops \
                 what is new without SYN",
                "下一个包会重新接上（nf_conntrack_tcp_loose 开着），除非有规则丢弃没有 SYN 的新包",
            )
        } else {
            Said::of(
                "they are cut off, since nf_conntrack_tcp_loose is 0",
                "它们会断开，因为 nf_conntrack_tcp_loose 为 0",
            )
        };
        plan.warnings.push(said!(
            "{} of {}{which} of local processes send no keepalives: silent for {}, they are forgotten, and \
             {then}",
            "本机进程{which:#}{1:#}中有 {0} 条不发 keepalive：静默 {2:#}就会被忘掉，{then:#}",
            words::count(found.without),
            words::many(found.connections, "connection", "connections", "条连接"),
            words::span(seconds as f64)
        ));
    }
    if let Some(longest) = found.longest.filter(|due| *due > seconds) {
        plan.warnings.push(said!(
            "keepalives of local processes come only after {}, later than the new timeout",
            "本机进程的 keepalive 要 {:#}之后才来，晚于新的超时",
            words::span(longest as f64)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_found_by_the_names_people_use() {
        let name = |text| bare(text).map(|s| s.name);
        assert_eq!(name("established"), Some("nf_conntrack_tcp_timeout_established"));
        assert_eq!(name("tcp_timeout_established"), name("established"));
        assert_eq!(
            name("net.netfilter.nf_conntrack_udp_timeout_stream"),
            name("udp_timeout_stream")
        );
        assert_eq!(name("ip_conntrack_tcp_timeout_time_wait"), name("time_wait"));
        assert_eq!(name("udp"), Some("nf_conntrack_udp_timeout"));
        assert_eq!(name("icmp"), Some("nf_conntrack_icmp_timeout"));
        for no in ["max", "count", "buckets", "tcp_loose", "nonsense", ""] {
            assert_eq!(name(no), None, "{no}");
        }
    }
}
