//! What is wrong with a command line, and `--help`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::support::{BINARY, text};
use super::{is_chinese, told};

#[test]
fn a_command_line_that_is_wrong_is_told_in_chinese() {
    for (line, why) in [
        ("flows --lnag", "不认识的参数 '--lnag'\n\n  提示：您是不是指 '--lang'？\n\n用法："),
        ("undo 3 4", "不认识的参数 '4'\n\n用法："),
        ("chekc", "没有 'chekc' 这个命令\n\n  提示：您是不是指 'check'？\n\n用法："),
        ("boot --root", "'--root <DIR>' 后面缺少值\n"),
        ("flows --width 300", "'--width <COLUMNS>' 的值 '300' 不对：不在 60..=240 之内\n"),
        ("undo x", "'[ID]' 的值 'x' 不对：应为整数\n"),
        (
            "top --interval 0",
            "'--interval <SECONDS>' 的值 '0' 不对：应为 0.05 到 3600 之间的秒数\n",
        ),
        ("flows -o save,id", "save 不能与其他选项一起用，与 conntrack(8) 相同\n"),
        ("explain --lang fr", "'--lang <LANG>' 的值 'fr' 不对\n  [可选的值：en、zh]\n"),
        ("flows --top 3", "缺少必需的参数：\n  --by <KEYS>\n\n用法："),
        ("check --json --nagios", "'--json' 不能与 '--nagios' 一起用\n\n用法："),
        ("check --json --json", "'--json' 不能重复\n\n用法："),
        ("--utc explain", "'explain' 不能与 '--utc' 一起用\n\n用法："),
        ("check --json=3", "'--json' 不应有值，实为 '3'\n\n用法："),
        ("fix --llist", "'--llist'"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let said = told("zh_CN.UTF-8", &words).1;
        assert!(said.starts_with("错误：") && said.contains(why), "{line}: {said}");
        assert!(said.ends_with("\n更多信息见 '--help'。\n"), "{line}: {said}");
        let english = told("C.UTF-8", &words).1;
        assert!(english.starts_with("error: ") && !is_chinese(&english), "{line}: {english}");
        if !line.contains("--lang") {
            let flagged =
                |lang: &'static str| told("C", &[&["--lang", lang], &words[..]].concat()).1;
            assert!(is_chinese(&flagged("zh")) && !is_chinese(&flagged("en")), "{line}");
            assert_eq!(
                told("zh_CN.UTF-8", &[&words[..], &["--ascii"]].concat()).1.find("错误"),
                None,
                "{line}"
            );
        }
    }
}

#[test]
fn a_word_that_is_no_text_is_told_in_chinese() {
    let mut command = std::process::Command::new(BINARY);
    command.args(["explain", "--lang", "zh"]).arg(OsStr::from_bytes(b"\xff"));
    let said = text(&command.output().expect("the binary starts").stderr);
    assert!(said.starts_with("错误：参数不是 UTF-8\n"), "{said}");
}

#[test]
fn every_command_has_a_help_in_chinese() {
    for (line, commands) in [
        ("--help", "\n命令：\n  check    说明表是否在丢包、"),
        ("-h", "\n命令：\n  check    说明表是否在丢包、"),
        ("help", "\n命令：\n  check    说明表是否在丢包、"),
        ("check --help", "\n\n选项：\n      --interval <SECONDS>  "),
        ("help check", "\n\n选项：\n      --interval <SECONDS>  "),
        ("fix -h", "\n\n命令：\n  raise     提高运行中内核的上限和桶数\n"),
        ("fix", "\n\n命令：\n  raise     提高运行中内核的上限和桶数\n"),
        ("fix --state-dir /tmp", "\n\n命令：\n  raise     提高运行中内核的上限和桶数\n"),
        ("fix help raise", "\n\n怎样执行：\n  -n, --dry-run          只显示"),
        ("explain -h", "\n\n参数：\n  [FINDING]  诊断结论的编号"),
        ("undo --help", "\n\n先查看每一处修改。"),
        ("lab --help", "\n\n选项：\n      --max <N>       演示期间把上限降到"),
        ("boot --help", "（可重复；需要\n                         root）。BPF 看得到"),
        ("size --help", "退出码：0 当前的上限够\n用，1 不够，"),
        ("replay --help", "\n\n换一种情形：\n      --what-if <KEY=V1,V2,…>  "),
        ("flows --help", " [可选：entries、unreplied、"),
        ("top --help", "\n      --by <KEYS>           一开始按什么分组 [默认：state,service]\n"),
        ("manual --help", "\n  plimsoll manual ~/.local      # 只供自己使用\n"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let (out, said) = told("zh_CN.UTF-8", &words);
        let page = [out, said].concat();
        assert!(page.contains("\n\n用法：plimsoll ") && page.contains(commands), "{line}: {page}");
        assert!(page.contains("\n示例：\n  plimsoll"), "{line}: {page}");
        let (out, said) = told("C.UTF-8", &words);
        let page = [out, said].concat();
        assert!(page.contains("\n\nUsage: plimsoll ") && !is_chinese(&page), "{line}: {page}");
    }
}
