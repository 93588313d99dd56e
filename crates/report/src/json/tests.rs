use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Value;

use super::{NotACheck, check_from_json, json, json_pretty};
use crate::text::cases;
use crate::{Style, text};

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn schema() -> Value {
    value(include_str!("../../../../docs/formats/check.schema.json"))
}

#[test]
fn what_is_written_and_read_again_is_the_same_diagnosis() {
    for d in cases::all() {
        assert_eq!(check_from_json(&json(&d)).expect("reads"), d);
        assert_eq!(check_from_json(&json_pretty(&d)).expect("reads"), d);
    }
}

#[test]
fn the_screen_can_be_rebuilt_from_the_json() {
    for d in cases::all() {
        let again = check_from_json(&json(&d)).expect("reads");
        for verbose in [false, true] {
            let style = Style { verbose, colour: true, ..Style::default() };
            assert_eq!(text(&again, &style), text(&d, &style));
        }
    }
}

#[test]
fn the_output_is_valid_by_the_published_schema() {
    let schema = schema();
    jsonschema::meta::validate(&schema).expect("the schema is one");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for d in cases::all() {
        let value = value(&json(&d));
        let errors: Vec<String> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

/// The schema with every object closed: a field that it does not describe is an error.
fn closed(schema: &mut Value) {
    if let Some(map) = schema.as_object_mut() {
        if map.contains_key("properties") {
            map.insert("additionalProperties".into(), Value::Bool(false));
        }
        map.values_mut().for_each(closed);
    } else if let Some(list) = schema.as_array_mut() {
        list.iter_mut().for_each(closed);
    }
}

#[test]
fn the_published_schema_describes_every_field() {
    let mut schema = schema();
    closed(&mut schema);
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for d in cases::all() {
        let value = value(&json(&d));
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|e| alloc::format!("{}: {e}", e.instance_path))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

#[test]
fn the_schema_refuses_what_is_not_a_check() {
    let validator = jsonschema::validator_for(&schema()).expect("a schema");
    let good = value(&json(&cases::full()));
    assert!(validator.is_valid(&good));
    for (pointer, wrong) in [
        ("/schema", Value::from("plimsoll.check/2")),
        ("/verdict", Value::from("fine")),
        ("/namespaces/0/count", Value::from(-1)),
        ("/namespaces/0/tracking", Value::from("yes")),
        ("/findings/0/id", Value::from("CT1")),
        ("/remedies/0/id", Value::from("reboot")),
        ("/drops/first", Value::from("yesterday")),
        ("/host", Value::Null),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).expect("is there") = wrong;
        assert!(!validator.is_valid(&bad), "{pointer}");
    }
}

#[test]
fn the_contract_that_others_build_on_holds() {
    let check = value(&json(&cases::full()));
    let names = |pointer: &str| -> Vec<String> {
        let object = check.pointer(pointer).and_then(Value::as_object).expect("an object");
        object.keys().cloned().collect()
    };
    for (pointer, wanted) in [
        ("", "schema host verdict namespaces drops findings remedies missing"),
        ("/host", "name kernel source time"),
        (
            "/namespaces/0",
            "name inode tracking count max evictable closing protected sampled rates",
        ),
        ("/namespaces/0/rates", "new expired drop early_drop insert_failed"),
        ("/drops", "now first last log_lines packets_at_least"),
        ("/findings/0", "id name severity namespace summary evidence"),
        ("/findings/0/evidence/0", "what value unit source"),
        ("/remedies/0", "id for commands memory_bytes risk effect"),
        ("/missing/0", "fact reason needs"),
    ] {
        let names = names(pointer);
        for name in wanted.split(' ') {
            assert!(names.iter().any(|n| n == name), "{pointer}/{name}");
        }
    }
    assert_eq!(check["schema"], "plimsoll.check/1");
    assert_eq!(check["findings"][0]["name"], "table-full");
    assert_eq!(check["drops"]["first"], "2026-11-22T03:12:07Z");
    assert_eq!(check["drops"]["first_uncertainty_seconds"], 1.0);
}

#[test]
fn what_could_not_be_had_is_null_and_never_zero() {
    let check = value(&json(&cases::unprivileged()));
    for pointer in [
        "/namespaces/0/protected",
        "/namespaces/0/tracking",
        "/namespaces/0/rates/drop",
        "/drops/now",
        "/drops/log_lines",
        "/drops/first",
    ] {
        assert_eq!(check.pointer(pointer), Some(&Value::Null), "{pointer}");
    }
    assert_eq!(check["namespaces"][0]["rates"]["missing"]["new"]["needs"], "CAP_NET_ADMIN");
}

#[test]
fn the_json_may_be_sent_to_a_terminal_and_still_holds_the_text() {
    let d = cases::hostile();
    for text in [json(&d), json_pretty(&d)] {
        assert!(!text.contains(|c| c != '\n' && plimsoll_wire::is_hidden(c)));
        assert_eq!(value(&text)["host"]["name"], d.host.name.clone().expect("a name"));
    }
}

#[test]
fn the_form_of_a_small_check() {
    insta::assert_snapshot!("healthy", json_pretty(&cases::healthy()));
}

#[test]
fn a_measured_number_that_is_none_is_null() {
    let mut d = cases::healthy();
    d.namespaces[0].groups.states[0].share = f64::NAN;
    d.namespaces[0].rates.new = Ok(f64::INFINITY);
    let json = json(&d);
    assert_eq!(value(&json)["namespaces"][0]["groups"]["states"][0]["share"], Value::Null);
    let again = check_from_json(&json).expect("reads");
    assert_eq!(text(&again, &Style::default()), text(&d, &Style::default()));
}

#[test]
fn a_unit_of_a_later_version_is_kept_in_words() {
    let changed = json(&cases::full()).replace("\"unit\":\"packets/s\"", "\"unit\":\"furlongs\"");
    let d = check_from_json(&changed).expect("reads");
    assert!(text(&d, &Style::default()).contains("dropped: 1,240 furlongs"));
}

#[test]
fn a_field_of_a_later_version_is_passed_over() {
    let changed = json(&cases::full()).replacen('{', "{\"later\":[1,{}],", 1);
    assert_eq!(check_from_json(&changed).expect("reads"), cases::full());
}

#[test]
fn what_is_no_check_is_refused_with_the_reason() {
    let good = json(&cases::full());
    let schema = good.replace("plimsoll.check/1", "plimsoll.check/2");
    assert_eq!(check_from_json(&schema), Err(NotACheck::Schema("plimsoll.check/2".into())));
    let id = good.replace("\"id\":\"CT020\"", "\"id\":\"CT099\"");
    assert_eq!(check_from_json(&id), Err(NotACheck::Word("findings.id", "CT099".into())));
    let index = good.replace("\"namespace_index\":0", "\"namespace_index\":7");
    assert_eq!(
        check_from_json(&index),
        Err(NotACheck::Word("findings.namespace_index", "7".into()))
    );
    let time = good.replace("2026-11-22T03:12:07Z", "2026-11-31T03:12:07Z");
    assert!(matches!(check_from_json(&time), Err(NotACheck::Word("drops.first", _))));
    assert!(matches!(check_from_json(""), Err(NotACheck::Form(_))));
    assert!(matches!(check_from_json(&"[".repeat(100_000)), Err(NotACheck::Form(_))));
    let shown = NotACheck::Word("verdict", "\x1b[2J".into()).to_string();
    assert!(!shown.contains('\x1b'), "{shown}");
}

#[test]
fn a_damaged_document_is_refused_or_shown_and_never_a_panic() {
    let good = json(&cases::full());
    let style = Style::default();
    // A fixed sequence of damages: the same at every run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).expect("small")
    };
    let pieces = ["9", "-", "null", "\"", "[", "}", "1e308", "\\u202e", "0", "true", ",", "Z"];
    let mut read = 0;
    for _ in 0..4_000 {
        let mut text = good.clone();
        for _ in 0..=random(2) {
            let at = random(text.len());
            let end = (at + random(4)).min(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(end) {
                text.replace_range(at..end, pieces[random(pieces.len())]);
            }
        }
        if let Ok(d) = check_from_json(&text) {
            read += 1;
            let screen = crate::text(&d, &style);
            assert_eq!(crate::text(&check_from_json(&json(&d)).expect("reads"), &style), screen);
        }
    }
    assert!(read > 100, "{read} were read: the damage is too great to test anything");
}
