//! Where things lie in this kernel's structures, from its own description of its types.

use std::fs;

use plimsoll_diagnosis::facts::{Gap, Reason};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::btf::{Btf, Kind};

use crate::said_of;

const KERNEL: &str = "/sys/kernel/btf/vmlinux";
const MODULE: &str = "/sys/kernel/btf/nf_conntrack";

/// What the programs are told, in the order of `struct offsets` in bpf/census.bpf.c.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Offsets {
    pub tuplehash: u32,
    pub timeout: u32,
    pub zone: u32,
    pub status: u32,
    pub net: u32,
    pub mark: u32,
    pub tcp: u32,
    pub sctp: u32,
    pub dccp: u32,
    pub length: u32,
    pub extensions: u32,
    pub references: u32,
    pub secmark: u32,
    pub tags: u32,
    pub inum: u32,
    pub accounting: u32,
    pub times: u32,
    pub labels: u32,
    pub help: u32,
    pub helper: u32,
    pub helper_name: u32,
    pub window: u32,
    pub window_offset: u32,
    pub files: u32,
    pub fdt: u32,
    pub fd: u32,
    pub private_data: u32,
    pub seq_private: u32,
    pub iterator_table: u32,
    pub iterator_buckets: u32,
}

impl Offsets {
    /// The bytes of `at` in the object.
    pub fn bytes(&self) -> Vec<u8> {
        let Self { tuplehash, timeout, zone, status, net, mark, tcp, sctp, dccp, length, .. } =
            *self;
        let Self { extensions, references, secmark, tags, inum, .. } = *self;
        let Self { accounting, times, labels, help, helper, helper_name, .. } = *self;
        let Self { window, window_offset, files, fdt, fd, private_data, seq_private, .. } = *self;
        let Self { iterator_table, iterator_buckets, .. } = *self;
        let entry = [tuplehash, timeout, zone, status, net, mark, tcp, sctp, dccp, length];
        let beside = [extensions, references, secmark, tags, inum];
        let extended = [accounting, times, labels, help, helper, helper_name];
        let table = [files, fdt, fd, private_data, seq_private, iterator_table, iterator_buckets];
        [&entry[..], &beside, &extended, &[window, window_offset], &table]
            .concat()
            .iter()
            .flat_map(|offset| offset.to_ne_bytes())
            .collect()
    }
}

/// The kernel has no such extension.
const NONE: u32 = u32::MAX;

/// What was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub offsets: Offsets,
    /// BTF id of `bpf_rdonly_cast`, where this kernel has it (6.2 and later) and a type to cast to.
    pub rdonly_cast: Option<u32>,
    /// Whether the way from an open proc file to the table is known.
    pub by_iterator: bool,
    /// Entries have marks.
    pub has_mark: bool,
    /// Entries have zones.
    pub has_zone: bool,
    /// Has a DCCP tracker.
    pub has_dccp: bool,
    /// Entries may have security marks.
    pub has_secmark: bool,
    /// Whether what lies beside an entry can be told: its extensions. Before 5.11 not where conntrack is a module, whose
    /// types are described nowhere.
    pub has_extensions: bool,
}

/// How much of an entry the programs can see: `object` in the one, the window's length in the other.
const REACH: u32 = 256;

/// Reads the kernel's description of its types.
pub(super) fn read() -> Result<Layout, Gap> {
    let bytes = fs::read(KERNEL).map_err(|error| Gap {
        reason: match error.kind() {
            std::io::ErrorKind::NotFound => Reason::NotBuilt,
            std::io::ErrorKind::PermissionDenied => Reason::NotPermitted,
            _ => Reason::Failed,
        },
        detail: match error.kind() {
            std::io::ErrorKind::NotFound => Said::of(
                "bpf: this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)",
                "bpf：本内核没有 BTF（CONFIG_DEBUG_INFO_BTF）",
            ),
            _ => {
                let why = said_of(&error);
                said!("{KERNEL}: {why}", "{KERNEL}：{why:#}")
            }
        },
        needs: None,
    })?;
    let kernel = Btf::parse(&bytes, None).map_err(|error| malformed(KERNEL, &error))?;
    // Where conntrack is built in, or before 5.11, there is none.
    let module = fs::read(MODULE).ok();
    let module = match &module {
        Some(bytes) => {
            Some(Btf::parse(bytes, Some(&kernel)).map_err(|error| malformed(MODULE, &error))?)
        }
        None => None,
    };
    of(module.as_ref().unwrap_or(&kernel))
}

