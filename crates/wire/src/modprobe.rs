//! modprobe.d files, and module options on the kernel's command line.
//!
//! Source: modprobe.d(5). A backslash at the end of a line joins the next one to it; a directive has the
//! number of its first line.

use alloc::string::String;
use alloc::vec::Vec;

/// What a line says of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    /// `options MODULE NAME=VALUE` (one for each option).
    Option {
        /// Option name.
        name: String,
        /// Value, if given.
        value: Option<String>,
    },
    /// `blacklist MODULE`
    Blacklist,
    /// `install MODULE COMMAND`
    Install {
        /// Command.
        command: String,
    },
    /// `alias MODULE NAME`: the module's place holds the other name, which may be a pattern.
    Alias {
        /// What is loaded in its place; `off` for nothing.
        target: String,
    },
    /// `softdep MODULE pre: A B post: C`
    Softdep {
        /// Loaded before it.
        pre: Vec<String>,
        /// Loaded after it.
        post: Vec<String>,
    },
}

/// One directive with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleDirective {
    /// File.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Module, dashes turned to underscores.
    pub module: String,
    /// What is said.
    pub directive: Directive,
}

/// Modules of connection tracking and of what pulls it in, all generations: a name is one of these or
/// begins with one that ends in `_`.
const MODULES: &[&str] = &[
    "nf_conntrack",
    "nf_conntrack_",
    "ip_conntrack",
    "ip_conntrack_",
    "nf_nat",
    "nf_nat_",
    "ip_nat",
    "ip_nat_",
    "nf_defrag_",
    "iptable_nat",
    "ip6table_nat",
    "nft_ct",
    "nft_masq",
    "nft_masq_",
    "nft_nat",
    "nft_chain_nat",
    "nft_chain_nat_",
    "nft_connlimit",
    "ipt_state",
    "ipt_conntrack",
    "ipt_MASQUERADE",
    "xt_state",
    "xt_conntrack",
    "xt_connlimit",
    "xt_connmark",
    "xt_connbytes",
    "xt_MASQUERADE",
    "xt_nat",
    "xt_CT",
    "xt_NOTRACK",
];

/// Whether a module is one of connection tracking or pulls it in. Dashes count as underscores.
pub fn is_conntrack(module: &str) -> bool {
    let name = normalised(module);
    MODULES.iter().any(|m| name == *m || (m.ends_with('_') && name.starts_with(m)))
}

/// Reads a file. Of other directives (`remove`, `include`) nothing is kept.
pub fn read_conf(file: &str, text: &str) -> Vec<ModuleDirective> {
    let mut found = Vec::new();
    for (line, content) in joined(text) {
        let mut words = content.split_whitespace();
        let (Some(word), Some(module)) = (words.next(), words.next()) else { continue };
        let mut add = |directive| {
            found.push(ModuleDirective {
                file: file.into(),
                line,
                module: normalised(module),
                directive,
            });
        };
        match word {
            "options" => {
                let rest = after_words(&content, 2);
                options(rest).for_each(|(name, value)| add(Directive::Option { name, value }));
            }
            "blacklist" => add(Directive::Blacklist),
            "install" => add(Directive::Install { command: after_words(&content, 2).into() }),
            "alias" => {
                if let Some(target) = words.next() {
                    add(Directive::Alias { target: normalised(target) });
                }
            }
            "softdep" => add(softdep(words)),
            _ => {}
        }
    }
    found
}

/// `nf_conntrack.hashsize=…`, `modprobe.blacklist=a,b` on the kernel's command line: options that hold
/// for a module built in as well as for one loaded.
pub fn read_command_line(text: &str) -> Vec<ModuleDirective> {
    let mut found = Vec::new();
    let mut add = |module: &str, directive| {
        let file = "/proc/cmdline".into();
        found.push(ModuleDirective { file, line: 1, module: normalised(module), directive });
    };
    for (name, value) in options(text) {
        if matches!(name.as_str(), "modprobe.blacklist" | "module_blacklist") {
            value.iter().flat_map(|v| v.split(',')).for_each(|m| add(m, Directive::Blacklist));
        } else if let Some((module, name)) = name.split_once('.')
            && is_conntrack(module)
        {
            add(module, Directive::Option { name: name.into(), value });
        }
    }
    found
}

/// `pre: A B post: C`
fn softdep<'a>(words: impl Iterator<Item = &'a str>) -> Directive {
    let (mut pre, mut post, mut late) = (Vec::new(), Vec::new(), false);
    for word in words {
        match word {
            "pre:" => late = false,
            "post:" => late = true,
            name if late => post.push(normalised(name)),
            name => pre.push(normalised(name)),
        }
    }
    Directive::Softdep { pre, post }
}

