//! Loaded modules: /proc/modules, and `lsmod`, which prints the same facts under a header.
//!
//! Kernel: `m_show()`, kernel/module/procfs.c: `name size references users, state address`.

use alloc::string::String;
use alloc::vec::Vec;

use crate::{Expected, Malformed, Place};

/// One loaded module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Name with underscores.
    pub name: String,
    /// Memory in bytes.
    pub size: u64,
    /// References: `None` where the kernel prints `-` (can't be unloaded).
    pub references: Option<u64>,
    /// Modules that use it.
    pub used_by: Vec<String>,
}

/// Reads either form. A last line that was cut off (no line end) is left out.
pub fn parse(text: &str) -> Result<Vec<Module>, Malformed> {
    let mut modules = Vec::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.next() else { continue };
        let size = words.next();
        if name == "Module" && size == Some("Size") {
            continue;
        }
        let Some(size) = size.and_then(|s| s.parse().ok()) else {
            if !line.ends_with('\n') {
                break;
            }
            let place = Place::Line(number + 1);
            return Err(Malformed::new(
                place,
                Expected::Words(&["module name and size", "模块名和大小"]),
                line.as_bytes(),
            ));
        };
        modules.push(Module {
            name: name.replace('-', "_"),
            size,
            references: words.next().and_then(|r| r.parse().ok()),
            used_by: words.next().map(users).unwrap_or_default(),
        });
    }
    Ok(modules)
}

/// Whether anything puts connections into a flow table: rules of nft or iptables, or of tc.
pub fn offload(modules: &[Module]) -> bool {
    const WHO: [&str; 3] = ["nft_flow_offload", "xt_FLOWOFFLOAD", "act_ct"];
    modules.iter().any(|m| WHO.contains(&m.name.as_str()) && m.references.is_some_and(|n| n > 0))
}

/// `a,b,` or `a,b` or `-`; `[permanent]` is no module.
fn users(list: &str) -> Vec<String> {
    list.split(',')
        .filter(|user| !user.is_empty() && *user != "-" && !user.starts_with('['))
        .map(|user| user.replace('-', "_"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_table_is_used_where_a_rule_holds_its_module() {
        let offload = |text: &str| super::offload(&parse(text).expect("lines of modules"));
        let table = "nf_flow_table 53248 1 nft_flow_offload, Live 0x0\n";
        assert!(!offload(&alloc::format!("{table}nft_flow_offload 16384 0 - Live 0x0\n")));
        assert!(offload(&alloc::format!("{table}nft_flow_offload 16384 2 - Live 0x0\n")));
        assert!(offload("act_ct 36864 1 - Live 0x0\n"));
        assert!(!offload("nf_conntrack 180224 3 nft_ct, Live 0x0\n"));
    }

    #[test]
    fn a_line_of_proc_modules_tells_size_references_and_users() {
        let text = "nf_tables 425984 4 nft_ct, Live 0xffffffffc0629000\n\
                    xt_CT 12288 0 - Live 0xffffffffc0663000\n";
        let modules = parse(text).expect("reads");
        assert_eq!(modules.len(), 2);
        assert_eq!(
            modules[0],
            Module {
                name: "nf_tables".into(),
                size: 425_984,
                references: Some(4),
                used_by: alloc::vec!["nft_ct".into()],
            }
        );
        assert!(modules[1].used_by.is_empty());
    }

    #[test]
    fn a_module_that_cannot_be_unloaded_has_no_references() {
        let modules = parse("ext4 700000 - - Live 0x0\n").expect("reads");
        assert_eq!(modules[0].references, None);
    }

    #[test]
    fn lsmod_says_the_same_under_a_header() {
        let text = "Module                  Size  Used by\n\
                    nf_conntrack_netlink    40960  0\n\
                    nf_conntrack          147456  5 nf_conntrack_netlink,xt_conntrack,nf_nat\n";
        let modules = parse(text).expect("reads");
        assert_eq!(modules[1].references, Some(5));
        assert_eq!(modules[1].used_by.len(), 3);
        assert!(modules[0].used_by.is_empty());
    }

    #[test]
    fn a_cut_last_line_is_left_out_and_nonsense_is_refused() {
        assert_eq!(parse("xt_CT 12288 0 - Live 0x0\nnf_ta").expect("reads").len(), 1);
        assert!(parse("no modules here\nmore\n").is_err());
        assert_eq!(parse("").expect("reads").len(), 0);
    }
}
