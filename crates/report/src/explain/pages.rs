//! The Markdown files of docs/findings, built in. The directory `pages` of this crate is a link to it.

use crate::Language;

/// The page of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// `CT001`
    pub id: &'static str,
    /// `table-full`
    pub name: &'static str,
    /// Language.
    pub language: Language,
    /// The page in Markdown.
    pub markdown: &'static str,
}

macro_rules! pages {
    ($($id:literal $name:literal;)*) => {
        /// The pages in English: one for each finding of the catalogue.
        pub const PAGES: &[Page] = &[$(page!(English, "", $id, $name),)*];

        /// The same pages in Chinese.
        pub const PAGES_ZH: &[Page] = &[$(page!(Chinese, "zh/", $id, $name),)*];
    };
}

macro_rules! page {
    ($language:ident, $folder:literal, $id:literal, $name:literal) => {
        Page {
            id: $id,
            name: $name,
            language: Language::$language,
            markdown: include_str!(concat!("../../pages/", $folder, $id, "-", $name, ".md")),
        }
    };
}

pages! {
    "CT001" "table-full";
    "CT002" "table-was-full";
    "CT003" "early-drop-pressure";
    "CT004" "protected-high";
    "CT005" "filling";
    "CT010" "unreplied-flood";
    "CT011" "one-source-dominates";
    "CT012" "idle-established";
    "CT013" "time-wait-pile-up";
    "CT020" "limit-low";
    "CT021" "memory-worst-case";
    "CT022" "chains-too-long";
    "CT023" "no-limit";
    "CT030" "tracking-without-need";
    "CT031" "not-tracking";
    "CT032" "count-and-list-disagree";
    "CT040" "lost-at-boot";
    "CT041" "dead-generation-key";
    "CT042" "read-only-key";
    "CT043" "overridden-at-boot";
    "CT044" "unknown-key";
    "CT045" "value-refused";
    "CT046" "ratio-after-boot";
    "CT047" "module-line-without-effect";
    "CT048" "file-not-read";
    "CT050" "expectation-table-full";
    "CT051" "insert-clashes";
    "CT052" "nat-ports-exhausted";
    "CT060" "listen-overflow";
    "CT061" "neighbour-overflow";
    "CT062" "socket-memory";
    "CT063" "cloud-allowance";
    "CT064" "firewall-drop";
}
