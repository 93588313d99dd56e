//! What a decoder could not understand, in both languages.

use alloc::format;
use alloc::string::ToString;

use plimsoll_wire::Malformed;

use crate::Said;

impl From<&Malformed> for Said {
    fn from(malformed: &Malformed) -> Self {
        Self::new(malformed.to_string(), format!("{malformed:#}"))
    }
}

impl From<Malformed> for Said {
    fn from(malformed: Malformed) -> Self {
        (&malformed).into()
    }
}
