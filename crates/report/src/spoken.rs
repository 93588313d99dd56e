//! Sentences in two languages, the one beside the other.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::Bytes;

use crate::Language;
use crate::number;

/// A sentence in the language asked for: English, Chinese. Both name the same values.
#[macro_export]
macro_rules! spoken {
    ($language:expr, $english:literal, $chinese:literal $(, $value:expr)* $(,)?) => {
        match $language {
            $crate::Language::English => $crate::format!($english $(, $value)*),
            $crate::Language::Chinese => $crate::format!($chinese $(, $value)*),
        }
    };
}

/// What a remedy costs in memory at worst.
pub(crate) fn price(language: Language, memory: Bytes) -> String {
    let memory = number::bytes(memory);
    spoken!(
        language,
        "up to {memory} of memory over all namespaces",
        "所有命名空间合计最多 {memory} 内存"
    )
}

/// A span: `4 min 10 s`, `4 分钟 10 秒`.
pub fn span(language: Language, seconds: f64) -> String {
    let english = number::duration(seconds);
    let unit = |word: &str| match (language, word) {
        (Language::Chinese, "s") => "秒".to_string(),
        (Language::Chinese, "min") => "分钟".to_string(),
        (Language::Chinese, "h") => "小时".to_string(),
        (Language::Chinese, "d") => "天".to_string(),
        (Language::Chinese | Language::English, other) => other.to_string(),
    };
    english.split(' ').map(unit).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_the_units_of_the_language() {
        assert_eq!(span(Language::English, 250.0), "4 min 10 s");
        assert_eq!(span(Language::Chinese, 250.0), "4 分钟 10 秒");
        assert_eq!(span(Language::Chinese, 11_520.0), "3 小时 12 分钟");
        assert_eq!(span(Language::Chinese, 432_000.0), "5 天");
    }
}
