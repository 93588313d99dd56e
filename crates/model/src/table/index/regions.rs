//! What is known of many lines at once: how many entries they hold, and a time before which none of these expires.
//!
//! A collector that comes to a table in which little has happened steps over most of it. What a region was seen to hold is forgotten
//! as soon as an entry comes, goes or expires sooner in one of its lines; where most packets do that, nothing is known and nothing lost.

use alloc::vec::Vec;
use core::ops::Range;

use super::{At, Index};
use crate::table::seats::Ticks;
use crate::ticks::Jiffies;

/// Lines of a region.
const LINES: usize = 64;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Regions {
    /// Which are known: by themselves, since packets make them forgotten all the time.
    known: Vec<bool>,
    contents: Vec<Content>,
    /// In a line behind others an entry expires sooner than it did: of which region is not known.
    behind: bool,
}

/// What some lines hold.
#[derive(Debug, Clone, Copy, Default)]
struct Content {
    /// Entries: by setting, where several share the table.
    numbers: Ticks,
    /// A time before which none of them expires, in any setting.
    soonest: Option<Jiffies>,
    /// There are lines behind some of them.
    linked: bool,
}

impl Content {
    /// Whether none of it can have expired by `due`.
    fn is_quiet(&self, due: Jiffies) -> bool {
        self.soonest.is_none_or(|soonest| soonest.left(due) > 0)
    }

    fn or(&mut self, soonest: Option<Jiffies>, due: Jiffies) {
        self.soonest = sooner(self.soonest, soonest, due);
    }
}

/// Seen from `due`, what has expired comes before what expires in months.
fn sooner(one: Option<Jiffies>, other: Option<Jiffies>, due: Jiffies) -> Option<Jiffies> {
    one.into_iter().chain(other).min_by_key(|time| time.left(due))
}

/// What some lines hold of one setting.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    /// Entries.
    pub(crate) number: usize,
    /// A time before which none of them expires.
    pub(crate) soonest: Option<Jiffies>,
}

impl Regions {
    /// Of so many lines.
    pub(super) fn new(lines: usize) -> Self {
        let number = lines.div_ceil(LINES);
        let contents = alloc::vec![Content::default(); number];
        Self { known: alloc::vec![false; number], contents, behind: false }
    }

    /// An entry came to a line that chains begin in, or went from it or from those behind it.
    #[inline(always)]
    pub(super) fn forget(&mut self, line: u32) {
        if let Some(known) = self.known.get_mut(line as usize / LINES) {
            *known = false;
        }
    }

    /// Those of lines that are not known to be theirs.
    fn forget_behind(&mut self) {
        if core::mem::take(&mut self.behind) {
            let regions = self.known.iter_mut().zip(&self.contents);
            regions.for_each(|(known, content)| *known &= !content.linked);
        }
    }
}

impl Index {
    /// An entry of a line expires sooner than it did.
    #[cold]
    pub(in crate::table) fn lowered(&mut self, at: At) {
        self.touched(at);
    }

    /// The same, or it goes from a setting.
    #[inline]
    pub(in crate::table) fn touched(&mut self, at: At) {
        if at.0 < self.behind {
            self.regions.forget(at.0 >> self.stride);
        } else {
            self.regions.behind = true;
        }
    }

    /// Of chains, the first of which begins a line: `some` and all that share their last line, and those behind them, as long as none of
    /// what they hold can have expired by `due` in any setting: the chain behind them, and what they hold of one.
    pub(in crate::table) fn quiet(
        &mut self,
        chains: Range<usize>,
        some: usize,
        due: Jiffies,
        seat: usize,
    ) -> (usize, Held) {
        let (mut line, mut all) = (chains.start >> self.shift, Held::default());
        if line << self.shift < chains.start {
            return (chains.start, all);
        }
        let (last, step) = (self.chains(), ((some - 1) >> self.shift) + 1);
        let lines = ((last - 1) >> self.shift) + 1;
        let end = if chains.end == last { lines } else { chains.end >> self.shift };
        self.regions.forget_behind();
        while line < end {
            let region = (line + LINES).min(lines);
            let known = if region <= end { self.held(line, region, due) } else { None };
            let (to, held) = known.map_or_else(
                || {
                    let to = (line + step).min(lines);
                    (to, self.look(line, to, due))
                },
                |held| (region, held),
            );
            if to > end || !held.is_quiet(due) {
                break;
            }
            all.number += held.numbers[seat] as usize;
            all.soonest = sooner(all.soonest, held.soonest, due);
            line = to;
        }
        ((line << self.shift).min(last), all)
    }