fn malformed(path: &str, error: &plimsoll_wire::Malformed) -> Gap {
    let why = Said::from(error);
    let detail = said!("{path}: {why}", "{path}：{why:#}");
    Gap { reason: Reason::Malformed, detail, needs: None }
}

fn of(btf: &Btf<'_>) -> Result<Layout, Gap> {
    let find = |name| btf.find(Kind::Struct, name);
    let within = |structure: Option<u32>, path| btf.member(structure?, path).map(|m| m.offset);
    let nowhere = |what: &str| Gap {
        reason: Reason::TooOld,
        detail: said!("BTF: no {what}", "BTF：没有 {what}"),
        needs: None,
    };
    tuple_hash_is_as_expected(btf)?;
    let entry = find("nf_conn").ok_or_else(|| nowhere("nf_conn"))?;
    let maybe = |path| within(Some(entry), path);
    let need = |path: &'static str| maybe(path).ok_or_else(|| nowhere(path));
    let (mark, zone) = (maybe("mark"), maybe("zone.id"));
    let (tcp, status) = (need("proto.tcp.state")?, need("status")?);
    let (sctp, dccp) = (maybe("proto.sctp.state"), maybe("proto.dccp.state"));
    let iterator_state = find("ct_iter_state");
    let iterator = [
        within(find("task_struct"), "files"),
        within(find("files_struct"), "fdt"),
        within(find("fdtable"), "fd"),
        within(find("file"), "private_data"),
        within(find("seq_file"), "private"),
        within(iterator_state, "hash"),
        within(iterator_state, "htable_size"),
    ];
    let [files, fdt, fd, private_data, seq_private, iterator_table, iterator_buckets] =
        iterator.map(Option::unwrap_or_default);
    // A structure that ends in a long array of bytes: within an array of integers the verifier allows loads of
    // any size.
    let window = find("linux_binprm").and_then(|window| {
        let offset = within(Some(window), "buf")?;
        (btf.size(window)? >= offset + REACH).then_some((window, offset))
    });
    let beside = beside(btf);
    let extended = beside.unwrap_or_default();
    let secmark = maybe("secmark");
    let mut offsets = Offsets {
        tuplehash: need("tuplehash")?,
        timeout: need("timeout")?,
        zone: zone.unwrap_or(status),
        status,
        net: need("ct_net.net")?,
        mark: mark.unwrap_or(status),
        tcp,
        sctp: sctp.unwrap_or(tcp),
        dccp: dccp.unwrap_or(tcp),
        length: 0,
        extensions: maybe("ext").unwrap_or(status),
        references: maybe("ct_general.use").unwrap_or(status),
        secmark: secmark.unwrap_or(status),
        tags: maybe("proto.sctp.vtag").unwrap_or(status),
        accounting: extended.accounting,
        times: extended.times,
        labels: extended.labels,
        help: extended.help,
        helper: extended.helper,
        helper_name: extended.helper_name,
        inum: within(find("net"), "ns.inum").ok_or_else(|| nowhere("net.ns.inum"))?,
        window: window.map_or(0, |(kind, _)| kind),
        window_offset: window.map_or(0, |(_, offset)| offset),
        files,
        fdt,
        fd,
        private_data,
        seq_private,
        iterator_table,
        iterator_buckets,
    };
    let o = offsets;
    let ends = [
        o.tuplehash + 2 * TUPLE_HASH,
        o.timeout + 4,
        o.zone + 4,
        status + 8,
        o.net + 8,
        o.mark + 4,
        tcp + 1,
        o.sctp + 1,
        o.dccp + 1,
    ];
    offsets.length = ends.into_iter().max().unwrap_or(0).next_multiple_of(8);
    if offsets.length > REACH {
        let length = offsets.length;
        let detail = said!(
            "BTF: an entry of {length} bytes, more than {REACH}",
            "BTF：一个条目有 {length} 字节，超过 {REACH}"
        );
        return Err(Gap { reason: Reason::Failed, detail, needs: None });
    }
    Ok(Layout {
        offsets,
        rdonly_cast: window.and_then(|_| btf.find(Kind::Function, "bpf_rdonly_cast")),
        by_iterator: iterator.iter().all(Option::is_some),
        has_mark: mark.is_some(),
        has_zone: zone.is_some(),
        has_dccp: dccp.is_some(),
        has_secmark: secmark.is_some(),
        has_extensions: beside.is_some() && maybe("ext").is_some(),
    })
}

