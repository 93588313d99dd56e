//! What is said to a person, in two languages, the one beside the other.
//!
//! Sentences are made where their reason is known, in both languages at once; which of them is shown is the printer's
//! business. What programs read is the English.

use alloc::borrow::Cow;
use alloc::string::String;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The languages that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// From a locale (`zh_CN.UTF-8`, `zh-Hans`), as `LC_ALL` or `LANG` give it; of the list that `LANGUAGE` is, the first.
    pub fn of_locale(locale: &str) -> Self {
        let language = locale.split(['_', '-', '.', '@', ':']).next().unwrap_or(locale);
        if language.eq_ignore_ascii_case("zh") { Self::Chinese } else { Self::English }
    }
}

/// A sentence, or a part of one, in both languages. As a value it is its English: that is what it derefs to, what is
/// compared, and what `{}` shows; `{:#}` shows the Chinese.
///
/// No text becomes one by itself: a sentence has its Chinese beside it, and what has no language is called a name.
///
/// ```compile_fail
/// let alone: plimsoll_diagnosis::Said = "nobody has put this into Chinese".into();
/// ```
#[derive(Clone, Default)]
pub struct Said {
    english: Cow<'static, str>,
    /// `None`: it has no language; see [`Said::name`].
    chinese: Option<Cow<'static, str>>,
}

/// A sentence in both languages, English first. Both name the same values; where a value is itself [`Said`], the
/// Chinese names it as `{value:#}`.
#[macro_export]
macro_rules! said {
    ($english:literal, $chinese:literal $(,)?) => {
        $crate::Said::new($crate::format!($english), $crate::format!($chinese))
    };
    ($english:literal, $chinese:literal, $($values:tt)+) => {
        $crate::Said::new(
            $crate::format!($english, $($values)+),
            $crate::format!($chinese, $($values)+),
        )
    };
}

impl Said {
    /// Made at run time; see [`said!`](crate::said).
    pub fn new(english: String, chinese: String) -> Self {
        Self { english: Cow::Owned(english), chinese: Some(Cow::Owned(joined(chinese))) }
    }

    /// Words that are known when the program is written.
    pub const fn of(english: &'static str, chinese: &'static str) -> Self {
        Self { english: Cow::Borrowed(english), chinese: Some(Cow::Borrowed(chinese)) }
    }

    /// What has no language: a path, a command, a name of the kernel's, another program's words. No sentence of ours.
    pub fn name(same: impl Into<String>) -> Self {
        Self { english: Cow::Owned(same.into()), chinese: None }
    }

    /// Its English.
    pub fn as_str(&self) -> &str {
        &self.english
    }

    /// In a language.
    pub fn spoken(&self, language: Language) -> &str {
        match (language, &self.chinese) {
            (Language::Chinese, Some(chinese)) => chinese,
            (Language::Chinese | Language::English, _) => &self.english,
        }
    }

    /// Appends.
    pub fn push(&mut self, more: &Self) {
        if self.chinese.is_some() || more.chinese.is_some() {
            let whole = [self.spoken(Language::Chinese), more.spoken(Language::Chinese)].concat();
            self.chinese = Some(Cow::Owned(whole));
        }
        self.english.to_mut().push_str(&more.english);
    }

    /// Something done to the words of both languages.
    pub fn map(&self, f: impl Fn(&str) -> String) -> Self {
        Self {
            english: Cow::Owned(f(&self.english)),
            chinese: self.chinese.as_deref().map(|words| Cow::Owned(f(words))),
        }
    }

    /// All of them, with something in between.
    pub fn join<'a>(all: impl IntoIterator<Item = &'a Self>, between: &Self) -> Self {
        let mut joined = Self::default();
        for (i, one) in all.into_iter().enumerate() {
            if i > 0 {
                joined.push(between);
            }
            joined.push(one);
        }
        joined
    }
}

