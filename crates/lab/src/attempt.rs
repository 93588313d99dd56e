//! What the laboratory tries of the system, so that a failure can say what it was.

use std::fmt;

/// What was tried. `{}` is the English, `{:#}` the Chinese.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    english: String,
    chinese: String,
}

/// Both languages, the one beside the other; they name the same values.
macro_rules! attempt {
    ($english:literal, $chinese:literal $(, $value:expr)* $(,)?) => {
        $crate::attempt::Attempt::new(
            format!($english $(, $value)*),
            format!($chinese $(, $value)*),
        )
    };
}
pub(crate) use attempt;

impl Attempt {
    pub(crate) fn new(english: String, chinese: String) -> Self {
        Self { english, chinese }
    }

    pub(crate) fn read(file: impl fmt::Display) -> Self {
        attempt!("reading {file}", "读取 {file}")
    }

    pub(crate) fn open(file: impl fmt::Display) -> Self {
        attempt!("opening {file}", "打开 {file}")
    }

    pub(crate) fn lock(file: &str) -> Self {
        attempt!("locking {file}", "锁定 {file}")
    }

    pub(crate) fn list(directory: &str) -> Self {
        attempt!("listing {directory}", "列出 {directory}")
    }

    pub(crate) fn set_limit(limit: impl fmt::Display) -> Self {
        attempt!("setting nf_conntrack_max to {limit}", "把 nf_conntrack_max 设为 {limit}")
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if f.alternate() { &self.chinese } else { &self.english })
    }
}
