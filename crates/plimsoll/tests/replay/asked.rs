//! What was asked for, where it says nothing, too much, or what no kernel would do.

use crate::{capture, replay};

const SHORT: &str = "rate=10/s,for=20s";

#[test]
fn a_workload_of_no_words_is_refused_and_says_what_would_do() {
    for nothing in ["", " ,"] {
        let (_, err, code) = replay(&["--synthetic", nothing], b"");
        assert_eq!(code, Some(64), "{err}");
        assert!(err.contains("saw nothing; rate=1000/s"), "{err}");
    }
}

#[test]
fn connections_that_are_estimated_are_called_so_and_are_no_more_than_the_packets() {
    // Each packet is another connection's; an estimate comes to 20,027 of 19,997 that are lost.
    let lost = |queries: u16, more: &[&str]| {
        let few = ["-", "--set=nf_conntrack_max=1", "--no-search", "--width=200"];
        replay(&[&few[..], more].concat(), &capture(queries, false)).0
    };
    let out = lost(20_000, &[]);
    assert!(out.contains("it drops 19,997 packets of about 19,997 connections"), "{out}");
    assert!(out.contains(" 19,997  ~19,997 "), "{out}");
    let out = lost(20_000, &["--lang=zh"]);
    assert!(out.contains("丢弃 19,997 个包，涉及约 19,997 条连接"), "{out}");
    let value: serde_json::Value = serde_json::from_str(&lost(20_000, &["--json"])).unwrap();
    let run = &value["runs"][0];
    assert_eq!(run["packets_lost"], run["connections_lost"]);
    let out = lost(10_000, &[]);
    assert!(!out.contains("about") && !out.contains('~'), "{out}");
}

#[test]
fn what_is_asked_for_twice_is_tried_once_and_that_is_said() {
    let (out, err, _) = replay(
        &["--synthetic", SHORT, "--set", "max=5", "--what-if", "max=7,1,7,7", "--no-search"],
        b"",
    );
    assert_eq!(out.matches("max=7 ").count(), 1, "{out}");
    assert_eq!(out.matches("max=1 ").count(), 1, "{out}");
    assert!(err.contains("2 of the 4 combinations come to the same as another"), "{err}");
}

#[test]
fn no_limit_is_refused_as_a_value_by_the_kernels_that_refuse_it() {
    for arguments in [["--set", "max=0"], ["--what-if", "max=10,0"]] {
        let of = |profile| {
            let all = [&["--synthetic", SHORT, "--profile", profile][..], &arguments].concat();
            replay(&all, b"")
        };
        let (_, err, code) = of("7.1");
        assert_eq!(code, Some(64), "{err}");
        assert!(err.contains("nf_conntrack_max: the kernel refuses 0"), "{err}");
        let (out, err, code) = of("6.18");
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    }
}
