//! What is told to a person, in both languages.

use alloc::borrow::Cow;
use core::fmt;

/// A few words in English, and in Chinese.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    english: Cow<'static, str>,
    chinese: Cow<'static, str>,
}

/// Both, the one beside the other; they name the same values, and where a value is itself [`Words`], the Chinese names it
/// as `{value:#}`.
macro_rules! both {
    ($english:literal, $chinese:literal $(, $value:expr)* $(,)?) => {
        $crate::Words::new(
            alloc::format!($english $(, $value)*),
            alloc::format!($chinese $(, $value)*),
        )
    };
}
pub(crate) use both;

impl Words {
    pub(crate) fn new(
        english: impl Into<Cow<'static, str>>,
        chinese: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { english: english.into(), chinese: chinese.into() }
    }

    pub(crate) const fn of(english: &'static str, chinese: &'static str) -> Self {
        Self { english: Cow::Borrowed(english), chinese: Cow::Borrowed(chinese) }
    }

    /// In English.
    pub fn english(&self) -> &str {
        &self.english
    }

    /// In Chinese.
    pub fn chinese(&self) -> &str {
        &self.chinese
    }
}

/// `{}` is the English, `{:#}` the Chinese.
impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if f.alternate() { &self.chinese } else { &self.english })
    }
}
