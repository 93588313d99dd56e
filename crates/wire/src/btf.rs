//! BTF, the kernel's description of its own types: where a member lies in a structure, and a type's number.
//!
//! Only what is asked for is looked up; nothing is built of the hundred thousand types but the places where they
//! begin. A module's description continues the kernel's: its numbers and names go on where those end.
//!
//! Kernel: include/uapi/linux/btf.h, Documentation/bpf/btf.rst.

use alloc::vec::Vec;

use crate::{Expected, Malformed, Place};

/// Kinds that are asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `struct`
    Struct,
    /// `enum`
    Enumeration,
    /// A function.
    Function,
}

impl Kind {
    const fn number(self) -> u32 {
        match self {
            Self::Struct => 4,
            Self::Enumeration => 6,
            Self::Function => 12,
        }
    }
}

/// A description.
#[derive(Debug, Clone)]
pub struct Btf<'a> {
    base: Option<&'a Btf<'a>>,
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type begins in `types`; the first has the number [`Self::first`].
    places: Vec<u32>,
    first: u32,
    first_string: u32,
}

/// Where a member lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Bytes from the beginning of the structure.
    pub offset: u32,
    /// Number of the member's type, without typedefs and qualifiers.
    pub kind: u32,
}

/// Anonymous members in anonymous members, and typedefs of typedefs.
const DEEP: u32 = 32;

impl<'a> Btf<'a> {
    /// Reads /sys/kernel/btf/vmlinux, or with `base` that of a module.
    pub fn parse(bytes: &'a [u8], base: Option<&'a Btf<'a>>) -> Result<Self, Malformed> {
        let bad =
            |expected| Malformed::new(Place::Words(&["BTF header", "BTF 头"]), expected, bytes);
        if u16_at(bytes, 0) != Some(0xeb9f) {
            return Err(bad(Expected::Words(&[
                "the magic number eb9f in this machine's byte order",
                "本机字节序的魔数 eb9f",
            ])));
        }
        let header =
            |at| u32_at(bytes, at).map(|n| n as usize).ok_or_else(|| bad(Expected::Bytes(24)));
        let (length, type_at, type_length) = (header(4)?, header(8)?, header(12)?);
        let section = |at: usize, length: usize, header: usize| {
            let at = header.checked_add(at)?;
            bytes.get(at..at.checked_add(length)?)
        };
        let types = section(type_at, type_length, length)
            .ok_or_else(|| bad(Expected::Words(&["types within the file", "文件之内的类型"])))?;
        let strings = section(header(16)?, header(20)?, length).ok_or_else(|| {
            bad(Expected::Words(&["strings within the file", "文件之内的字符串"]))
        })?;
        let (first, first_string) = match base {
            None => (1, 0),
            Some(base) => (
                base.first + base.places.len() as u32,
                base.first_string + base.strings.len() as u32,
            ),
        };
        let mut places = Vec::with_capacity(types.len() / 32);
        let mut at = 0;
        while at < types.len() {
            places.push(at as u32);
            let length = u32_at(types, at + 4).and_then(length_of).ok_or_else(|| {
                Malformed::new(
                    Place::Words(&["BTF type", "BTF 类型"]),
                    Expected::Words(&["a known kind", "已知的种类"]),
                    &types[at..],
                )
            })?;
            at += length;
        }
        Ok(Self { base, types, strings, places, first, first_string })
    }

    /// Number of the type of this kind and name: its own before those of the base.
    pub fn find(&self, kind: Kind, name: &str) -> Option<u32> {
        self.find_here(kind, name).or_else(|| self.base?.find(kind, name))
    }

    fn find_here(&self, kind: Kind, name: &str) -> Option<u32> {
        // A name of a module's type may stand in the kernel's strings.
        let own = string_in(self.strings, name).map(|at| at + self.first_string);
        let of_base = self.base.and_then(|base| string_in(base.strings, name));
        if own.is_none() && of_base.is_none() {
            return None;
        }
        let place = self.places.iter().position(|&at| {
            let at = at as usize;
            let named = u32_at(self.types, at);
            (named == own || named == of_base)
                && named.is_some()
                && u32_at(self.types, at + 4).map(kind_of) == Some(kind.number())
        })?;
        Some(self.first + place as u32)
    }

    /// Where a member of a structure lies, by a path as C writes it: `tuple.src.u3`; an empty path is the structure
    /// itself. Members of anonymous members count as the structure's own.
    pub fn member(&self, structure: u32, path: &str) -> Option<Member> {
        let mut member = Member { offset: 0, kind: structure };
        for name in path.split('.').filter(|name| !name.is_empty()) {
            let next = self.member_of(member.kind, name, DEEP)?;
            member = Member { offset: member.offset.checked_add(next.offset)?, kind: next.kind };
        }
        Some(member)
    }

