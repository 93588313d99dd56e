//! /proc/slabinfo, as far as the memory of entries goes.
//!
//! Kernel: `slabinfo_show()`, mm/slab_common.c; version 2.x of the format, 2.6.10 and later.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::{Expected, Malformed, Place};

/// One cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slab {
    /// Name of the cache.
    pub name: String,
    /// Objects in use.
    pub active: u64,
    /// Objects there is room for.
    pub objects: u64,
    /// Bytes an object takes, padding included.
    pub size: u64,
    /// Objects in a slab.
    pub per_slab: u32,
    /// Pages of a slab.
    pub pages: u32,
}

impl Slab {
    /// Whether it holds entries of the connection-tracking table. One cache for the host, or one for
    /// each namespace (`nf_conntrack_ffffffff81286f60`, `nf_conntrack_3`: 2.6.3x to 4.6).
    fn holds_entries(&self) -> bool {
        match self.name.strip_prefix("nf_conntrack") {
            Some("") => true,
            Some(rest) => rest.strip_prefix(['_', '(']).is_some_and(|id| {
                !id.is_empty() && id.starts_with(|c: char| c.is_ascii_digit() || is_address(id))
            }),
            None => self.name == "ip_conntrack",
        }
    }
}

/// A kernel address in hexadecimal, as old kernels put into cache names.
fn is_address(id: &str) -> bool {
    matches!(id.len(), 8 | 16) && id.bytes().all(|b| b.is_ascii_hexdigit())
}

/// All caches. Rows that can't be understood are left out, a cut last one too.
pub fn parse(text: &str) -> Result<Vec<Slab>, Malformed> {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    if !first.starts_with("slabinfo - version: 2") {
        return Err(Malformed::new(
            Place::Line(1),
            Expected::Words(&["slabinfo version 2", "slabinfo 第 2 版"]),
            first.as_bytes(),
        ));
    }
    Ok(lines.filter(|line| !line.starts_with('#')).filter_map(row).collect())
}

/// `name active objects size per_slab pages : tunables …`
fn row(line: &str) -> Option<Slab> {
    let mut words = line.split_ascii_whitespace();
    Some(Slab {
        name: words.next()?.into(),
        active: words.next()?.parse().ok()?,
        objects: words.next()?.parse().ok()?,
        size: words.next()?.parse().ok()?,
        per_slab: words.next()?.parse().ok()?,
        pages: words.next()?.parse().ok()?,
    })
}

/// The cache of entries; several (one for each namespace) are summed, their sizes being equal.
/// `Ok(None)`: there is none under its own name, since it was merged with another or tracking is not loaded.
pub fn entry_cache(text: &str) -> Result<Option<Slab>, Malformed> {
    let mut sum: Option<Slab> = None;
    for slab in parse(text)?.into_iter().filter(Slab::holds_entries) {
        match &mut sum {
            None => sum = Some(slab),
            Some(sum) => {
                if sum.size != slab.size {
                    let place = Place::Rows(Box::new([sum.name.clone(), slab.name.clone()]));
                    return Err(Malformed::new(
                        place,
                        Expected::Words(&["equal sizes", "相同的大小"]),
                        slab.name.as_bytes(),
                    ));
                }
                sum.active = sum.active.saturating_add(slab.active);
                sum.objects = sum.objects.saturating_add(slab.objects);
            }
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    const HEAD: &str = "slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>\n";

    fn cache(rows: &str) -> Option<Slab> {
        entry_cache(&format!("{HEAD}{rows}")).expect("reads")
    }

    #[test]
    fn a_modern_kernel_has_one_cache() {
        let slab = cache(
            "nf_conntrack_expect      0      0    208   19    1 : tunables    0    0    0 : slabdata      0      0      0\n\
             nf_conntrack         112    112    256   16    1 : tunables    0    0    0 : slabdata      7      7      0\n",
        );
        let slab = slab.expect("is there");
        assert_eq!((slab.active, slab.size, slab.per_slab, slab.pages), (112, 256, 16, 1));
    }

    #[test]
    fn caches_of_old_kernels_are_named_by_address_or_number_and_summed() {
        let slab = cache(
            "nf_conntrack_ffffffff81286f60    101    112    280   14    1 : tunables    0    0    0\n\
             nf_conntrack_7    10    14    280   14    1 : tunables    0    0    0\n",
        );
        assert_eq!(slab.expect("is there").active, 111);
    }

    #[test]
    fn the_oldest_name_is_known() {
        assert!(cache("ip_conntrack  5 26 304 13 1 : tunables 54 27 8\n").is_some());
    }

    #[test]
    fn other_caches_are_no_entries() {
        assert_eq!(cache("nf_conntrack_expect 0 0 208 19 1 : tunables\n"), None);
        assert_eq!(cache("nf_conncount_tuple 0 0 64 64 1 : tunables\n"), None);
        assert_eq!(cache("nf_conntrack 5"), None);
    }

    #[test]
    fn a_file_that_is_no_slabinfo_is_refused() {
        assert!(entry_cache("slabinfo: permission denied").is_err());
        assert!(entry_cache("").is_err());
    }
}
