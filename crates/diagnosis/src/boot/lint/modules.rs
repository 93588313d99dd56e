//! Lines about the module: modprobe.d, modules-load.d, and the service that unloads it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_wire::modprobe::Directive;

use super::super::keys::place;
use super::super::outcome::Outcome;
use super::super::{defaults, modules};
use super::{Lint, LintKind, Linter};
use crate::Said;
use crate::commands;
use crate::facts::SysctlLoader;
use crate::words::clean;

impl Linter<'_> {
    fn module_line(
        &mut self,
        (file, line): (&str, u32),
        key: String,
        value: Option<&str>,
        what: Said,
        mend: Said,
        harmless: bool,
    ) {
        self.found.push(Lint {
            kind: LintKind::ModuleLine,
            file: Some(file.to_string()),
            line: Some(line),
            key: Some(key),
            value: value.map(ToString::to_string),
            what,
            because: None,
            mend,
            meant: None,
            harmless,
        });
    }

    /// Lines of modprobe.d and modules-load.d.
    pub(super) fn modules(&mut self) {
        let core = self.facts.core();
        let built_in = self.facts.modular.get() == Some(false);
        let known = defaults::parameters(self.facts);
        let old = matches!(core, "ip_conntrack");
        let other = if old { "nf_conntrack" } else { "ip_conntrack" };
        for d in &self.plan.directives {
            let Directive::Option { name, value } = &d.directive else { continue };
            let (shown, value) = (clean(name), value.as_deref());
            let key = format!("options {} {shown}", clean(&d.module));
            // Which name the module has, and which options, hangs on the generation.
            if !self.keys.told && (d.module == other || !known.contains(&name.as_str())) {
                continue;
            }
            if d.module == other {
                let what = said!(
                    "no module of this kernel is called {other}, so the option reaches none",
                    "本内核没有叫 {other} 的模块，所以这个参数到不了任何模块"
                );
                let mend = said!(
                    "write `options {core} {shown}={}`",
                    "写成 `options {core} {shown}={}`",
                    clean(value.unwrap_or(""))
                );
                self.module_line((&d.file, d.line), key, value, what, mend, false);
            } else if d.module != core {
                continue;
            } else if built_in && d.file != "/proc/cmdline" {
                let what = said!(
                    "{core} is built into the kernel, which reads no modprobe.d",
                    "{core} 已编译进内核，内核不读 modprobe.d"
                );
                let mend = said!(
                    "add {core}.{shown}={} to the kernel's command line",
                    "在内核命令行里加上 {core}.{shown}={}",
                    clean(value.unwrap_or(""))
                );
                self.module_line((&d.file, d.line), key, value, what, mend, false);
            } else if !known.contains(&name.as_str()) {
                let names: Vec<Said> = known.iter().map(|name| Said::name(*name)).collect();
                let names = Said::join(&names, &Said::of(", ", "、"));
                let what = said!(
                    "{core} has no option {shown}; it has {names}",
                    "{core} 没有参数 {shown}；它有 {names:#}"
                );
                let mend = match name.as_str() {
                    "max" | "nf_conntrack_max" | "conntrack_max" => {
                        said!(
                            "set {} in /etc/sysctl.d; the limit is no option",
                            "在 /etc/sysctl.d 里设 {}；上限不是模块参数",
                            commands::key(&self.facts.profile, "nf_conntrack_max")
                        )
                    }
                    "buckets" | "nf_conntrack_buckets" | "hash_size" | "hash-size" => {
                        said!("write hashsize={}", "写成 hashsize={}", clean(value.unwrap_or("")))
                    }
                    _ => said!("remove it", "删掉它"),
                };
                self.module_line((&d.file, d.line), key, value, what, mend, false);
            } else if !defaults::is_value(name, value) {
                let what = said!(
                    "that is no value, and the kernel refuses a module with such an option",
                    "这不是有效的值，带着这种参数的模块会被内核拒绝"
                );
                let mend = said!("write a plain decimal number", "写一个普通的十进制数");
                self.module_line((&d.file, d.line), key, value, what, mend, false);
            }
        }
        self.load_lines(core, built_in);
    }

    fn load_lines(&mut self, core: &str, built_in: bool) {
        let systemd = self.plan.loader == SysctlLoader::Systemd;
        for m in modules::to_load(self.tree) {
            let misspelt = self.keys.told
                && !modules::brings_core(&m.module)
                && ["contrack", "conntrak", "conn_track", "nf_track"]
                    .iter()
                    .any(|part| m.module.contains(part));
            if misspelt {
                let what = said!("no module is called {}", "没有叫 {} 的模块", clean(&m.module));
                let mend = said!("write {core}", "写成 {core}");
                self.module_line((&m.file, m.line), clean(&m.module), None, what, mend, false);
                continue;
            }
            if !modules::brings_core(&m.module) {
                continue;
            }
            if systemd && !m.arguments.is_empty() {
                let what = said!(
                    "systemd takes the whole line for the module's name, and finds none: `{} {}`",
                    "systemd 把整行当作模块名，结果找不到：`{} {}`",
                    clean(&m.module),
                    clean(&m.arguments)
                );
                let mend = said!(
                    "leave {} here, and put `options {} {}` into /etc/modprobe.d",
                    "这里只留 {}，并在 /etc/modprobe.d 里写 `options {} {}`",
                    clean(&m.module),
                    clean(&m.module),
                    clean(&m.arguments)
                );
                self.module_line((&m.file, m.line), clean(&m.module), None, what, mend, built_in);
            } else if systemd
                && !built_in
                && let Some(d) = modules::blacklisted(&self.plan.directives, &m.module)
            {
                let at = place(&d.file, d.line);
                let what = said!(
                    "systemd does not load it: {at} has it on the blacklist",
                    "systemd 不加载它：{at:#} 把它列入了黑名单"
                );
                self.module_line(
                    (&m.file, m.line),
                    clean(&m.module),
                    None,
                    what,
                    said!("remove {at}", "删掉 {at:#}"),
                    false,
                );
            }
        }
    }

    /// RHEL's iptables service unloads the modules on each restart, and every setting with them.
    pub(super) fn unloads(&mut self) {
        const CONFIG: &str = "/etc/sysconfig/iptables-config";
        let Some(text) = self.tree.text(CONFIG) else { return };
        let config = plimsoll_wire::iptables_config::read(text);
        let service = self.plan.events.iter().any(|e| e.by.contains("iptables"));
        let set = self.outcomes.iter().any(Outcome::is_set);
        let again = config.sysctl_load_list.iter().any(|w| w.contains("conntrack"));
        if config.unload == Some(false)
            || !service
            || !set
            || self.facts.modular.get() == Some(false)
        {
            return;
        }
        let line =
            (1..).zip(text.lines()).find(|(_, l)| l.contains("MODULES_UNLOAD=")).map(|(n, _)| n);
        self.found.push(Lint {
            kind: LintKind::Unloads,
            file: Some(CONFIG.to_string()),
            line,
            key: Some("IPTABLES_MODULES_UNLOAD".to_string()),
            value: config.unload.map(|on| if on { "yes" } else { "no" }.to_string()),
            what: said!("each restart of the iptables service unloads the modules, and every setting falls back to the kernel's own", "iptables 服务每次重启都会卸载这些模块，所有设置都回到内核自己的值"),
            because: None,
            mend: said!("set IPTABLES_MODULES_UNLOAD=\"no\"", "设 IPTABLES_MODULES_UNLOAD=\"no\""),
            meant: None,
            harmless: again,
        });
    }
}