    /// Bytes of a structure.
    pub fn size(&self, structure: u32) -> Option<u32> {
        let (types, at) = self.type_at(structure)?;
        u32_at(types, at + 8)
    }

    /// The value of an enumeration's word.
    pub fn value(&self, enumeration: u32, word: &str) -> Option<u32> {
        let (types, at) = self.type_at(enumeration)?;
        let info = u32_at(types, at + 4)?;
        if kind_of(info) != Kind::Enumeration.number() {
            return None;
        }
        let words = (0..(info & 0xffff) as usize).map(|n| at + 12 + 8 * n);
        let mut named = words.filter(|at| {
            u32_at(types, *at).and_then(|name| self.string(name)) == Some(word.as_bytes())
        });
        u32_at(types, named.next()? + 4)
    }

    fn member_of(&self, kind: u32, wanted: &str, deep: u32) -> Option<Member> {
        let (types, at) = self.type_at(kind)?;
        let info = u32_at(types, at + 4)?;
        // struct, union
        if !matches!(kind_of(info), 4 | 5) || deep == 0 {
            return None;
        }
        let bit_fields = info >> 31 == 1;
        for n in 0..(info & 0xffff) as usize {
            let at = at + 12 + 12 * n;
            let (name, inner, bits) =
                (u32_at(types, at)?, u32_at(types, at + 4)?, u32_at(types, at + 8)?);
            let bits = if bit_fields { bits & 0x00ff_ffff } else { bits };
            let (offset, inner) = (bits / 8, self.bare(inner)?);
            let name = self.string(name)?;
            if name == wanted.as_bytes() {
                return Some(Member { offset, kind: inner });
            }
            if name.is_empty()
                && let Some(found) = self.member_of(inner, wanted, deep - 1)
            {
                return Some(Member { offset: offset.checked_add(found.offset)?, ..found });
            }
        }
        None
    }

    /// Through typedef, volatile, const, restrict and type tags.
    fn bare(&self, mut kind: u32) -> Option<u32> {
        for _ in 0..DEEP {
            let Some((types, at)) = self.type_at(kind) else { return Some(kind) };
            match kind_of(u32_at(types, at + 4)?) {
                8..=11 | 18 => kind = u32_at(types, at + 8)?,
                _ => return Some(kind),
            }
        }
        None
    }

    fn type_at(&self, kind: u32) -> Option<(&'a [u8], usize)> {
        if kind < self.first {
            return self.base?.type_at(kind);
        }
        let place = self.places.get((kind - self.first) as usize)?;
        Some((self.types, *place as usize))
    }

    fn string(&self, at: u32) -> Option<&'a [u8]> {
        let Some(at) = at.checked_sub(self.first_string) else { return self.base?.string(at) };
        let rest = self.strings.get(at as usize..)?;
        rest.get(..rest.iter().position(|&b| b == 0)?)
    }
}

fn kind_of(info: u32) -> u32 {
    info >> 24 & 31
}

/// Bytes of a type, by its kind and number of members. `None`: a kind that did not exist when this was written, so
/// that nothing behind it can be found.
fn length_of(info: u32) -> Option<usize> {
    let members = (info & 0xffff) as usize;
    Some(
        12 + match kind_of(info) {
            // pointer, forward, typedef, volatile, const, restrict, function, float, type tag
            2 | 7..=12 | 16 | 18 => 0,
            // integer, variable, declaration tag
            1 | 14 | 17 => 4,
            // array
            3 => 12,
            // struct, union, section, 64-bit enumeration
            4 | 5 | 15 | 19 => 12 * members,
            // enumeration, prototype
            6 | 13 => 8 * members,
            _ => return None,
        },
    )
}

