//! Packets that are lost to hash chains: no limit helps, more buckets do.

use serde_json::Value;

use super::replay;

/// Chains of this kernel may have 50 entries, now and then.
const TRAFFIC: &str = "rate=200/s lifetime=exp:5s tcp=70% udp=30% seed=5 for=80s";

/// Standard output with few buckets and this besides.
fn said(more: &[&str]) -> String {
    let few = ["--synthetic", TRAFFIC, "--set", "nf_conntrack_buckets=512", "--width", "240"];
    let (out, told, status) = replay(&[&few[..], more].concat(), b"");
    assert_eq!(status, Some(0), "{told}");
    out
}

#[test]
fn what_chains_lose_no_limit_saves_and_the_answer_names_buckets() {
    let out = said(&[]);
    for part in [
        " entries and more than 512 buckets; with nf_conntrack_buckets=512 it drops ",
        ": hash chains get too long, whatever the limit.",
        "A higher limit alone does not help: without one, hash chains that are too long lose ",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(!out.contains("Smallest limit"), "{out}");
    // A limit that is met before the chains are too long.
    let out = said(&["--set", "nf_conntrack_max=3000"]);
    assert!(
        out.contains(" entries and more than 512 buckets; with nf_conntrack_max=3,000"),
        "{out}"
    );
    assert!(
        out.contains("a higher limit takes more buckets (nf_conntrack_buckets, now 512)"),
        "{out}"
    );
    assert!(!out.contains("Smallest limit"), "{out}");
    let out = said(&["--lang", "zh"]);
    assert!(out.contains("桶要多于 512 个") && out.contains("光提高上限没有用"), "{out}");
}

#[test]
fn what_is_needed_and_recommended_is_with_buckets_that_lose_nothing() {
    let value: Value = serde_json::from_str(&said(&["--json"])).unwrap();
    let runs = value["runs"].as_array().unwrap();
    let last = runs.last().unwrap();
    assert_eq!((&last["role"], &last["packets_lost"]), (&"unlimited".into(), &0.into()));
    assert_eq!(value["needed"], last["peak_entries"]);
    assert!(last["peak_entries"].as_u64() > runs[0]["peak_entries"].as_u64(), "{runs:#?}");
    // What is recommended drops nothing, and so does what is called enough.
    let set = |name: &str, value: &Value| format!("{name}={value}");
    for (max, buckets) in
        [(&value["needed"], &last["buckets"]), (&value["size"]["max"], &value["size"]["buckets"])]
    {
        let (max, buckets) = (set("nf_conntrack_max", max), set("nf_conntrack_buckets", buckets));
        let out = said(&["--set", &max, "--set", &buckets]);
        assert!(out.starts_with("HOLDS"), "{max} {buckets}: {out}");
    }
}

#[test]
fn a_search_that_was_not_made_leaves_open_what_is_needed() {
    let value: Value = serde_json::from_str(&said(&["--json", "--no-search"])).unwrap();
    assert_eq!(value["needed"], Value::Null);
    let out = said(&["--no-search"]);
    assert!(out.contains("The table needs more than "), "{out}");
    assert!(!out.contains("With room to grow"), "{out}");
}
