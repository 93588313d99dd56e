//! Lists of CPUs as the kernel writes them: `0-3,8,10-11`.

/// How many CPUs a list names; `None` if it is no such list.
pub fn count(text: &str) -> Option<u32> {
    let mut sum: u32 = 0;
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        sum = sum.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_numbers_add_up() {
        assert_eq!(count("0-1\n"), Some(2));
        assert_eq!(count("0"), Some(1));
        assert_eq!(count("0-3,8,10-11"), Some(7));
    }

    #[test]
    fn what_is_no_list_has_no_count() {
        assert_eq!(count(""), None);
        assert_eq!(count("3-1"), None);
        assert_eq!(count("0-4294967295,0-4294967295"), None);
    }
}
