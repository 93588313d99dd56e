//! `-o FORM`: what is printed.

use std::str::FromStr;

use plimsoll_diagnosis::{Said, said};

/// How entries are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A table for people.
    Table,
    /// One JSON object a line.
    Json,
    /// Comma-separated values.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// As conntrack(8) prints them.
    Conntrack(Tool),
    /// As /proc/net/nf_conntrack shows them.
    Proc,
}

/// What is printed of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// How.
    pub form: Form,
    /// With their ids, which only ctnetlink tells.
    pub id: bool,
}

impl From<Form> for Output {
    fn from(form: Form) -> Self {
        Self { form, id: matches!(form, Form::Conntrack(tool) if tool.id || tool.xml) }
    }
}

/// The `-o` options of conntrack(8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tool {
    /// The family in front.
    pub extended: bool,
    /// `id=`
    pub id: bool,
    /// `[start=…]`
    pub ktimestamp: bool,
    /// Time of an event.
    pub timestamp: bool,
    /// `labels=`
    pub labels: bool,
    /// Command lines.
    pub save: bool,
    /// XML.
    pub xml: bool,
}

impl FromStr for Output {
    type Err = Said;

    fn from_str(text: &str) -> Result<Self, Said> {
        let mut form = None;
        let mut tool = Tool::default();
        let mut options = false;
        for word in text.split(',') {
            match word {
                "table" => form = Some(Form::Table),
                "json" => form = Some(Form::Json),
                "csv" => form = Some(Form::Csv),
                "parquet" => form = Some(Form::Parquet),
                "proc" => form = Some(Form::Proc),
                "conntrack" => form = Some(Form::Conntrack(tool)),
                option => {
                    options = true;
                    *match option {
                        "extended" => &mut tool.extended,
                        "id" => &mut tool.id,
                        "ktimestamp" => &mut tool.ktimestamp,
                        "timestamp" => &mut tool.timestamp,
                        "labels" => &mut tool.labels,
                        "save" => &mut tool.save,
                        "xml" => &mut tool.xml,
                        other => {
                            return Err(said!(
                                "expected table, json, csv, parquet, proc or conntrack, or with \
                                 commas between them extended, id, ktimestamp, timestamp, labels, \
                                 save, xml as conntrack(8) has them; saw {other:?}",
                                "应为 table、json、csv、parquet、proc 或 conntrack，或用逗号连接的 \
                                 extended、id、ktimestamp、timestamp、labels、save、xml（同 \
                                 conntrack(8)）；实为 {other:?}"
                            ));
                        }
                    } = true;
                }
            }
        }
        match form {
            None | Some(Form::Conntrack(_))
                if tool.save && tool != (Tool { save: true, ..Tool::default() }) =>
            {
                Err(Said::of(
                    "save goes with no other option, as with conntrack(8)",
                    "save 不能与其他选项一起用，与 conntrack(8) 相同",
                ))
            }
            None | Some(Form::Conntrack(_)) => Ok(Form::Conntrack(tool).into()),
            Some(form @ (Form::Json | Form::Csv | Form::Parquet))
                if tool == (Tool { id: true, ..Tool::default() }) =>
            {
                Ok(Self { form, id: true })
            }
            Some(_) if options => Err(Said::of(
                "extended, ktimestamp, … are options of conntrack only, id of json, csv and parquet as well",
                "extended、ktimestamp …… 只是 conntrack 的选项；id 也可用于 json、csv 和 parquet",
            )),
            Some(form) => Ok(form.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_conntrack_stand_with_its_name_and_without() {
        let parse = str::parse::<Output>;
        let tool = Tool { extended: true, id: true, ..Tool::default() };
        let expected = Output { form: Form::Conntrack(tool), id: true };
        assert_eq!(parse("extended,id"), Ok(expected));
        assert_eq!(parse("conntrack,extended,id"), Ok(expected));
        assert_eq!(parse("json"), Ok(Output { form: Form::Json, id: false }));
        assert_eq!(parse("csv,id"), Ok(Output { form: Form::Csv, id: true }));
        for wrong in ["", "jsn", "json,extended", "json,id,xml", "table,id", "save,id", "proc,xml"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
