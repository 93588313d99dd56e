//! The name of a connection tracking helper.

use core::fmt;

/// A name of at most 15 bytes, as the kernel keeps that of a helper (`NF_CT_HELPER_NAME_LEN`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HelperName {
    bytes: [u8; 16],
    length: u8,
}

impl HelperName {
    /// The first bytes of `name`, up to a NUL; what is no UTF-8, or longer than 16 bytes, is cut off there.
    pub fn new(name: &[u8]) -> Self {
        let end = name.iter().position(|&b| b == 0).unwrap_or(name.len()).min(16);
        let name = name.get(..end).unwrap_or_default();
        let valid = match core::str::from_utf8(name) {
            Ok(_) => name.len(),
            Err(error) => error.valid_up_to(),
        };
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(name.iter().take(valid)) {
            *to = *from;
        }
        Self { bytes, length: valid as u8 }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl From<&str> for HelperName {
    fn from(name: &str) -> Self {
        Self::new(name.as_bytes())
    }
}

impl fmt::Debug for HelperName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for HelperName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helpers_name_ends_at_its_nul_and_at_what_is_no_text() {
        assert_eq!(HelperName::new(b"ftp\0\0").as_str(), "ftp");
        assert_eq!(HelperName::new(b"a\xffb").as_str(), "a");
        assert_eq!(HelperName::new(&[b'x'; 40]).as_str(), "xxxxxxxxxxxxxxxx");
    }
}