/// Chinese without the blank that a name would need, where what stands there is Chinese itself: a place (`… 第 3 行`),
/// something in brackets, who does it. A word that is not all Chinese, as a file's name, keeps its blanks.
fn joined(chinese: String) -> String {
    let is_han = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    let mut out = String::with_capacity(chinese.len());
    let mut last = "";
    for (i, word) in chinese.split(' ').enumerate() {
        let tail = last.rsplit(['，', '：', '；', '、', '（']).next().unwrap_or(last);
        let ends = last.ends_with('）')
            || (tail.ends_with(is_han) && !tail.contains(|c: char| c.is_ascii()));
        if i > 0 && !(ends && word.starts_with(is_han)) {
            out.push(' ');
        }
        out.push_str(word);
        last = word;
    }
    out
}

impl Deref for Said {
    type Target = str;

    fn deref(&self) -> &str {
        &self.english
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() { f.write_str(self.spoken(Language::Chinese)) } else { f.pad(self) }
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// So that an error that is told to a person can be one.
impl core::error::Error for Said {}

impl From<&Self> for Said {
    fn from(said: &Self) -> Self {
        said.clone()
    }
}

/// What is kept, and what programs read, is the English.
impl Serialize for Said {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::name)
    }
}

impl PartialEq for Said {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Said {}

impl PartialEq<str> for Said {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Said {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl PartialEq<String> for Said {
    fn eq(&self, other: &String) -> bool {
        **self == **other
    }
}

impl PartialOrd for Said {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Said {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Said {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned;

    #[test]
    fn a_locale_chooses_the_language() {
        for chinese in ["zh_CN.UTF-8", "zh-Hans", "zh", "ZH_TW", "zh:en"] {
            assert_eq!(Language::of_locale(chinese), Language::Chinese, "{chinese}");
        }
        for other in ["C", "", "en_GB.UTF-8", "zha_XX", "en:zh"] {
            assert_eq!(Language::of_locale(other), Language::English, "{other}");
        }
    }

    #[test]
    fn both_languages_name_the_same_values() {
        let many = said!("{} entries", "{} 个条目", 3);
        let mut whole = said!("The table holds {many}", "表里有 {many:#}");
        assert_eq!(whole, "The table holds 3 entries");
        assert_eq!(whole.spoken(Language::Chinese), "表里有 3 个条目");
        whole.push(&Said::name("!"));
        assert_eq!(whole.spoken(Language::English), "The table holds 3 entries!");
        assert_eq!(whole.spoken(Language::Chinese), "表里有 3 个条目!");
    }

    #[test]
    fn no_blank_stands_between_chinese_and_chinese() {
        let chinese = |place: &Said| {
            said!("in {place} is it", "{place:#} 里有").spoken(Language::Chinese).to_owned()
        };
        assert_eq!(chinese(&said!("x line 3", "x 第 3 行")), "x 第 3 行里有");
        assert_eq!(chinese(&said!("x (y)", "x（y）")), "x（y）里有");
        assert_eq!(chinese(&Said::name("/proc/cmdline")), "/proc/cmdline 里有");
        assert_eq!(chinese(&Said::name("/etc/中 文")), "/etc/中 文里有");
        let by = said!("the script", "启动脚本 x");
        let whole = said!("x, by {by}", "x，由 {by:#} 写入");
        assert_eq!(whole.spoken(Language::Chinese), "x，由启动脚本 x 写入");
    }

    #[test]
    fn a_name_is_the_same_in_both_until_a_sentence_is_made_of_it() {
        let mut name = Said::name("nft");
        assert_eq!(name.spoken(Language::Chinese), "nft");
        name.push(&Said::of(" and more", " 等"));
        assert_eq!(name.spoken(Language::Chinese), "nft 等");
        let names = [Said::name("a"), Said::name("b")];
        let list = Said::join(&names, &Said::of(" and ", "和"));
        assert_eq!((&*list, list.spoken(Language::Chinese)), ("a and b", "a和b"));
    }
}
