//! The content of a file, byte for byte, in a form that a journal can keep and a person can read.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of a file. Written to a journal as text where they are UTF-8, else as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content(pub Vec<u8>);

impl Content {
    /// As text, with what is no UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

/// The form in the journal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Text(String),
    Hex(String),
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = match core::str::from_utf8(&self.0) {
            Ok(text) => Form::Text(text.to_string()),
            Err(_) => Form::Hex(self.0.iter().map(|b| format!("{b:02x}")).collect()),
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(text.into()),
            Form::Hex(digits) => unhex(&digits)
                .map(Self)
                .ok_or_else(|| serde::de::Error::custom("expected pairs of hexadecimal digits")),
        }
    }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let digit = |b: u8| char::from(b).to_digit(16);
    let byte = |pair: &[u8; 2]| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok();
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

/// A file as it is or shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// Its bytes.
    pub content: Content,
    /// Permission bits (0o644).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl FileState {
    /// A file of root's that everybody may read.
    pub fn new(content: impl Into<Content>) -> Self {
        Self { content: content.into(), mode: 0o644, uid: 0, gid: 0 }
    }

    /// The same file with other bytes.
    pub fn with(&self, content: impl Into<Content>) -> Self {
        Self { content: content.into(), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_kept_as_digits() {
        assert_eq!(unhex("ff000a"), Some(alloc::vec![0xff, 0, 0x0a]));
        assert_eq!(unhex(""), Some(Vec::new()));
        assert_eq!(unhex("f"), None);
        assert_eq!(unhex("zz"), None);
    }
}
