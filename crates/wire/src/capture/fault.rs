//! What can be wrong with a capture.

use core::fmt;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It has no octets at all.
    Empty,
    /// It ends within a record or a block.
    CutOff,
    /// It begins as nothing that is known.
    NoCapture,
    /// Of pcap: neither version 2 nor AIX's.
    PcapVersion,
    /// Of pcap: what no record can be.
    RecordTooLong,
    /// Of pcapng, as all that follow: no number that tells of the order.
    NoByteOrder,
    /// Less than 12, or no multiple of 4.
    BlockLength,
    /// What no block can be.
    BlockTooLong,
    /// A block's length stands at both of its ends.
    LengthsDiffer,
    /// Of less than 28 octets.
    SectionTooShort,
    /// Another version than 1.
    SectionVersion,
    /// More than can be meant.
    TooManyInterfaces,
    /// A description of less than 20 octets.
    InterfaceTooShort,
    /// Its first one is meant, and there is none.
    NoInterface,
    /// A number that no interface has.
    UnknownInterface,
    /// A packet.
    LongerThanBlock,
    /// An option.
    OptionTooLong,
    /// More than 64 bits can count.
    ResolutionTooFine,
    /// It is one octet.
    ResolutionLength,
}

impl Fault {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Empty => "an empty file",
            Self::CutOff => "cut off",
            Self::NoCapture => "neither pcap nor pcapng",
            Self::PcapVersion => "a pcap of another version than 2",
            Self::RecordTooLong => "a record longer than 16 MiB",
            Self::NoByteOrder => "a section header without its byte-order mark",
            Self::BlockLength => "a block length that can't be: less than 12, or no multiple of 4",
            Self::BlockTooLong => "a block longer than 16 MiB",
            Self::LengthsDiffer => "a block whose two lengths differ",
            Self::SectionTooShort => "a section header shorter than 28 octets",
            Self::SectionVersion => "a section of another version than 1",
            Self::TooManyInterfaces => "too many interfaces",
            Self::InterfaceTooShort => "an interface's description shorter than 20 octets",
            Self::NoInterface => "a packet before any interface",
            Self::UnknownInterface => "a packet of an unknown interface",
            Self::LongerThanBlock => "a packet longer than its block",
            Self::OptionTooLong => "an option longer than its block",
            Self::ResolutionTooFine => "a resolution of time too fine for 64 bits",
            Self::ResolutionLength => "a resolution of time that is not one octet",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}
