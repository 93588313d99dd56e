//! Entries and groups of entries: a table for people, and columns for machines.
//!
//! The columns stand in one list ([`COLUMNS`]); JSON lines, CSV and Parquet are made of it.

mod columns;
mod csv;
mod entries;
mod groups;
mod json;
#[cfg(test)]
mod tests;

pub use columns::{COLUMNS, Cell, Column, GROUP_COLUMNS, Kind, group_cells, key_kind, key_name};
pub use csv::{csv_header, csv_row};
pub use entries::{entries_header, entry_lines, event_line};
pub use groups::groups_table;
pub use json::json_row;
