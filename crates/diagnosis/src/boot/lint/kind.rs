//! Kinds of mistakes.

/// Kinds of mistakes, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LintKind {
    /// The line is written before the module is there.
    LoadsLater,
    /// The module can't be loaded at all.
    NeverLoaded,
    /// The kernel refuses the value.
    BadValue,
    /// The kernel takes another value than the one that is meant.
    OddValue,
    /// No kernel has the key.
    UnknownKey,
    /// Another generation's name.
    DeadKey,
    /// The key only shows.
    ReadOnlyKey,
    /// A file that nothing reads.
    NotRead,
    /// A line of modprobe.d or modules-load.d that does nothing.
    ModuleLine,
    /// Limit and buckets don't fit each other.
    Ratio,
    /// Another line, or another program, has the last word.
    Overridden,
    /// Nothing orders the module and the line.
    NoOrder,
    /// A restart of the firewall throws the values away.
    Unloads,
    /// A line that is no assignment.
    Malformed,
    /// The same line twice.
    Duplicate,
}

impl LintKind {
    /// Its name, as it stands in the JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoadsLater => "module-loads-later",
            Self::NeverLoaded => "module-never-loaded",
            Self::BadValue => "value-refused",
            Self::OddValue => "value-misread",
            Self::UnknownKey => "unknown-key",
            Self::DeadKey => "dead-generation-key",
            Self::ReadOnlyKey => "read-only-key",
            Self::NotRead => "not-read",
            Self::ModuleLine => "module-line-without-effect",
            Self::Ratio => "ratio",
            Self::Overridden => "overridden",
            Self::NoOrder => "no-order",
            Self::Unloads => "unloads",
            Self::Malformed => "malformed-line",
            Self::Duplicate => "duplicate",
        }
    }

    /// The finding that `check` makes of it.
    pub const fn finding(self) -> &'static str {
        match self {
            Self::LoadsLater | Self::NeverLoaded | Self::NoOrder => "CT040",
            Self::DeadKey => "CT041",
            Self::ReadOnlyKey => "CT042",
            Self::Overridden | Self::Duplicate => "CT043",
            Self::UnknownKey => "CT044",
            Self::BadValue | Self::OddValue | Self::Malformed => "CT045",
            Self::Ratio => "CT046",
            Self::ModuleLine | Self::Unloads => "CT047",
            Self::NotRead => "CT048",
        }
    }
}
