//! What stops the lab, in both languages.

use plimsoll_diagnosis::Said;
use plimsoll_lab::{Harm, LabError};

/// An error as it is told.
pub fn said(error: &LabError) -> Said {
    Said::new(error.to_string(), chinese(error))
}

fn chinese(error: &LabError) -> String {
    match error {
        LabError::NotRoot => "演示要新建网络命名空间，这需要 root".to_owned(),
        LabError::NoProgram { program, package } => {
            format!("缺少 {}：请安装软件包 {}", either(program), either(package))
        }
        LabError::Refused { command, said } => format!("`{command}` 失败：{}", said.trim()),
        LabError::System { doing, source } => format!("{}：{source}", tried(doing)),
        LabError::Unexpected { file, saw } => format!("{file}：看不懂 {saw:?}"),
        LabError::Malformed { file, malformed } => {
            let malformed = Said::from(malformed);
            format!("{file} {malformed:#}")
        }
        LabError::NoConntrack => "没有加载 nf_conntrack，而演示加载的模块会留下来：请先运行 \
                                  modprobe nf_conntrack"
            .to_owned(),
        LabError::Memory { needed, available } => format!(
            "表满需要 {} MiB，可用 {} MiB：演示期间请降低上限（--max）",
            needed.get() >> 20,
            available.get() >> 20
        ),
        LabError::LimitBusy => {
            "另一个演示正在运行，它依赖 nf_conntrack_max 或已改动它：等它结束再试".to_owned()
        }
        LabError::LimitRefused { limit, harm } => {
            let harm = match harm {
                Harm::Unlimited => "0 表示完全没有上限".to_owned(),
                Harm::LongChains { buckets } => {
                    format!("只有 {buckets} 个桶，平均每个桶会超过 8 个条目")
                }
                Harm::Loss { namespace, count } => {
                    format!("命名空间 {namespace} 里已有 {count} 个条目，会丢包")
                }
            };
            format!("不接受 nf_conntrack_max = {limit}：{harm}")
        }
    }
}

/// `nft or iptables`
fn either(names: &str) -> String {
    names.replace(" or ", " 或 ")
}

/// What was tried. What is not in here is said in English.
fn tried(doing: &str) -> String {
    let whole = match doing {
        "starting the guard" => "启动守护进程",
        "cleaning up" => "清理",
        "handling signals" => "处理信号",
        "opening a socket" => "打开套接字",
        "opening a raw socket" => "打开原始套接字",
        "sending a packet" => "发包",
        "accepting a connection" => "接受连接",
        "preparing the listener" => "准备监听",
        "silencing a connection (TCP_REPAIR)" => "让连接沉默（TCP_REPAIR）",
        "preparing the web server" => "准备网站服务器",
        "accepting a visitor" => "接待访客",
        "visiting the web server" => "访问网站服务器",
        _ => "",
    };
    if !whole.is_empty() {
        return whole.to_owned();
    }
    for (english, chinese) in [
        ("entering the namespace ", "进入命名空间 "),
        ("listening on ", "监听 "),
        ("connecting from ", "发起连接，从 "),
        ("reading ", "读取 "),
        ("writing ", "写入 "),
        ("setting ", "设置 "),
        ("opening ", "打开 "),
        ("locking ", "锁定 "),
        ("holding ", "保持打开 "),
        ("removing ", "删除 "),
        ("listing ", "列出 "),
        ("running ", "运行 "),
    ] {
        if let Some(rest) = doing.strip_prefix(english) {
            return format!("{chinese}{}", rest.replace(" to ", " 为 "));
        }
    }
    doing.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    use plimsoll_ct::{Buckets, Entries};
    use plimsoll_report::Language;

    #[test]
    fn what_stops_the_lab_is_there_in_chinese() {
        let refused = |harm| LabError::LimitRefused { limit: Entries(9), harm };
        let file = "/proc/sys/net/netfilter/nf_conntrack_max";
        let system = |doing: String| {
            let source = std::io::Error::from_raw_os_error(13);
            LabError::System { doing, source }
        };
        let no_nft = LabError::NoProgram { program: "nft or iptables", package: "x" };
        for (error, chinese) in [
            (refused(Harm::Unlimited), "不接受 nf_conntrack_max = 9：0 表示完全没有上限"),
            (
                refused(Harm::LongChains { buckets: Buckets(2) }),
                "不接受 nf_conntrack_max = 9：只有 2 个桶，平均每个桶会超过 8 个条目",
            ),
            (no_nft, "缺少 nft 或 iptables：请安装软件包 x"),
            (
                system("setting nf_conntrack_max to 5".into()),
                "设置 nf_conntrack_max 为 5：Permission denied (os error 13)",
            ),
            (
                system(format!("reading {file}")),
                "读取 /proc/sys/net/netfilter/nf_conntrack_max：Permission denied (os error 13)",
            ),
        ] {
            let said = said(&error);
            assert_eq!(said, error.to_string());
            assert_eq!(said.spoken(Language::Chinese), chinese);
        }
    }
}
