//! Groups to bytes, in every form.

use std::io;

use plimsoll_flows::{Group, Groups, Names};
use plimsoll_report::flows::{
    Cell, GROUP_COLUMNS, Kind, csv_header, csv_row, group_cells, groups_table, json_row, key_kind,
    key_name,
};
use plimsoll_report::number::{count, counted};
use plimsoll_report::{Style, spoken};

use super::arguments::Flows;
use super::form::Form;
use super::parquet::Table;
use super::pipe::Out;

/// Groups that the table shows when nobody says how many.
const TOP: usize = 20;

/// Prints the groups.
pub fn print(
    arguments: &Flows,
    form: Form,
    groups: &Groups,
    names: &Names,
    style: &Style,
) -> io::Result<()> {
    let order = arguments.sort;
    let mut out = Out::new();
    let all = groups.total().entries;
    if form == Form::Table {
        let top = arguments.top.unwrap_or(TOP);
        let shown: Vec<Group> = groups.rows(order, Some(top)).collect();
        let table = groups_table(groups.keys(), &shown, all, names, style);
        out.buffer().extend_from_slice(table.as_bytes());
        if groups.len() > shown.len() {
            let more = groups.len() - shown.len();
            let rest = all - shown.iter().map(|group| group.tally.entries).sum::<u64>();
            let others = counted(more as u64, "more group", "more groups");
            let more = count(more as u64);
            let (entries, n) = (counted(rest, "entry", "entries"), count(rest));
            let line = spoken!(
                style.language,
                "and {others} with {entries} (--top)\n",
                "另有 {more} 组，共 {n} 个条目（--top）\n"
            );
            out.buffer().extend_from_slice(line.as_bytes());
        }
        return out.flush();
    }
    let mut columns: Vec<(String, Kind)> =
        groups.keys().list().iter().map(|key| (key_name(key), key_kind(key))).collect();
    columns.extend(GROUP_COLUMNS.iter().map(|(name, kind, _)| ((*name).to_owned(), *kind)));
    let mut parquet = match form {
        Form::Parquet => Some(Table::new(&columns)?),
        Form::Csv => {
            csv_header(out.buffer(), columns.iter().map(|(name, _)| name.as_str()));
            None
        }
        Form::Table | Form::Json | Form::Conntrack(_) | Form::Proc => None,
    };
    for group in groups.rows(order, arguments.top) {
        let cells: Vec<Cell<'static>> = group_cells(&group, all, names);
        match &mut parquet {
            Some(table) => table.row(cells)?,
            None if form == Form::Csv => csv_row(out.buffer(), cells),
            None => {
                let names = columns.iter().map(|(name, _)| name.as_str());
                json_row(out.buffer(), names.zip(cells));
            }
        }
        out.step()?;
    }
    if let Some(table) = parquet {
        table.finish()?;
    }
    out.flush()
}
