//! The word that was probably meant.

use alloc::vec;
use alloc::vec::Vec;

/// The nearest of some words, if any is near: at most a third of the letters wrong, and at most three. Of equally near
/// ones that which begins alike: people seldom miss the first letter.
pub(crate) fn nearest<'w>(
    typed: &str,
    words: impl IntoIterator<Item = &'w str>,
) -> Option<&'w str> {
    let typed: Vec<char> = typed.chars().take(40).flat_map(char::to_lowercase).collect();
    let near = (typed.len().div_ceil(3)).min(3);
    words
        .into_iter()
        .map(|word| {
            let alike = word.chars().zip(&typed).take_while(|(a, b)| a == *b).count();
            (distance(&typed, word), core::cmp::Reverse(alike), word)
        })
        .filter(|(distance, ..)| *distance <= near)
        .min()
        .map(|(.., word)| word)
}

/// Letters to add, to leave out, to change, or to swap with the next one.
fn distance(typed: &[char], word: &str) -> usize {
    let word: Vec<char> = word.chars().flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = vec![];
    let mut last: Vec<usize> = (0..=word.len()).collect();
    for (i, &a) in typed.iter().enumerate() {
        let mut view = vec![i + 1];
        for (j, &b) in word.iter().enumerate() {
            let changed = last[j] + usize::from(a != b);
            let mut best = changed.min(last[j + 1] + 1).min(view[j] + 1);
            if i > 0 && j > 0 && a == word[j - 1] && typed[i - 1] == b {
                best = best.min(before[j - 1] + 1);
            }
            view.push(best);
        }
        before = last;
        last = view;
    }
    last[word.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_none() {
        let words = ["dport", "sport", "state", "assured"];
        assert_eq!(nearest("dprot", words), Some("dport"));
        assert_eq!(nearest("ASSURD", words), Some("assured"));
        assert_eq!(nearest("stat", words), Some("state"));
        assert_eq!(nearest("banana", words), None);
        assert_eq!(nearest("htps", ["ftps", "https", "smtps"]), Some("https"));
        assert_eq!(nearest("", words), None);
    }
}
