//! Sentences in two languages, the one beside the other.

use alloc::string::String;

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
    plimsoll_diagnosis::span(seconds).spoken(language).into()
}
