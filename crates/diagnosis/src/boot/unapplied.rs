//! Lines that stand in a file and that this host's boot does not apply.

use alloc::string::String;

use plimsoll_wire::sysctl::Assignment;

use crate::Said;

/// Such a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unapplied {
    pub(super) assignment: Assignment,
    pub(super) why: PassedOver,
}

/// Why it is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PassedOver {
    /// This link to /dev/null stands before its file.
    Masked(String),
    /// This file of the same name stands before its file.
    Hidden(String),
    /// The file's name begins with a dot.
    Dot,
    /// The file's name has another ending than .conf.
    NoConf,
    /// /etc/sysctl.conf, where systemd reads the folders only.
    NotInFolder,
    /// The file's name has an ending that rc.sysinit leaves out.
    Ending,
    /// A file of this folder, which Alpine's script leaves out.
    Folder(String),
    /// Behind this line, at which busybox's sysctl ends its file: the kernel refuses the value.
    Behind(u32),
    /// A file of ufw, which is off.
    UfwIsOff,
    /// A profile of tuned, which is off.
    TunedIsOff,
    /// A command that cloud-init runs only once.
    FirstBoot,
    /// A script without the right to be run.
    NotExecutable,
}

impl PassedOver {
    /// In words.
    pub(super) fn said(&self) -> Said {
        match self {
            Self::Masked(by) => said!("{by} masks it", "{by} 屏蔽了它"),
            Self::Hidden(by) => {
                said!("{by} has the same name and comes before it", "{by} 与它同名，而且排在它前面")
            }
            Self::Dot => said!("its name begins with a dot", "文件名以点开头"),
            Self::NoConf => said!("its name does not end in .conf", "文件名不以 .conf 结尾"),
            Self::NotInFolder => said!(
                "systemd-sysctl reads only the folders sysctl.d, and nothing there links to it",
                "systemd-sysctl 只读 sysctl.d 目录，而那里没有指向它的链接"
            ),
            Self::Ending => said!(
                "rc.sysinit passes over files with such an ending",
                "rc.sysinit 跳过这样结尾的文件"
            ),
            Self::Folder(folder) => {
                said!(
                    "/etc/init.d/sysctl does not read {folder}",
                    "/etc/init.d/sysctl 不读 {folder}"
                )
            }
            Self::Behind(line) => said!(
                "busybox's sysctl reads no further than line {line}, whose value the kernel refuses",
                "busybox 的 sysctl 读到第 {line} 行为止：那里的值被内核拒绝"
            ),
            Self::UfwIsOff => said!("ufw is not enabled", "ufw 没有启用"),
            Self::TunedIsOff => said!("tuned is not enabled", "tuned 没有启用"),
            Self::FirstBoot => said!(
                "cloud-init runs runcmd on the first boot of an instance only",
                "cloud-init 只在实例第一次启动时运行 runcmd"
            ),
            Self::NotExecutable => said!(
                "the file is not executable, and systemd runs it only if it is",
                "文件不可执行，而 systemd 只运行可执行的"
            ),
        }
    }
}
