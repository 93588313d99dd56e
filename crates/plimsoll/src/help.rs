//! `--help` in Chinese: of the program, of `check` and of `fix`. That of the other commands is English.

use clap::{Arg, Command, CommandFactory};
use plimsoll_report::{Language, width, wrap};

use crate::arguments::Arguments;
use crate::{terminal, usage};

/// The pages that are there in Chinese, by their commands' names.
const PAGES: [&str; 3] = ["plimsoll", "check", "fix"];

/// The page of a command that was given without what it needs.
pub fn of(name: &str, language: Language) -> String {
    let mut command = Arguments::command();
    if language == Language::Chinese {
        command = in_chinese(command, terminal::columns(None));
    }
    command.build();
    command.find_subcommand_mut(name).map_or_else(String::new, |of| of.render_help().to_string())
}

/// The command line with its pages in Chinese, on so many columns.
pub fn in_chinese(mut command: Command, columns: usize) -> Command {
    // Only then it knows the usage of its commands.
    command.build();
    let pages: Vec<(&str, String)> = PAGES
        .iter()
        .filter_map(|name| {
            let found = match command.get_name() == *name {
                true => Some(&command),
                false => command.find_subcommand(name),
            };
            Some((*name, page(found?, columns)))
        })
        .collect();
    pages.into_iter().fold(command, |command, (name, page)| match command.get_name() == name {
        true => command.override_help(page),
        false => command.mut_subcommand(name, |inner| inner.override_help(page)),
    })
}

/// The page of one command.
fn page(command: &Command, columns: usize) -> String {
    let of = command.get_name();
    let said = |name: &str| text(of, name).unwrap_or_default();
    let commands: Vec<_> = command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set())
        .map(|inner| (inner.get_name().to_owned(), said(inner.get_name()).to_owned()))
        .collect();
    let flags: Vec<_> = command
        .get_arguments()
        .filter(|flag| !flag.is_hide_set())
        .map(|flag| (written(flag), [said(flag.get_id().as_str()), &values(flag)].concat()))
        .collect();
    let mut page = wrap(said(of), columns, columns).join("\n");
    page.push_str(&format!("\n\n{}\n", usage::usage(&command.clone().render_usage().to_string())));
    for (heading, rows) in [("命令", commands), ("选项", flags)] {
        if !rows.is_empty() {
            page.push_str(&format!("\n{heading}：\n{}", table(&rows, columns)));
        }
    }
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    page.push_str("\n示例：\n");
    for line in examples.lines().skip(1) {
        // What is said beside them is English.
        let typed = line.split(" #").next().unwrap_or(line).trim_end();
        page.push_str(&format!("{typed}\n"));
    }
    page
}

/// How a flag is written: `-v, --verbose`, `    --root <DIR>`.
fn written(flag: &Arg) -> String {
    let short = flag.get_short().map_or("    ".to_owned(), |short| format!("-{short}, "));
    let long = flag.get_long().unwrap_or_default();
    let takes = flag.get_action().takes_values();
    let value = flag.get_value_names().filter(|_| takes).and_then(<[_]>::first);
    let value = value.map_or_else(String::new, |name| format!(" <{name}>"));
    format!("{short}--{long}{value}")
}

/// What a flag has where it is not given.
fn values(flag: &Arg) -> String {
    let default = flag.get_default_values().first().filter(|_| flag.get_action().takes_values());
    default.map_or_else(String::new, |value| format!(" [默认：{}]", value.to_string_lossy()))
}

/// Rows of a word and what is said of it.
fn table(rows: &[(String, String)], columns: usize) -> String {
    let wide = rows.iter().map(|(word, _)| width(word)).max().unwrap_or(0) + 4;
    let room = columns.saturating_sub(wide);
    let mut out = String::new();
    for (word, said) in rows {
        for (place, line) in wrap(said, room, room).iter().enumerate() {
            let word = if place == 0 { word.as_str() } else { "" };
            out.push_str(&format!("  {word:at$}{line}\n", at = wide - 2));
        }
    }
    out
}

