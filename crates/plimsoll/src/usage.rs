//! What is wrong with a command line, in Chinese; in English clap says it.

use std::borrow::Cow;
use std::error::Error as _;
use std::ffi::OsStr;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command, Error};
use plimsoll_report::Language;

use crate::arguments::Lang;
use crate::terminal;

/// The language that a command line asks for, as far as it can be told of one that was not understood.
pub fn language<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> Language {
    let (mut asked, mut ascii, mut next) = (None, false, false);
    for word in words {
        let value = match word.as_encoded_bytes() {
            value if next => value,
            word => word.strip_prefix(b"--lang=").unwrap_or_default(),
        };
        match value {
            b"zh" => asked = Some(Lang::Zh),
            b"en" => asked = Some(Lang::En),
            _ => {}
        }
        next = word == "--lang";
        ascii |= word == "--ascii";
    }
    terminal::spoken(asked, ascii)
}

/// What begins with a minus and is a number is the value of a flag, which then says what it expects.
pub fn with_negative_numbers(command: Command) -> Command {
    let taking = |flag: Arg| {
        let takes = !flag.is_positional() && flag.get_action().takes_values();
        if takes { flag.allow_negative_numbers(true) } else { flag }
    };
    command.mut_args(taking).mut_subcommands(with_negative_numbers)
}

/// What the readers of numbers say of what they can't read; the same for a person, in both languages.
const READERS: [(&str, [&str; 2]); 5] = [
    ("invalid digit found in string", ["expected a whole number", "应为整数"]),
    ("cannot parse integer from empty string", ["expected a whole number", "应为整数"]),
    ("number too large to fit in target type", ["the number is too large", "数太大"]),
    ("invalid float literal", ["expected a number", "应为数"]),
    ("cannot parse float from empty string", ["expected a number", "应为数"]),
];

/// What clap says of an error (`text`), in words for a person.
pub fn english<'a>(error: &Error, text: &'a str) -> Cow<'a, str> {
    let reason = error.source().map(ToString::to_string);
    match READERS.iter().find(|(theirs, _)| reason.as_deref() == Some(theirs)) {
        Some((theirs, [ours, _])) => Cow::Owned(text.replacen(theirs, ours, 1)),
        None => Cow::Borrowed(text),
    }
}

/// Refuses a language with characters that a command was told not to show.
pub fn shown(command: &mut Command, matched: &ArgMatches) -> Result<(), Error> {
    if let Some((name, inner)) = matched.subcommand() {
        let inner_command = command.find_subcommand_mut(name);
        return inner_command.map_or(Ok(()), |command| shown(command, inner));
    }
    let lang = matched.try_get_one::<Lang>("lang").ok().flatten();
    let ascii = matched.try_get_one::<bool>("ascii").ok().flatten();
    if (lang, ascii) != (Some(&Lang::Zh), Some(&true)) {
        return Ok(());
    }
    let mut error = Error::new(ErrorKind::ArgumentConflict).with_cmd(command);
    let text = |text: &str| ContextValue::String(text.to_owned());
    error.insert(ContextKind::InvalidArg, text("--lang zh"));
    error.insert(ContextKind::PriorArg, text("--ascii"));
    error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
    Err(error)
}

/// Whether it is no error but a page of help.
pub fn is_help(error: &Error) -> bool {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand};
    matches!(error.kind(), DisplayHelp | DisplayHelpOnMissingArgumentOrSubcommand)
}

/// What clap found, in Chinese. `None`: it is as clap renders it, a page of help.
pub fn chinese(error: &Error) -> Option<String> {
    let of = |kind| texts(error.get(kind)?);
    let one = |kind| of(kind).map(|all| all.join("、"));
    let argument = one(ContextKind::InvalidArg).or_else(|| one(ContextKind::InvalidSubcommand));
    let argument = argument.unwrap_or_default();
    let value = one(ContextKind::InvalidValue).unwrap_or_default();
    let mut text = match error.kind() {
        ErrorKind::UnknownArgument => format!("不认识的参数 '{argument}'"),
        ErrorKind::InvalidSubcommand => format!("没有 '{argument}' 这个命令"),
        ErrorKind::InvalidValue if value.is_empty() => format!("'{argument}' 后面缺少值"),
        ErrorKind::InvalidValue => format!("'{argument}' 的值 '{value}' 不对"),
        ErrorKind::ValueValidation => {
            format!("'{argument}' 的值 '{value}' 不对：{}", reason(error, &value))
        }
        ErrorKind::MissingRequiredArgument => {
            format!("缺少必需的参数：\n  {}", of(ContextKind::InvalidArg)?.join("\n  "))
        }
        ErrorKind::ArgumentConflict => match of(ContextKind::PriorArg)?.as_slice() {
            [one] if *one == argument => format!("'{argument}' 不能重复"),
            others => format!("'{argument}' 不能与 '{}' 一起用", others.join("'、'")),
        },
        ErrorKind::TooManyValues => format!("'{argument}' 不应有值，实为 '{value}'"),
        ErrorKind::InvalidUtf8 => "参数不是 UTF-8".to_owned(),
        // Help, and what no argument of ours can bring about.
        _ => return None,
    };
    if let Some(values) = of(ContextKind::ValidValue).filter(|values| !values.is_empty()) {
        text.push_str(&format!("\n  [可选的值：{}]", values.join("、")));
    }
    let near =
        [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    if let Some(near) = near.into_iter().find_map(one) {
        text.push_str(&format!("\n\n  提示：您是不是指 '{near}'？"));
    }
    // clap's other hint, where an argument could have been meant as a value.
    if of(ContextKind::Suggested).is_some_and(|all| all.iter().any(|hint| hint.contains("'-- "))) {
        text.push_str(&format!("\n\n  提示：要把 '{argument}' 当作值，请写 '-- {argument}'"));
    }
    if let Some(usage) = one(ContextKind::Usage) {
        text.push_str(&format!("\n\n{}", self::usage(&usage)));
    }
    Some(format!("错误：{text}\n\n更多信息见 '--help'。\n"))
}

/// How a command is used, as clap says it.
pub fn usage(english: &str) -> String {
    // Its further lines stand below the first.
    let own = english.trim_end().replacen("Usage: ", "用法：", 1).replace("\n       ", "\n      ");
    own.replace("[OPTIONS]", "[选项]").replace("<COMMAND>", "<命令>").replace("[COMMAND]", "[命令]")
}

/// Why a value is not taken: ours in Chinese, of those of others the usual ones.
fn reason(error: &Error, value: &str) -> String {
    let Some(source) = error.source() else { return "看不懂".to_owned() };
    // Of an error of ours `{:#}` is the Chinese; others know no such form.
    let english = format!("{source:#}");
    match english.strip_prefix(value).and_then(|rest| rest.strip_prefix(" is not in ")) {
        Some(range) => format!("不在 {range} 之内"),
        None => match READERS.iter().find(|(theirs, _)| *theirs == english) {
            Some((_, [_, ours])) => (*ours).to_owned(),
            None => english,
        },
    }
}

fn texts(value: &ContextValue) -> Option<Vec<String>> {
    match value {
        ContextValue::String(text) => Some(vec![text.clone()]),
        ContextValue::Strings(all) => Some(all.clone()),
        ContextValue::StyledStr(text) => Some(vec![text.to_string()]),
        ContextValue::StyledStrs(all) => Some(all.iter().map(ToString::to_string).collect()),
        _ => None,
    }
}
