//! Captures that are silent for years, put together of several as they often are.

use serde_json::Value;

use super::{frames, packet, replay};

/// Thirty years, in seconds.
const LONG: u32 = 30 * 365 * 86_400;
const FLOWS: u8 = 200;
const BUCKETS: &str = "--set=nf_conntrack_buckets=1024";

/// The same queries three times, thirty years between them.
fn capture() -> Vec<u8> {
    let query = |port: u8| packet(17, [1, 2], &[16, port, 0, 53, 0, 8, 0, 0]);
    let times = [0, LONG, 2 * LONG];
    let all = times.iter().flat_map(|&at| (0..FLOWS).map(move |n| (at, query(n), 0)));
    frames(&all.collect::<Vec<_>>())
}

/// As long as a kernel of 250 ticks a second takes: three months. Pass by pass, the collector alone would take minutes here.
const TIMEOUT: &str = "--set=nf_conntrack_udp_timeout=8000000";

#[test]
fn decades_of_silence_with_timeouts_of_months_are_answered() {
    // One for each way of collecting.
    for profile in ["4.9", "4.14", "5.14", "6.18"] {
        let timeouts = "--what-if=nf_conntrack_udp_timeout=30,7000000";
        let arguments = ["-", "--json", "--profile", profile, TIMEOUT, BUCKETS, timeouts];
        let (out, told, status) = replay(&arguments, &capture());
        assert_eq!((told.as_str(), status), ("", Some(0)), "{profile}");
        let value: Value = serde_json::from_str(&out).unwrap();
        let runs = value["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 3);
        for run in runs {
            assert_eq!(run["peak_entries"], u64::from(FLOWS), "{profile}");
            // Between the bursts all had expired, and was gone.
            let samples = run["timeline"].as_array().unwrap();
            assert!(samples.iter().any(|sample| sample["counted"] == 0), "{profile} {run}");
        }
        let left = |at: &str| {
            let arguments = ["-", "--dump", "--profile", profile, TIMEOUT, "--at", at];
            let (out, told, status) = replay(&arguments, &capture());
            assert_eq!((told.as_str(), status), ("", Some(0)), "{profile}");
            out.lines().count()
        };
        assert_eq!(left("+7999999"), usize::from(FLOWS), "{profile}");
        assert_eq!(left("+8000000"), 0, "{profile}");
        assert_eq!(left("+900000000"), 0, "{profile}");
    }
}