/// What is said of a command, and of what it takes.
fn text(of: &str, name: &str) -> Option<&'static str> {
    let flags_of_check = of == "plimsoll" || of == "check";
    Some(match (of, name) {
        ("plimsoll", "plimsoll") => {
            "不让 Linux 主机的连接跟踪表（nf_conntrack）溢出。不带命令时检查本机。\
             各命令自己的 --help（check 和 fix 除外）和手册页是英文。"
        }
        ("plimsoll" | "check", "check") => "说明表是否在丢包、为什么、从何时开始，该怎么办",
        ("plimsoll", "explain") => "显示一个诊断结论的说明：含义、原因、办法、怎样证实已治好",
        ("plimsoll" | "fix", "fix") => {
            "治好它：显示处置办法，执行，证实；用 --confirm 时，不确认就自动还原"
        }
        ("plimsoll", "confirm") => "保留 `plimsoll fix --confirm` 所做的修改",
        ("plimsoll", "undo") => "撤销 `plimsoll fix` 所做的修改，过了很久、重启之后也行",
        ("plimsoll", "lab") => "在用完即弃的网络命名空间里演示溢出，再治好，不留痕迹",
        ("plimsoll", "boot") => "说明下次启动后每个设置的值，以及为什么",
        ("plimsoll", "size") => {
            "说明表该设多大，并给出计算：速率 × 存活时间、峰值、余量、内存、链长"
        }
        ("plimsoll", "replay") => "让抓到的包走一遍 conntrack 的模型：表会多满，会丢什么",
        ("plimsoll", "flows") => "说明哪些条目占着表：过滤、分组、计数、持续观察",
        ("plimsoll", "top") => "实时观察表：负载、增长、是谁占着；可过滤、换分组、深入、回看",
        ("plimsoll", "manual") => "写出所有命令的手册页，以及 bash、zsh、fish 的补全",
        (_, "help") => "显示帮助",
        (_, "version") => "显示版本",
        (_, "interval") if flags_of_check => "为得到速率而读两次，其间隔的秒数",
        (_, "budget") if flags_of_check => {
            "读条目可用的内核时间（秒），所有命名空间合计；0 表示不读"
        }
        (_, "netns") if flags_of_check => {
            "只看这个网络命名空间：名字、inode、进程号、容器 ID、\"host\" 或 \"own\"（可重复）"
        }
        (_, "root") if flags_of_check => {
            "不看本机，而看这个目录：其中有另一台主机的 proc/、etc/、var/log/"
        }
        (_, "bundle") if flags_of_check => {
            "不看本机，而看 sosreport 归档（.tar、.tar.gz、.tar.xz、.tar.bz2、.tar.zst）"
        }
        (_, "json") if flags_of_check => "以 JSON 给出全部事实和诊断结论（格式 plimsoll.check/1）",
        (_, "nagios") if flags_of_check => "一行，带性能数据，与 Nagios 插件的输出相同",
        (_, "npd") if flags_of_check => {
            "最多 80 个字符，与 node-problem-detector 插件的输出相同（退出码 0、1，或 2：未知）"
        }
        (_, "commands") if flags_of_check => {
            "给出每个处置办法的命令（sysctl、nft、iptables ……），而不是 `plimsoll fix`"
        }
        (_, "verbose") if flags_of_check => "更多证据，全部命名空间，全部命令",
        (_, "lang") if flags_of_check => {
            "屏幕输出的语言，en 或 zh [默认：locale 是中文时为 zh]；其他格式是英文"
        }
        (_, "color") if flags_of_check => {
            "颜色：auto（在终端上，除非设了 NO_COLOR）、always 或 never"
        }
        (_, "width") if flags_of_check => "屏幕的列数 [默认：终端的列数，最多 100；管道为 80]",
        (_, "ascii") if flags_of_check => "只用 ASCII 字符",
        (_, "utc") if flags_of_check => "时间用 UTC，而不用本机的时区",
        ("fix", "raise") => "提高运行中内核的上限和桶数",
        ("fix", "timeout") => "缩短超时：全部条目的，或一个服务的",
        ("fix", "persist") => "让当前的值在重启后仍然有效，由启动模拟证实",
        ("fix", "shed") => "先显示，再分批删除可以去掉的条目",
        ("fix", "unload") => "不再跟踪：在没有东西需要跟踪的地方卸载模块",
        ("fix", "bypass") => "不再跟踪一个繁忙的端口，两个方向都不跟踪，不再占用条目",
        ("fix", "lifeline") => "表满了也让维护主机的人连得上 SSH",
        ("fix", "limit") => "限制每个来源到一个端口的连接数，或用 cookie 应答它的 SYN",
        ("fix", "list") => "至今的事务，以及各自的状态",
        ("fix", "json") => "以 JSON 给出这个列表（格式 plimsoll.transactions/1）",
        ("fix", "state_dir") => "保存事务的地方",
        ("fix", "lang") => "语言，en 或 zh [默认：locale 是中文时为 zh]；--json 是英文",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_on_a_page_is_there_in_chinese_and_within_the_columns() {
        let mut command = Arguments::command();
        command.build();
        for name in PAGES {
            let of = match name {
                "plimsoll" => &command,
                name => command.find_subcommand(name).expect("a command"),
            };
            let flags = of.get_arguments().filter(|flag| !flag.is_hide_set());
            let inner = of.get_subcommands().filter(|inner| !inner.is_hide_set());
            let names = flags.map(|flag| flag.get_id().as_str()).chain([name]);
            for word in names.chain(inner.map(Command::get_name)) {
                assert!(text(name, word).is_some(), "{name} {word}");
            }
            for columns in [60, 80, 100] {
                let page = page(of, columns);
                let typed = |line: &&str| !line.starts_with("  plimsoll ");
                let wide = page.lines().filter(typed).find(|line| width(line) > columns);
                assert_eq!(wide, None, "{page}");
            }
        }
    }
}
