//! Rows to Apache Parquet, a group of rows at a time, so that memory does not grow with the table.

use std::fmt;
use std::io::{self, Write as _};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use plimsoll_report::flows::{COLUMNS, Cell, Kind};

/// Rows of one group: a few MiB of cells.
const ROWS: usize = 16_384;

/// A file being written to standard output.
pub struct Table {
    writer: SerializedFileWriter<io::Stdout>,
    columns: Vec<Values>,
    rows: usize,
}

/// Cells of one column that wait to be written; a level of 0 stands for one that is missing.
enum Values {
    Flag(Vec<bool>, Vec<i16>),
    Number(Vec<i64>, Vec<i16>),
    Share(Vec<f64>, Vec<i16>),
    Text(Texts, Vec<i16>),
}

/// Texts one behind another: a row costs its octets and no allocation.
#[derive(Default)]
struct Texts {
    octets: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Table {
    /// A file with the columns of entries.
    pub fn of_entries() -> io::Result<Self> {
        Self::new(
            &COLUMNS.iter().map(|column| (column.name.into(), column.kind)).collect::<Vec<_>>(),
        )
    }

    /// A file with these columns.
    pub fn new(columns: &[(String, Kind)]) -> io::Result<Self> {
        let fields = columns.iter().map(|(name, kind)| field(name, *kind).map(Arc::new));
        let fields = fields.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
        let schema = Type::group_type_builder("plimsoll").with_fields(fields).build();
        let schema = schema.map_err(io::Error::other)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(format!("plimsoll {}", env!("CARGO_PKG_VERSION")))
            .build();
        let writer =
            SerializedFileWriter::new(io::stdout(), Arc::new(schema), Arc::new(properties));
        Ok(Self {
            writer: writer.map_err(io::Error::other)?,
            columns: columns.iter().map(|(_, kind)| Values::new(*kind)).collect(),
            rows: 0,
        })
    }

    /// Takes a row: one cell for each column.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = Cell<'a>>) -> io::Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            column.push(cell);
        }
        self.rows += 1;
        if self.rows == ROWS { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        let mut group = self.writer.next_row_group().map_err(io::Error::other)?;
        let mut columns = self.columns.iter_mut();
        while let Some(mut writer) = group.next_column().map_err(io::Error::other)? {
            if let Some(column) = columns.next() {
                column.write(&mut writer)?;
            }
            writer.close().map_err(io::Error::other)?;
        }
        group.close().map_err(io::Error::other)?;
        self.rows = 0;
        Ok(())
    }

    /// Writes the rest and the end of the file.
    pub fn finish(mut self) -> io::Result<()> {
        if self.rows > 0 {
            self.write()?;
        }
        self.writer.close().map(|_| ()).map_err(io::Error::other)
    }
}

fn field(name: &str, kind: Kind) -> parquet::errors::Result<Type> {
    let (physical, logical) = match kind {
        Kind::Flag => (Physical::BOOLEAN, None),
        Kind::Number => (Physical::INT64, Some(LogicalType::integer(64, false))),
        Kind::Share => (Physical::DOUBLE, None),
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()
}

impl Values {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Flag => Self::Flag(Vec::new(), Vec::new()),
            Kind::Number => Self::Number(Vec::new(), Vec::new()),
            Kind::Share => Self::Share(Vec::new(), Vec::new()),
            Kind::Text => Self::Text(Texts::default(), Vec::new()),
        }
    }

    fn push(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Self::Flag(values, levels), Cell::Flag(yes)) => add(values, levels, yes),
            (Self::Number(values, levels), Cell::Number(n)) => {
                // The bits of an unsigned number, as the logical type says.
                add(values, levels, n.cast_signed());
            }
            (Self::Share(values, levels), Cell::Share(share)) => add(values, levels, share),
            (Self::Text(values, levels), Cell::Text(text)) => values.add(levels, text),
            (Self::Text(values, levels), Cell::Address(address)) => values.add(levels, address),
            (Self::Flag(_, levels), _)
            | (Self::Number(_, levels), _)
            | (Self::Share(_, levels), _)
            | (Self::Text(_, levels), _) => levels.push(0),
        }
    }

    fn write(&mut self, writer: &mut SerializedColumnWriter<'_>) -> io::Result<()> {
        match self {
            Self::Flag(values, levels) => batch::<BoolType>(writer, values, levels),
            Self::Number(values, levels) => batch::<Int64Type>(writer, values, levels),
            Self::Share(values, levels) => batch::<DoubleType>(writer, values, levels),
            Self::Text(values, levels) => {
                batch::<ByteArrayType>(writer, &mut values.take(), levels)
            }
        }
    }
}

impl Texts {
    fn add(&mut self, levels: &mut Vec<i16>, text: impl fmt::Display) {
        // Writing to memory does not fail.
        let _ = write!(self.octets, "{text}");
        self.ends.push(self.octets.len());
        levels.push(1);
    }

    /// The texts, all in one piece of memory; none is left.
    fn take(&mut self) -> Vec<ByteArray> {
        let room = self.octets.len();
        let whole = ByteArray::from(std::mem::replace(&mut self.octets, Vec::with_capacity(room)));
        let mut begin = 0;
        let texts = self.ends.drain(..).map(|end| {
            let text = whole.slice(begin, end - begin);
            begin = end;
            text
        });
        texts.collect()
    }
}

fn add<T>(values: &mut Vec<T>, levels: &mut Vec<i16>, value: T) {
    values.push(value);
    levels.push(1);
}

fn batch<T: DataType>(
    writer: &mut SerializedColumnWriter<'_>,
    values: &mut Vec<T::T>,
    levels: &mut Vec<i16>,
) -> io::Result<()> {
    let written = writer.typed::<T>().write_batch(values, Some(levels), None);
    values.clear();
    levels.clear();
    written.map(|_| ()).map_err(io::Error::other)
}
