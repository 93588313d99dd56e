//! What a journal has in English is known again, and said in Chinese.

use plimsoll_diagnosis::Said;

/// Sentences of reasons, with `{}` for what differs; in Chinese by its number.
const SENTENCES: [(&str, &str); 10] = [
    ("entries that were deleted stay deleted", "已删除的条目不会恢复"),
    (
        "{} is {}; plimsoll wrote {}, before it was {}",
        "{0} 现在是 {1}；plimsoll 写的是 {2}，之前是 {3}",
    ),
    ("{} is gone", "{0} 不在了"),
    ("{} is there again", "{0} 又出现了"),
    ("{} has another content", "{0} 的内容变了"),
    ("{} has another owner or other permissions", "{0} 的属主或权限变了"),
    ("table {} is not as it was written", "表 {0} 与当初写入的不一样"),
    ("several rules have the comment {}", "有几条规则的注释是 {0}"),
    (
        "{} of {} rules and chains of ours are in table {}",
        "我们的 {1} 条规则和链中有 {0} 条在表 {2} 里",
    ),
    ("policy {} is now: {}", "策略 {0} 现在是：{1}"),
];

/// A reason as it stands in a journal. One that is not known stays as it is.
pub(crate) fn again(english: Said) -> Said {
    let known = SENTENCES.iter().find_map(|(sentence, chinese)| {
        let mut said = (*chinese).to_owned();
        for (number, value) in values(sentence, &english)?.into_iter().enumerate() {
            said = said.replace(&format!("{{{number}}}"), value);
        }
        Some(said)
    });
    match known {
        Some(chinese) => Said::new(english.to_string(), chinese),
        None => english,
    }
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
    fn every_reason_is_known_again_and_another_stays_as_it_is() {
        for (english, chinese) in [
            ("entries that were deleted stay deleted", "已删除的条目不会恢复"),
            ("/etc/a b.conf has another content", "/etc/a b.conf 的内容变了"),
            (
                "/proc/x is 7; plimsoll wrote 8, before it was 9",
                "/proc/x 现在是 7；plimsoll 写的是 8，之前是 9",
            ),
            (
                "1 of 3 rules and chains of ours are in table raw",
                "我们的 3 条规则和链中有 1 条在表 raw 里",
            ),
            ("the moon is in the way", "the moon is in the way"),
        ] {
            let said = again(english.into());
            assert_eq!((&*said, said.spoken(Language::Chinese)), (english, chinese));
        }
    }
}
