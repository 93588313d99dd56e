//! A rule of nft's JSON as a line, as near to `nft list` as JSON allows.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Value;

use super::text;

/// Elements of a set that are shown.
const ELEMENTS: usize = 24;

/// The whole rule.
pub fn rule(body: &Value) -> String {
    let expressions = body.get("expr").and_then(Value::as_array);
    let mut words: Vec<String> = expressions.into_iter().flatten().map(|e| show(e, 0)).collect();
    if let Some(comment) = body.get("comment").and_then(Value::as_str) {
        words.push(format!("comment \"{comment}\""));
    }
    words.retain(|w| !w.is_empty());
    words.join(" ")
}

/// One expression or statement. What is unknown is shown as it stands.
fn show(value: &Value, depth: u32) -> String {
    if depth > super::DEPTH {
        return String::from("…");
    }
    let inner = |v: &Value| show(v, depth + 1);
    let member = |v: &Value, key: &str| v.get(key).map_or_else(String::new, inner);
    let Some((kind, body)) = value.as_object().and_then(|o| o.iter().next()) else {
        return match value {
            Value::String(s) => s.clone(),
            Value::Array(all) => all.iter().take(ELEMENTS).map(inner).collect::<Vec<_>>().join(","),
            other => other.to_string(),
        };
    };
    match kind.as_str() {
        "match" => comparison(body, depth),
        "payload" => format!("{} {}", text(body, "protocol"), text(body, "field")),
        "meta" => match text(body, "key") {
            key @ ("iif" | "oif" | "iifname" | "oifname") => key.into(),
            key => format!("meta {key}"),
        },
        "ct" => match text(body, "dir") {
            "" => format!("ct {}", text(body, "key")),
            direction => format!("ct {direction} {}", text(body, "key")),
        },
        "set" if body.is_array() => format!("{{ {} }}", elements(body, depth)),
        "set" => set_update(body, depth),
        "range" => match body.as_array().map(Vec::as_slice) {
            Some([first, last]) => format!("{}-{}", inner(first), inner(last)),
            _ => body.to_string(),
        },
        "&" | "|" | "^" | "<<" | ">>" => match body.as_array().map(Vec::as_slice) {
            Some([left, right]) => format!("{} {kind} {}", inner(left), inner(right)),
            _ => body.to_string(),
        },
        "fib" => {
            let flags = body.get("flags").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let flags: Vec<String> = flags.iter().map(inner).collect();
            format!("fib {} {}", flags.join(" . "), text(body, "result"))
        }
        "socket" => format!("socket {}", text(body, "key")),
        "rt" => match text(body, "family") {
            "" => format!("rt {}", text(body, "key")),
            family => format!("rt {family} {}", text(body, "key")),
        },
        "tcp option" | "ip option" | "sctp chunk" | "exthdr" => match text(body, "field") {
            "" => format!("{kind} {}", text(body, "name")),
            field => format!("{kind} {} {field}", text(body, "name")),
        },
        "numgen" => format!("numgen {} mod {}", text(body, "mode"), member(body, "mod")),
        "jhash" => format!("jhash {} mod {}", member(body, "expr"), member(body, "mod")),
        "symhash" => format!("symhash mod {}", member(body, "mod")),
        "elem" => {
            let timeout = match body.get("timeout") {
                Some(seconds) => format!(" timeout {}s", inner(seconds)),
                None => String::new(),
            };
            format!("{}{timeout}", member(body, "val"))
        }
        "limit" if body.get("rate").is_some() => limit(body),
        "quota" if body.get("val").is_some() => {
            format!("quota {}{} {}", over(body), member(body, "val"), text(body, "val_unit"))
        }
        "concat" => {
            let parts = body.as_array().map_or(&[][..], Vec::as_slice);
            parts.iter().take(ELEMENTS).map(inner).collect::<Vec<_>>().join(" . ")
        }
        "prefix" => format!("{}/{}", member(body, "addr"), member(body, "len")),
        "vmap" => format!("{} vmap {}", member(body, "key"), member(body, "data")),
        // What is counted is no part of the rule.
        "counter" => match body.as_str() {
            Some(name) => format!("counter name {name}"),
            None => kind.clone(),
        },
        "mangle" => format!("{} set {}", member(body, "key"), member(body, "value")),
        "jump" | "goto" => format!("{kind} {}", text(body, "target")),
        "xt" => format!("xt {} {}", text(body, "type"), text(body, "name")),
        "log" => match body.get("prefix").and_then(Value::as_str) {
            Some(prefix) => format!("log prefix \"{prefix}\""),
            None => kind.clone(),
        },
        "ct count" => format!("ct count {}{}", over(body), member(body, "val")),
        "ct helper" | "ct timeout" | "ct expectation" => format!("{kind} set {}", inner(body)),
        "flow" => format!("flow {} {}", text(body, "op"), text(body, "flowtable")),
        "snat" | "dnat" | "redirect" | "masquerade" => translation(kind, body, depth),
        "reject" => reject(kind, body, depth),
        _ if body.is_null() => kind.clone(),
        _ => value.to_string(),
    }
}

