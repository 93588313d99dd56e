//! `fix --json`: every remedy's plan is what docs/formats/plan.schema.json publishes, has no field that stands not there, and
//! nothing is changed.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::files::Copy;
use crate::host::Host;
use crate::support::{root, text};

/// The schema, with no room for fields that it does not name.
fn schema(name: &str) -> Value {
    fn close(value: &mut Value) {
        match value {
            Value::Object(object) => {
                if object.contains_key("properties") {
                    object.insert("additionalProperties".into(), Value::Bool(false));
                }
                object.values_mut().for_each(close);
            }
            Value::Array(items) => items.iter_mut().for_each(close),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut schema = crate::support::schema(name);
    close(&mut schema);
    schema
}

fn errors(plan: &Value) -> Vec<String> {
    crate::support::schema_errors(&schema("plan"), plan)
}

/// Kinds of the changes of a plan.
fn kinds(plan: &Value) -> BTreeSet<String> {
    let changes = plan["changes"].as_array().expect("changes").iter();
    changes.filter_map(Value::as_object).flat_map(Map::keys).cloned().collect()
}

#[test]
fn what_another_namespace_can_not_see_of_the_host_is_not_called_absent() {
    if !root() {
        return;
    }
    let host = Host::new("elsewhere");
    let out = host.run(&["fix", "persist", "nf_conntrack_tcp_timeout_close", "--dry-run"]);
    let said = text(&out.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(
        said.contains("the running values of the host's own network namespace could not be read"),
        "{said}"
    );
}

#[test]
fn a_field_that_the_schema_does_not_name_is_an_error() {
    let mut plan = serde_json::json!({ "schema": "plimsoll.plan/1" });
    assert!(errors(&plan).iter().any(|e| e.contains("remedy")), "a missing one too");
    plan["surprise"] = Value::Null;
    assert!(errors(&plan).iter().any(|e| e.contains("surprise")));
}

#[test]
fn the_list_of_transactions_is_what_its_schema_publishes() {
    if !root() {
        return;
    }
    let host = Host::new("listed").with_nft();
    let listed = || {
        let list: Value =
            serde_json::from_str(&host.ok(&["fix", "--list", "--json"])).expect("JSON");
        let errors = crate::support::schema_errors(&schema("transactions"), &list);
        assert!(errors.is_empty(), "{errors:?}: {list:#}");
        list["transactions"].as_array().expect("a list").clone()
    };
    assert!(listed().is_empty());
    host.ok(&["fix", "timeout", "udp=12", "--yes", "--watch", "0"]);
    host.ok(&["fix", "timeout", "udp=13", "--yes", "--watch", "0", "--confirm", "300s"]);
    let list = listed();
    let told = |field: &str| list.iter().map(|t| t[field].clone()).collect::<Vec<_>>();
    assert_eq!(told("id"), [1, 2]);
    assert_eq!(told("phase"), ["standing", "pending"]);
    assert_eq!(told("title")[0], "set udp to 12 s");
    assert_eq!(list[0]["seconds_left"], Value::Null);
    assert!(list[1]["seconds_left"].as_u64().is_some_and(|left| left <= 300), "{:#}", list[1]);
    host.ok(&["confirm"]);
    host.ok(&["undo"]);
    host.ok(&["undo"]);
    assert!(listed().iter().all(|t| t["phase"] == "undone" && t["ended"].is_string()));
}

#[test]
fn the_plan_of_every_remedy_is_what_the_schema_publishes() {
    if !root() {
        return;
    }
    let nft = Host::new("plans").with_strict_nft();
    let legacy = Host::new("plans-xt").with_strict_legacy();
    // A SYN proxy announces what the smallest interface carries.
    nft.netns.run("ip", &["link", "add", "v", "mtu", "1400", "type", "veth", "peer", "name", "w"]);
    for end in ["v", "w"] {
        nft.netns.run("ip", &["link", "set", end, "up"]);
    }
    let open = Host::new("plans-open").with_nft();
    open.netns.send_udp("127.0.0.1", 2000, 20);
    let machine = Host::of_the_machine("plans-machine");
    let more = (machine.limit().0 + 4096).to_string();
    let plans: &[(&Host, &[&str], &[&str])] = &[
        // The machine's limit is others' too: what comes of it is not told beforehand.
        (&machine, &["raise", "--max", &more], &[]),
        (&nft, &["timeout", "time_wait=30"], &["setting"]),
        (&nft, &["timeout", "--port", "tcp/443", "established=600"], &["nft"]),
        (&legacy, &["timeout", "--port", "tcp/443", "established=600"], &["iptables", "policy"]),
        (&nft, &["bypass", "tcp/443", "--role", "server"], &["delete", "nft"]),
        (&legacy, &["bypass", "tcp/443", "--role", "server"], &["delete", "iptables"]),
        (&nft, &["lifeline", "--peer", "10.1.2.3", "--port", "443"], &["delete", "nft"]),
        (&nft, &["limit", "tcp/443", "--per-source", "5"], &["nft"]),
        (&legacy, &["limit", "tcp/443", "--per-source", "5"], &["iptables"]),
        (&legacy, &["limit", "tcp/443", "--synproxy"], &[]),
        (&nft, &["limit", "tcp/443", "--synproxy"], &["nft", "setting"]),
        (&open, &["shed", "--unreplied"], &["delete"]),
        (&machine, &["unload"], &[]),
    ];
    let (old, old_legacy) = (nft.everything(), legacy.everything());
    for (host, remedy, expected) in plans {
        let out = host.run(&[&["fix"], *remedy, &["--json"]].concat());
        let said = text(&out.stdout);
        let plan: Value = serde_json::from_str(&said)
            .unwrap_or_else(|e| panic!("{remedy:?}: {e}: {said}{}", text(&out.stderr)));
        assert_eq!(errors(&plan), Vec::<String>::new(), "{remedy:?}: {plan:#}");
        assert_eq!(plan["remedy"], remedy[0]);
        let refused = plan["refused"].as_array().is_some_and(|r| !r.is_empty());
        assert_eq!(out.status.code(), Some(i32::from(refused)), "{remedy:?}");
        let expected: BTreeSet<String> = expected.iter().map(|k| (*k).to_owned()).collect();
        assert!(expected.is_empty() || kinds(&plan) == expected, "{remedy:?}: {plan:#}");
    }
    assert_eq!((nft.everything(), legacy.everything()), (old, old_legacy));

    let copy = Copy::of("centos6", "plans");
    let files = copy.files();
    let out = copy.persist(&["--json"]).output().expect("it starts");
    let plan: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(errors(&plan), Vec::<String>::new(), "{plan:#}");
    assert_eq!(kinds(&plan), BTreeSet::from(["file".to_owned()]));
    assert_eq!(copy.files(), files);
}
