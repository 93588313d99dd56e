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
        "match" => {
            let operator = match text(body, "op") {
                "==" | "in" => String::new(),
                other => format!("{other} "),
            };
            format!("{} {operator}{}", member(body, "left"), member(body, "right"))
        }
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
        "set" => format!(
            "{} {} {{ {} {} }}",
            text(body, "op"),
            text(body, "set"),
            member(body, "elem"),
            member(body, "stmt")
        ),
        "range" => match body.as_array().map(Vec::as_slice) {
            Some([first, last]) => format!("{}-{}", inner(first), inner(last)),
            _ => body.to_string(),
        },
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
        "ct count" => {
            let over = if body.get("inv") == Some(&Value::Bool(true)) { "over " } else { "" };
            format!("ct count {over}{}", member(body, "val"))
        }
        "ct helper" | "ct timeout" | "ct expectation" => format!("{kind} set {}", inner(body)),
        "snat" | "dnat" | "redirect" | "masquerade" => {
            let mut line = kind.clone();
            if let Some(address) = body.get("addr") {
                line.push_str(&format!(" to {}", inner(address)));
            }
            if let Some(port) = body.get("port") {
                let to = if body.get("addr").is_some() { ":" } else { " to :" };
                line.push_str(&format!("{to}{}", inner(port)));
            }
            line
        }
        "reject" => match (text(body, "type"), body.get("expr")) {
            ("", _) => kind.clone(),
            ("tcp reset", _) => format!("{kind} with tcp reset"),
            (family, Some(code)) => format!("{kind} with {family} {}", inner(code)),
            (family, None) => format!("{kind} with {family}"),
        },
        _ if body.is_null() => kind.clone(),
        _ => value.to_string(),
    }
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
