//! Why a change was left as it is. Each sentence stands here once: it is said from here, and known again here where a
//! journal has its English.

use std::fmt::Display;

use plimsoll_diagnosis::Said;

/// A sentence, with `{}` for what differs; in Chinese by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sentence {
    english: &'static str,
    chinese: &'static str,
}

/// The sentences, each with a name. Where two fit a text, it is the first.
macro_rules! sentences {
    ($($name:ident: $english:literal, $chinese:literal;)+) => {
        $(pub(crate) const $name: Sentence = Sentence { english: $english, chinese: $chinese };)+
        const ALL: &[Sentence] = &[$($name),+];
    };
}

sentences! {
    DELETED: "entries that were deleted stay deleted", "已删除的条目不会恢复";
    WRITTEN: "{} is {}; plimsoll wrote {}, before it was {}", "{0} 现在是 {1}；plimsoll 写的是 {2}，之前是 {3}";
    GONE: "{} is gone", "{0} 不在了";
    THERE_AGAIN: "{} is there again", "{0} 又出现了";
    CONTENT: "{} has another content", "{0} 的内容变了";
    OWNER: "{} has another owner or other permissions", "{0} 的属主或权限变了";
    TABLE: "table {} is not as it was written", "表 {0} 与当初写入的不一样";
    COMMENT: "several rules have the comment {}", "有几条规则的注释是 {0}";
    MARKS: "{} of {} rules and chains of ours are in table {}", "我们的 {1} 条规则和链中有 {0} 条在表 {2} 里";
    POLICY: "policy {} is now: {}", "策略 {0} 现在是：{1}";
    MODULES: "{} of {} modules are as they were to be", "{1} 个模块中有 {0} 个如计划";
    READS: "wrote {}, and it reads {}", "写的是 {}，读回来是 {}";
    HOST_OVERFULL: "the host itself holds {} entries, and the limit is {} again: it drops packets", "主机自己有 {} 个条目，而上限又是 {}：会丢包";
    OVERFULL: "{} holds {} entries, and the limit is {} again: it drops packets", "{} 有 {} 个条目，而上限又是 {}：会丢包";
    VALUE: "{} is {}", "{0} 现在是 {1}";
}

/// A sentence and what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    sentence: Sentence,
    values: Vec<String>,
}

impl Sentence {
    pub(crate) fn of(self, values: &[&dyn Display]) -> Reason {
        Reason { sentence: self, values: values.iter().map(ToString::to_string).collect() }
    }
}

impl Reason {
    /// The same in a longer sentence, which has more that differs.
    pub(crate) fn within(mut self, sentence: Sentence, more: &[&str]) -> Self {
        self.values.extend(more.iter().map(ToString::to_string));
        Self { sentence, ..self }
    }

    /// In words.
    pub(crate) fn said(&self) -> Said {
        let Sentence { english, chinese } = self.sentence;
        Said::new(filled(english, &self.values), filled(chinese, &self.values))
    }
}

/// A reason as it stands in a journal. One that is not known stays as it is.
pub(crate) fn again(english: Said) -> Said {
    known(&english, |_| true).unwrap_or(english)
}

/// The same of one that stands behind the name of what it is about, and so does not begin with it.
pub(crate) fn again_behind(english: &str) -> Option<Said> {
    known(english, |sentence| !sentence.english.starts_with("{}"))
}

fn known(english: &str, may: impl Fn(&Sentence) -> bool) -> Option<Said> {
    ALL.iter().filter(|sentence| may(sentence)).find_map(|&sentence| {
        let values = values(sentence.english, english)?;
        let reason = Reason { sentence, values: values.into_iter().map(str::to_owned).collect() };
        Some(reason.said())
    })
}

/// A sentence with values in it: the next one where it has `{}`, a certain one where it has `{1}`.
fn filled(sentence: &str, values: &[String]) -> String {
    let (mut out, mut rest, mut next) = (String::new(), sentence, 0);
    while let Some((before, behind)) = rest.split_once('{') {
        let (number, behind) = behind.split_once('}').unwrap_or_default();
        let place = number.parse().unwrap_or(next);
        out.push_str(before);
        out.push_str(values.get(place).map_or("", String::as_str));
        (rest, next) = (behind, place + 1);
    }
    out.push_str(rest);
    out
}

/// What stands where a sentence has `{}`.
fn values<'t>(sentence: &str, text: &'t str) -> Option<Vec<&'t str>> {
    let mut pieces = sentence.split("{}");
    let mut rest = text.strip_prefix(pieces.next()?)?;
    let (mut values, mut pieces) = (Vec::new(), pieces.peekable());
    while let Some(piece) = pieces.next() {
        let at = match pieces.peek() {
            Some(_) => rest.find(piece)?,
            None => rest.strip_suffix(piece)?.len(),
        };
        values.push(&rest[..at]);
        rest = &rest[at + piece.len()..];
    }
    rest.is_empty().then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    use plimsoll_diagnosis::Language;

    #[test]
    fn every_sentence_is_known_again_with_what_differs_in_it() {
        for sentence in ALL {
            let number = sentence.english.matches("{}").count();
            let values: Vec<String> = (0..number).map(|n| format!("/a b/{n}")).collect();
            let said = Reason { sentence: *sentence, values: values.clone() }.said();
            let chinese = said.spoken(Language::Chinese);
            assert!(chinese != &*said && !chinese.contains('{') && !said.contains('{'), "{said}");
            assert!(values.iter().all(|value| chinese.contains(value.as_str())), "{chinese}");
            let read: Said = Said::name(said.as_str());
            assert_eq!(again(read).spoken(Language::Chinese), chinese);
        }
    }

    #[test]
    fn what_differs_stands_where_the_chinese_has_it_and_another_text_stays_as_it_is() {
        for (english, chinese) in [
            (
                "/proc/x is 7; plimsoll wrote 8, before it was 9",
                "/proc/x 现在是 7；plimsoll 写的是 8，之前是 9",
            ),
            (
                "1 of 3 rules and chains of ours are in table raw",
                "我们的 3 条规则和链中有 1 条在表 raw 里",
            ),
            ("the moon shines", "the moon shines"),
        ] {
            let said = again(Said::name(english));
            assert_eq!((&*said, said.spoken(Language::Chinese)), (english, chinese));
        }
    }
}
