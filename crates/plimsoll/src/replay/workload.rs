//! A made-up workload, as words: `rate=2000/s lifetime=exp:30s tcp=70% udp=30% seed=1 for=10m`.

use plimsoll_diagnosis::{Said, said};
use plimsoll_replay::{Lifetime, Workload};

use super::moment::seconds;

/// Most packets' worth of flows: beyond it nobody waits for the end.
const MOST_FLOWS: f64 = 1e9;

/// Reads it. What is not said is as in [`Workload::default`].
pub fn parse(text: &str) -> Result<Workload, Said> {
    let mut workload = Workload::default();
    let mut mix = [None; 3];
    if text.split([' ', ',', '\t']).all(str::is_empty) {
        return Err(Said::of(
            "expected KEY=VALUE, saw nothing; rate=1000/s alone is what would be made up by default",
            "应为 KEY=VALUE，实为空；只写 rate=1000/s 就是默认的流量",
        ));
    }
    for word in text.split([' ', ',', '\t']).filter(|word| !word.is_empty()) {
        let (key, value) = word.split_once('=').ok_or_else(|| {
            said!("expected KEY=VALUE, saw {word:?}", "应为 KEY=VALUE，实为 {word:?}")
        })?;
        let expected = |what: &str, chinese: &str| {
            said!("{key}: expected {what}, saw {value:?}", "{key}：应为{chinese}，实为 {value:?}")
        };
        let share = || {
            let number = value.strip_suffix('%').unwrap_or(value).parse::<f64>().ok();
            let number = number.filter(|n| (0.0..=100.0).contains(n));
            number.map(|n| n / 100.0).ok_or_else(|| expected("a percentage", "百分比"))
        };
        match key {
            "rate" => {
                let number = value.strip_suffix("/s").unwrap_or(value).parse::<f64>().ok();
                workload.rate = number.filter(|n| (1e-3..=1e7).contains(n)).ok_or_else(|| {
                    expected("flows per second, like 2000/s", "每秒的流数，如 2000/s")
                })?;
            }
            "lifetime" => {
                workload.lifetime = lifetime(value).ok_or_else(|| {
                    expected(
                        "exp:30s, fixed:30s, uniform:1s-60s or pareto:2s:1.5",
                        " exp:30s、fixed:30s、uniform:1s-60s 或 pareto:2s:1.5",
                    )
                })?;
            }
            "tcp" => mix[0] = Some(share()?),
            "udp" => mix[1] = Some(share()?),
            "icmp" => mix[2] = Some(share()?),
            "unanswered" => workload.unanswered = share()?,
            "every" => {
                workload.every = seconds(value)
                    .filter(|s| *s >= 0.01)
                    .ok_or_else(|| expected("a span like 5s", "时间段，如 5s"))?;
            }
            "clients" => {
                let number = value.parse().ok().filter(|n| (1..=1 << 24).contains(n));
                workload.clients =
                    number.ok_or_else(|| expected("1 to 16777216", " 1 到 16777216"))?;
            }
            "seed" => workload.seed = value.parse().map_err(|_| expected("a number", "数"))?,
            "for" => {
                workload.span = seconds(value)
                    .filter(|s| *s > 0.0)
                    .ok_or_else(|| expected("a span like 10m", "时间段，如 10m"))?;
            }
            _ => {
                return Err(said!(
                    "{key}: expected rate, lifetime, tcp, udp, icmp, unanswered, every, clients, seed or for",
                    "{key}：应为 rate、lifetime、tcp、udp、icmp、unanswered、every、clients、seed 或 for"
                ));
            }
        }
    }
    if mix.iter().any(Option::is_some) {
        workload.mix = mix.map(|share| share.unwrap_or(0.0));
    }
    if workload.mix.iter().sum::<f64>() <= 0.0 {
        return Err(Said::of(
            "tcp, udp and icmp have no share at all",
            "tcp、udp 和 icmp 一点份额也没有",
        ));
    }
    let total = workload.mix.iter().sum::<f64>() * 100.0;
    if total > 100.5 {
        return Err(said!(
            "tcp, udp and icmp together: expected 100% at most, saw {total:.0}%",
            "tcp、udp 和 icmp 合计：应不超过 100%，实为 {total:.0}%"
        ));
    }
    if workload.rate * workload.span > MOST_FLOWS {
        return Err(said!("more than {MOST_FLOWS:e} flows", "超过 {MOST_FLOWS:e} 条流"));
    }
    Ok(workload)
}

fn lifetime(text: &str) -> Option<Lifetime> {
    let (kind, rest) = text.split_once(':')?;
    Some(match kind {
        "fixed" => Lifetime::Fixed(seconds(rest)?),
        "exp" | "exponential" => Lifetime::Exponential(seconds(rest)?),
        "uniform" => {
            let (least, most) = rest.split_once('-')?;
            let (least, most) = (seconds(least)?, seconds(most)?);
            (least <= most).then_some(Lifetime::Uniform(least, most))?
        }
        "pareto" => {
            let (least, shape) = rest.split_once(':')?;
            let shape = shape.parse().ok().filter(|s| (0.1..100.0).contains(s))?;
            Lifetime::Pareto(seconds(least)?, shape)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_workload_is_read_and_the_rest_is_as_by_default() {
        let w = parse("rate=2000/s lifetime=exp:30s tcp=70% udp=30% seed=4 for=10m").unwrap();
        let expected = Workload { rate: 2000.0, seed: 4, ..Workload::default() };
        assert_eq!(w, expected);
        assert_eq!(parse("udp=100%").unwrap().mix, [0.0, 1.0, 0.0]);
        let w = parse("lifetime=pareto:2s:1.5,every=500ms").unwrap();
        assert_eq!((w.lifetime, w.every), (Lifetime::Pareto(2.0, 1.5), 0.5));
    }

    #[test]
    fn what_is_absurd_is_named() {
        for (text, named) in [
            ("rate=fast", "rate: expected flows per second"),
            ("lifetime=30s", "lifetime: expected exp:30s"),
            ("tcp=0%", "no share at all"),
            ("tcp=170%", "tcp: expected a percentage"),
            ("tcp=70% udp=70%", "expected 100% at most, saw 140%"),
            ("speed=2", "speed: expected rate"),
            ("rate=10000000 for=10d", "more than"),
            ("rate", "expected KEY=VALUE"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
