//! Conditions told again in nft's language.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Value;

use super::left::field;
use super::text;

/// A condition in nft's language, if this one says it exactly: another rule shall ask the same.
pub(super) fn exact(inner: &Value) -> Option<String> {
    let left = inner.get("left")?;
    let op = match text(inner, "op") {
        "==" | "in" => "",
        op @ ("!=" | "<" | ">" | "<=" | ">=") => op,
        _ => return None,
    };
    let (name, quoted) = if let Some(key) = left.get("meta").map(|m| text(m, "key")) {
        match key {
            "iif" | "oif" | "iifname" | "oifname" => (key.to_string(), true),
            "l4proto" | "nfproto" | "mark" | "skuid" | "skgid" | "pkttype" => {
                (format!("meta {key}"), false)
            }
            _ => return None,
        }
    } else {
        match field(left) {
            ("", _) => return None,
            (_, "flags") => return None,
            (header, name) => (format!("{header} {name}"), false),
        }
    };
    let value = value(inner.get("right")?, quoted)?;
    Some(if op.is_empty() { format!("{name} {value}") } else { format!("{name} {op} {value}") })
}

fn value(right: &Value, quoted: bool) -> Option<String> {
    // What would end a word, or begin another, is not repeated.
    let plain = |word: &str| {
        word.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'_' | b'@' | b'*')
        })
    };
    if let Some(all) = right.get("set").and_then(Value::as_array) {
        if all.len() > 64 {
            return None;
        }
        let all: Option<Vec<String>> = all.iter().map(|v| value_of_set(v, quoted)).collect();
        return Some(format!("{{ {} }}", all?.join(", ")));
    }
    match right {
        Value::String(word) if !plain(word) => None,
        Value::String(word) if quoted => Some(format!("\"{word}\"")),
        Value::String(word) => Some(word.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Object(_) => value_of_set(right, quoted),
        _ => None,
    }
}

fn value_of_set(value_: &Value, quoted: bool) -> Option<String> {
    let scalar = |v: &Value| if v.is_object() { None } else { value(v, quoted) };
    if let Some([first, last]) = value_.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        return Some(format!("{}-{}", scalar(first)?, scalar(last)?));
    }
    if let Some(prefix) = value_.get("prefix") {
        return Some(format!("{}/{}", scalar(prefix.get("addr")?)?, prefix.get("len")?.as_u64()?));
    }
    scalar(value_)
}
