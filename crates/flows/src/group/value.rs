//! What a key of a group holds.

use alloc::boxed::Box;
use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use plimsoll_ct::{Class, Family, Protocol, State};

use crate::{Band, Direction, Net};

/// The value of one key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Not known: the reader did not tell, or nobody was found.
    Missing,
    /// Protocol.
    Protocol(Protocol),
    /// Family.
    Family(Family),
    /// State.
    State(State),
    /// Class.
    Class(Class),
    /// Protocol and destination port; of ICMP its type.
    Service(Protocol, u16),
    /// Port.
    Port(u16),
    /// Address or range of addresses.
    Net(Net),
    /// Direction.
    Direction(Direction),
    /// A name.
    Text(Box<str>),
    /// It is known that there is none: a port of a protocol without ports, a helper.
    Nothing,
    /// Names beyond what there was room for.
    Others,
    /// Zone.
    Zone(u16),
    /// Mark.
    Mark(u32),
    /// Band of ages.
    Band(Band),
}

/// Bytes of names that are kept; a hostile listing may hold a name for each entry.
const ROOM: usize = 4 << 20;

/// Names, each kept once.
#[derive(Debug, Clone)]
pub(super) struct Texts {
    numbers: HashMap<Box<str>, u32, FixedState>,
    names: Vec<Box<str>>,
    room: usize,
}

const NOTHING: u32 = u32::MAX;
const OTHERS: u32 = u32::MAX - 1;

impl Texts {
    pub fn new(seed: u64) -> Self {
        Self {
            numbers: HashMap::with_hasher(FixedState::with_seed(seed)),
            names: Vec::new(),
            room: ROOM,
        }
    }

    pub fn number(&mut self, name: Option<&str>) -> u32 {
        let Some(name) = name else { return NOTHING };
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        // Kept twice, and some bytes around it.
        let cost = 2 * name.len() + 64;
        if cost > self.room {
            return OTHERS;
        }
        self.room -= cost;
        let number = self.names.len() as u32;
        self.names.push(name.into());
        self.numbers.insert(name.into(), number);
        number
    }

    /// The number that a name of ours has in another list.
    pub fn translate(&self, number: u32, other: &mut Self) -> u32 {
        match self.names.get(number as usize) {
            Some(name) => other.number(Some(name)),
            None => number,
        }
    }

    pub fn value(&self, number: u32) -> Value {
        match number {
            NOTHING => Value::Nothing,
            OTHERS => Value::Others,
            number => match self.names.get(number as usize) {
                Some(name) => Value::Text(name.clone()),
                None => Value::Missing,
            },
        }
    }
}