/// Where the extensions of an entry are told, and what they hold.
#[derive(Debug, Clone, Copy, Default)]
struct Beside {
    accounting: u32,
    times: u32,
    labels: u32,
    help: u32,
    helper: u32,
    helper_name: u32,
}

/// `None`: they are not described, or lie otherwise than in all kernels known.
fn beside(btf: &Btf<'_>) -> Option<Beside> {
    let numbers = btf.find(Kind::Enumeration, "nf_ct_ext_id")?;
    let within = |structure, path| {
        btf.find(Kind::Struct, structure).and_then(|s| btf.member(s, path)).map(|m| m.offset)
    };
    let size = |structure| btf.find(Kind::Struct, structure).and_then(|s| btf.size(s));
    let offsets = within("nf_ct_ext", "offset")?;
    // Where the kernel was built without an extension, its word is not there.
    let byte = |word| btf.value(numbers, word).map_or(NONE, |number| offsets + number);
    let (accounting, times) = (byte("NF_CT_EXT_ACCT"), byte("NF_CT_EXT_TSTAMP"));
    let (labels, help) = (byte("NF_CT_EXT_LABELS"), byte("NF_CT_EXT_HELPER"));
    let is = |word, expected: bool| word == NONE || expected;
    let known = is(accounting, size("nf_conn_acct") == Some(32))
        && is(
            times,
            (within("nf_conn_tstamp", "start"), within("nf_conn_tstamp", "stop"))
                == (Some(0), Some(8)),
        )
        && is(labels, size("nf_conn_labels") == Some(16));
    let helper = within("nf_conn_help", "helper");
    let helper_name = within("nf_conntrack_helper", "name");
    (known && is(help, helper.is_some() && helper_name.is_some())).then(|| Beside {
        accounting,
        times,
        labels,
        help,
        helper: helper.unwrap_or(0),
        helper_name: helper_name.unwrap_or(0),
    })
}

const TUPLE_HASH: u32 = 56;

/// The offsets that stand in the programs themselves.
fn tuple_hash_is_as_expected(btf: &Btf<'_>) -> Result<(), Gap> {
    const NAME: &str = "nf_conntrack_tuple_hash";
    let expected = [
        ("hnnode.next", 0),
        ("tuple.src.u3", 16),
        ("tuple.src.u", 32),
        ("tuple.src.l3num", 34),
        ("tuple.dst.u3", 36),
        ("tuple.dst.u", 52),
        ("tuple.dst.protonum", 54),
        ("tuple.dst.dir", 55),
    ];
    let hash = btf.find(Kind::Struct, NAME);
    let wrong = expected
        .into_iter()
        .find(|(path, at)| {
            hash.and_then(|hash| btf.member(hash, path)).map(|m| m.offset) != Some(*at)
        })
        .map(|(path, _)| path);
    let size = hash.and_then(|hash| btf.size(hash));
    let wrong = wrong.or((size != Some(TUPLE_HASH)).then_some("size"));
    match wrong {
        None => Ok(()),
        Some(path) => Err(Gap {
            reason: Reason::Failed,
            detail: said!(
                "BTF: {NAME}.{path} is not where it was in all kernels known",
                "BTF：{NAME}.{path} 不在已知各内核中的位置"
            ),
            needs: None,
        }),
    }
}