    /// The chains of a line that begins with this one, and the entries that they hold.
    pub(in crate::table) fn begins(&self, chain: usize) -> Option<(Range<usize>, usize)> {
        let line = chain >> self.shift;
        let begins = chain < self.chains() && line << self.shift == chain;
        begins.then(|| {
            let end = ((line + 1) << self.shift).min(self.chains());
            let first = At((line as u32) << self.stride);
            let all = core::iter::successors(Some(first), |&at| self.next(at));
            (chain..end, all.map(|at| self.line(at).count()).sum())
        })
    }

    /// What a region holds that begins with a line; `None`: none does, or something in it can have expired by `due`.
    fn held(&mut self, line: usize, end: usize, due: Jiffies) -> Option<Content> {
        let region = line / LINES;
        let content = self.regions.contents.get(region).filter(|_| line.is_multiple_of(LINES))?;
        if self.regions.known[region] && content.is_quiet(due) {
            return Some(*content);
        }
        // Those that were looked at meanwhile may be known better now.
        let content = self.look(line, end, due);
        let known = content.is_quiet(due);
        (self.regions.known[region], self.regions.contents[region]) = (known, content);
        known.then_some(content)
    }

    /// What lines hold, and those behind them, at `due`; or as much of it as shows that something can have expired by then.
    fn look(&self, line: usize, end: usize, due: Jiffies) -> Content {
        let mut content = Content::default();
        for line in line..end {
            let mut at = At((line as u32) << self.stride);
            while content.is_quiet(due) {
                if self.is_over(at, due) {
                    content.or(Some(due), due);
                    break;
                }
                self.add(at, &mut content, due);
                let Some(next) = self.next(at) else { break };
                content.linked = true;
                at = next;
            }
        }
        content
    }

    /// Whether something in a line that several settings share has expired by `due` in one of them: seen of all entries at once.
    #[inline(always)]
    fn is_over(&self, at: At, due: Jiffies) -> bool {
        let asides = self.asides(at);
        asides.is_some_and(|asides| !asides.over(due).is_empty())
    }

    /// Adds what one line holds.
    fn add(&self, at: At, content: &mut Content, due: Jiffies) {
        let count = self.line(at).count();
        let Some(asides) = self.asides(at) else {
            content.numbers[0] += count as u32;
            return content.or((count > 0).then(|| self.bound(at)), due);
        };
        for slot in 0..count {
            let aside = asides.get(slot);
            aside.seats.for_each(|seat| content.numbers[seat] += 1);
            content.or(Some(aside.soonest), due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_region_is_what_would_be_seen_anew() {
        let mut index = Index::new(2048, 4096);
        let (mut drawn, mut now, mut there) = (1_u64, 0_u32, Vec::new());
        let mut draw = |bound: u64| {
            drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x5851_f42d);
            (drawn >> 33) % bound
        };
        let (mut stepped_over, mut met) = (0, 0);
        for id in 0..20_000_u32 {
            now += draw(3) as u32;
            let expires = Jiffies(now + [10, 1000, 100_000, 100_000][draw(4) as usize]);
            // Most come to the lines of a few regions.
            let chain = if draw(8) == 0 { draw(2048) } else { draw(600) };
            let place = index.place_of_chain(chain as usize);
            match draw(16) {
                0..6 if there.len() < 6000 => {
                    index.insert(place, id, expires);
                    there.push((place, id));
                }
                kind if !there.is_empty() => {
                    let which = draw(there.len() as u64) as usize;
                    let (place, id) = there[which];
                    let (at, slot) = index.locate(place, id).expect("an entry that is there");
                    if kind < 10 {
                        index.lower(at, expires);
                    } else if kind < 13 {
                        index.take(at, slot);
                        index.tidy(index.first(place));
                        there.swap_remove(which);
                    }
                }
                _ => {}
            }
            if id % 7 > 0 {
                continue;
            }
            let due = Jiffies(now + draw(300) as u32);
            let mut anew = index.clone();
            anew.regions = Regions::new(anew.behind as usize);
            let mut from = 0;
            while from < index.chains() {
                let end = index.chains().min(from + 1 + draw(2000) as usize);
                let (known, seen) =
                    (index.quiet(from..end, 16, due, 0), anew.quiet(from..end, 16, due, 0));
                assert_eq!((known.0, known.1.number), (seen.0, seen.1.number));
                let left = |held: &Held| held.soonest.map_or(i32::MAX, |time| time.left(due));
                assert!(0 < left(&known.1) && left(&known.1) <= left(&seen.1));
                stepped_over += known.1.number;
                met += usize::from(known.0 < end);
                // Over the line in which something expires, where there is one.
                from = index.begins(known.0).map_or(known.0 + 1, |(line, _)| line.end);
            }
        }
        assert!(stepped_over > 50_000 && met > 10_000, "{stepped_over}, {met}");
    }
}
