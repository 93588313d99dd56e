//! Characters that must not reach a terminal from foreign text.

/// Controls of the terminal, of the reading direction, and characters without a picture.
///
/// Unicode: general categories Cc, Cf, Zl and Zp, and the default-ignorable fillers.
pub const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f'
        | '\x7f'..='\u{9f}'
        | '\u{ad}'
        | '\u{34f}'
        | '\u{600}'..='\u{605}'
        | '\u{61c}'
        | '\u{6dd}'
        | '\u{70f}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// What is shown instead of a character: `U+FFFD` for a hidden one, so that one sees that something was there.
pub const fn shown(c: char) -> char {
    if is_hidden(c) { '\u{fffd}' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_turns_the_reading_direction() {
        for c in ['\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}', '\u{200e}', '\u{200f}', '\u{61c}']
        {
            assert!(is_hidden(c), "{:x}", c as u32);
        }
    }

    #[test]
    fn what_has_a_picture_is_shown() {
        for c in "host 名前 é – ± ░▒█ Ω\u{fffd}".chars() {
            assert_eq!(shown(c), c);
        }
    }
}