/// Lines with their numbers, continued ones joined, without comments and blank lines.
fn joined(text: &str) -> impl Iterator<Item = (u32, String)> {
    let mut lines = (1..).zip(text.lines());
    core::iter::from_fn(move || {
        let (number, first) = lines.next()?;
        let mut content = String::from(first);
        while content.ends_with('\\') {
            content.pop();
            let Some((_, more)) = lines.next() else { break };
            content.push_str(more);
        }
        Some((number, content))
    })
    .filter(|(_, content)| {
        let content = content.trim_start();
        !content.is_empty() && !content.starts_with('#')
    })
}

/// What follows the first words.
fn after_words(line: &str, words: usize) -> &str {
    let mut rest = line.trim();
    for _ in 0..words {
        rest = rest.find(char::is_whitespace).map_or("", |end| rest[end..].trim_start());
    }
    rest
}

/// `a=b c="d e" f`: name and value of each.
fn options(text: &str) -> impl Iterator<Item = (String, Option<String>)> {
    let mut rest = text.trim();
    core::iter::from_fn(move || {
        rest = rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        let mut quote = None;
        let end = rest
            .find(|c: char| {
                match (quote, c) {
                    (None, '"' | '\'') => quote = Some(c),
                    (Some(open), c) if c == open => quote = None,
                    _ => {}
                }
                quote.is_none() && c.is_whitespace()
            })
            .unwrap_or(rest.len());
        let word = &rest[..end];
        rest = &rest[end..];
        let bare = |s: &str| s.chars().filter(|c| !matches!(c, '"' | '\'')).collect::<String>();
        Some(match word.split_once('=') {
            Some((name, value)) => (bare(name), Some(bare(value))),
            None => (bare(word), None),
        })
    })
}

/// A module's name as the kernel shows it.
pub(crate) fn normalised(module: &str) -> String {
    module.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(name: &str, value: Option<&str>) -> Directive {
        Directive::Option { name: name.into(), value: value.map(Into::into) }
    }

    #[test]
    fn a_line_with_several_options_is_several_directives() {
        let all = read_conf("f", "options nf-conntrack hashsize=262144 expect_hashsize=512\n");
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].module, "nf_conntrack");
        assert_eq!(all[0].directive, option("hashsize", Some("262144")));
        assert_eq!(all[1].directive, option("expect_hashsize", Some("512")));
    }

    #[test]
    fn continued_lines_keep_the_number_of_the_first() {
        let all = read_conf(
            "f",
            "# x \\\n options a b=1\noptions nf_conntrack \\\n  hashsize=5 \\\n acct\nblacklist c\n",
        );
        assert_eq!(all.len(), 3);
        assert_eq!((all[0].line, &all[0].directive), (3, &option("hashsize", Some("5"))));
        assert_eq!((all[1].line, &all[1].directive), (3, &option("acct", None)));
        assert_eq!((all[2].line, &all[2].directive), (6, &Directive::Blacklist));
    }

    #[test]
    fn quoted_values_may_hold_blanks_and_an_open_quote_ends_with_the_line() {
        let all = read_conf("f", "options m a=\"b c\" d='e\noptions m f=1");
        assert_eq!(all[0].directive, option("a", Some("b c")));
        assert_eq!(all[1].directive, option("d", Some("e")));
        assert_eq!(all[2].directive, option("f", Some("1")));
    }

    #[test]
    fn install_keeps_its_command_and_unknown_words_are_passed_over() {
        let all = read_conf(
            "f",
            "install nf_conntrack /bin/false\nalias x y-z\nsoftdep a pre: b c post: d\nremove a b\noptions\n",
        );
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].directive, Directive::Install { command: "/bin/false".into() });
        assert_eq!(all[1].directive, Directive::Alias { target: "y_z".into() });
        let names = |all: &[&str]| all.iter().map(|n| String::from(*n)).collect();
        assert_eq!(
            all[2].directive,
            Directive::Softdep { pre: names(&["b", "c"]), post: names(&["d"]) }
        );
    }

    #[test]
    fn the_command_line_of_the_kernel_has_options_for_modules() {
        let all = read_command_line(
            "ro nf_conntrack.hashsize=1024 snd.x=1 modprobe.blacklist=nf_nat,foo",
        );
        assert_eq!(all[0].directive, option("hashsize", Some("1024")));
        assert_eq!((all[1].module.as_str(), all.len()), ("nf_nat", 3));
    }

    #[test]
    fn modules_of_every_generation_are_known() {
        for name in ["ip_conntrack_ftp", "nf-conntrack", "nf_nat_ipv4", "xt_state", "iptable_nat"] {
            assert!(is_conntrack(name), "{name}");
        }
        assert!(!is_conntrack("nf_tables") && !is_conntrack("ip_tables"));
    }
}