/// Where a whole string begins: strings end with NUL, so one stands between two of them, or at the beginning.
fn string_in(strings: &[u8], name: &str) -> Option<u32> {
    let mut whole = Vec::with_capacity(name.len() + 2);
    whole.push(0);
    whole.extend_from_slice(name.as_bytes());
    whole.push(0);
    if strings.starts_with(&whole[1..]) {
        return Some(0);
    }
    let at = memchr::memmem::find(strings, &whole)?;
    u32::try_from(at + 1).ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `struct outer { int a; struct { int b; }; inner_t c; }`, `struct inner { int x, y; }` as `inner_t`.
    fn description() -> Vec<u8> {
        let strings = b"\0int\0outer\0a\0b\0inner_t\0c\0inner\0x\0y\0f\0e\0E_A\0E_B\0";
        let name = |s: &str| string_in(strings, s).unwrap();
        let kind = |k: u32, n: u32| k << 24 | n;
        let mut types: Vec<u32> = Vec::new();
        types.extend([name("int"), kind(1, 0), 4, 32]); // 1
        types.extend([name("inner"), kind(4, 2), 8, name("x"), 1, 0, name("y"), 1, 32]); // 2
        types.extend([name("inner_t"), kind(8, 0), 2]); // 3
        types.extend([0, kind(4, 1), 4, name("b"), 1, 0]); // 4
        types.extend([name("outer"), kind(4, 3), 16]); // 5
        types.extend([name("a"), 1, 0, 0, 4, 32, name("c"), 3, 64]);
        types.extend([name("f"), kind(12, 0), 0]); // 6
        types.extend([name("e"), kind(6, 2), 4, name("E_A"), 0, name("E_B"), 7]); // 7
        let types: Vec<u8> = types.iter().flat_map(|w| w.to_ne_bytes()).collect();
        file(&types, strings)
    }

    fn file(types: &[u8], strings: &[u8]) -> Vec<u8> {
        let mut bytes = 0xeb9fu16.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        let (t, s) = (types.len() as u32, strings.len() as u32);
        for word in [24, 0, t, t, s] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(types);
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn members_are_found_by_name_through_anonymous_ones_and_typedefs() {
        let bytes = description();
        let btf = Btf::parse(&bytes, None).unwrap();
        let outer = btf.find(Kind::Struct, "outer").unwrap();
        let offset = |path| btf.member(outer, path).map(|m| m.offset);
        assert_eq!((offset("a"), offset("b"), offset("c")), (Some(0), Some(4), Some(8)));
        assert_eq!(offset("c.y"), Some(12));
        assert_eq!((offset("d"), offset("a.x"), offset("")), (None, None, Some(0)));
        assert_eq!(btf.find(Kind::Function, "f"), Some(6));
        assert_eq!(btf.find(Kind::Struct, "f"), None);
        assert_eq!(btf.size(outer), Some(16));
        let words = btf.find(Kind::Enumeration, "e").unwrap();
        let value = |word| btf.value(words, word);
        assert_eq!((value("E_A"), value("E_B"), value("E_C")), (Some(0), Some(7), None));
        assert_eq!(btf.value(outer, "a"), None);
    }

    #[test]
    fn a_modules_description_continues_that_of_the_kernel() {
        let bytes = description();
        let base = Btf::parse(&bytes, None).unwrap();
        // `struct more { int a; struct outer z; }`: its member `a` is named by the kernel's string. A module's
        // strings need not begin with an empty one.
        let own = base.strings.len() as u32;
        let a = string_in(base.strings, "a").unwrap();
        let types: Vec<u8> = [own, 4 << 24 | 2, 20, a, 1, 0, own + 5, 5, 32]
            .iter()
            .flat_map(|w: &u32| w.to_ne_bytes())
            .collect();
        let module = file(&types, b"more\0z\0");
        let split = Btf::parse(&module, Some(&base)).unwrap();
        let offset = |structure, path| {
            let structure = split.find(Kind::Struct, structure).unwrap();
            split.member(structure, path).map(|m| m.offset)
        };
        assert_eq!(offset("more", "z.c.x"), Some(12));
        assert_eq!(offset("more", "a"), Some(0));
        assert_eq!(split.find(Kind::Struct, "more"), Some(8));
        assert_eq!(offset("outer", "b"), Some(4));
    }

    #[test]
    fn what_is_no_description_is_refused() {
        assert!(Btf::parse(b"", None).is_err());
        assert!(Btf::parse(&[0; 64], None).is_err());
        let whole = description();
        for length in 0..whole.len() {
            if let Ok(btf) = Btf::parse(&whole[..length], None) {
                let _ = btf.find(Kind::Struct, "outer").map(|outer| btf.member(outer, "c.y"));
            }
        }
        let mut loops = description();
        // The typedef of itself.
        let at = 24 + 16 + 36 + 8;
        loops[at..at + 4].copy_from_slice(&3u32.to_ne_bytes());
        let btf = Btf::parse(&loops, None).unwrap();
        let outer = btf.find(Kind::Struct, "outer").unwrap();
        assert_eq!(btf.member(outer, "c.y"), None);
    }
}