/// `tcp dport 80`, `ct state != new`.
fn comparison(body: &Value, depth: u32) -> String {
    let inner = |v: &Value| show(v, depth + 1);
    let left = body.get("left").unwrap_or(&Value::Null);
    let operator = match text(body, "op") {
        "==" if left.get("&").is_none() => String::new(),
        "in" => String::new(),
        // Where bits are masked out nft writes `==`.
        other => format!("{other} "),
    };
    let right = match body.get("right") {
        Some(Value::Bool(true)) => String::from("exists"),
        Some(Value::Bool(false)) => String::from("missing"),
        Some(right) => inner(right),
        None => String::new(),
    };
    match flags_of(left) {
        Some(mask) if text(body, "op") != "!=" => format!("tcp flags {right} / {}", inner(mask)),
        Some(_) | None => format!("{} {operator}{right}", inner(left)),
    }
}

/// The flags of TCP that are looked at: `tcp flags syn / fin,syn,rst,ack`.
fn flags_of(value: &Value) -> Option<&Value> {
    let [left, mask] = value.get("&")?.as_array()?.as_slice() else { return None };
    let payload = left.get("payload")?;
    (text(payload, "protocol") == "tcp" && text(payload, "field") == "flags").then_some(mask)
}

/// `add @seen { ip saddr limit rate 10/second }`
fn set_update(body: &Value, depth: u32) -> String {
    let parts: Vec<String> = ["elem", "stmt"]
        .iter()
        .filter_map(|key| body.get(key))
        .map(|part| show(part, depth + 1))
        .filter(|part| !part.is_empty())
        .collect();
    format!("{} {} {{ {} }}", text(body, "op"), text(body, "set"), parts.join(" "))
}

/// `dnat to 10.0.0.1:80`
fn translation(kind: &str, body: &Value, depth: u32) -> String {
    let inner = |v: &Value| show(v, depth + 1);
    let (address, port) = (body.get("addr"), body.get("port"));
    match (address, port) {
        (Some(address), Some(port)) => format!("{kind} to {}:{}", inner(address), inner(port)),
        (Some(address), None) => format!("{kind} to {}", inner(address)),
        (None, Some(port)) => format!("{kind} to :{}", inner(port)),
        (None, None) => kind.into(),
    }
}

/// `reject with icmp port-unreachable`
fn reject(kind: &str, body: &Value, depth: u32) -> String {
    match (text(body, "type"), body.get("expr")) {
        ("", _) => kind.into(),
        ("tcp reset", _) => format!("{kind} with tcp reset"),
        (family, Some(code)) => format!("{kind} with {family} {}", show(code, depth + 1)),
        (family, None) => format!("{kind} with {family}"),
    }
}

fn over(body: &Value) -> &'static str {
    if body.get("inv") == Some(&Value::Bool(true)) { "over " } else { "" }
}

/// `limit rate over 10 mbytes/minute`; a burst of 5 packets is nft's own.
fn limit(body: &Value) -> String {
    let number = |key: &str| body.get(key).and_then(Value::as_u64);
    let rate = number("rate").unwrap_or(0);
    let unit = match text(body, "rate_unit") {
        "" | "packets" => String::new(),
        unit => format!(" {unit}"),
    };
    let burst = match (number("burst"), text(body, "burst_unit")) {
        (None | Some(0), _) | (Some(5), "") => String::new(),
        (Some(burst), "") => format!(" burst {burst} packets"),
        (Some(burst), unit) => format!(" burst {burst} {unit}"),
    };
    format!("limit rate {}{rate}{unit}/{}{burst}", over(body), text(body, "per"))
}

fn elements(list: &Value, depth: u32) -> String {
    let all = list.as_array().map_or(&[][..], Vec::as_slice);
    let mut shown: Vec<String> = all
        .iter()
        .take(ELEMENTS)
        .map(|element| match element.as_array().map(Vec::as_slice) {
            Some([key, value]) => format!("{} : {}", show(key, depth + 1), show(value, depth + 1)),
            _ => show(element, depth + 1),
        })
        .collect();
    if all.len() > ELEMENTS {
        shown.push(String::from("…"));
    }
    shown.join(", ")
}
