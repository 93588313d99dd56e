//! The objects of `nft -j list ruleset`, one at a time, so that memory does not grow with the ruleset.

use alloc::string::{String, ToString};
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::{Expected, Malformed, Place};

/// Hands each object's kind (`rule`, `chain` …) and body to `take`, in their order, up to a malformed place.
pub(crate) fn each(json: &[u8], take: &mut dyn FnMut(&str, Value)) -> Result<(), Malformed> {
    let mut decoder = serde_json::Deserializer::from_slice(json);
    Root(take).deserialize(&mut decoder).map_err(|error| {
        let place = Place::Nth(error.line(), error.column());
        Malformed::new(
            place,
            Expected::Words(&["nft's JSON", "nft 的 JSON"]),
            error.to_string().as_bytes(),
        )
    })
}

/// `{"nftables": [...]}`
struct Root<'a>(&'a mut dyn FnMut(&str, Value));

impl<'de> DeserializeSeed<'de> for Root<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<(), D::Error> {
        decoder.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `nftables`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "nftables" {
                map.next_value_seed(List(&mut *self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The list of objects.
struct List<'a>(&'a mut dyn FnMut(&str, Value));

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<(), D::Error> {
        decoder.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(object) = list.next_element::<Value>()? {
            if let Value::Object(object) = object {
                for (kind, body) in object {
                    (self.0)(&kind, body);
                }
            }
        }
        Ok(())
    }
}
