//! `-o FORM`: what is printed.

use std::str::FromStr;

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

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut form = None;
        let mut tool = Tool::default();
        let mut options = false;
        for word in text.split(',') {
            match word {
                "table" => form = Some(Self::Table),
                "json" => form = Some(Self::Json),
                "csv" => form = Some(Self::Csv),
                "parquet" => form = Some(Self::Parquet),
                "proc" => form = Some(Self::Proc),
                "conntrack" => form = Some(Self::Conntrack(tool)),
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
                            return Err(format!(
                                "expected table, json, csv, parquet, proc or conntrack, or with \
                                 commas between them extended, id, ktimestamp, timestamp, labels, \
                                 save, xml as conntrack(8) has them; saw {other:?}"
                            ));
                        }
                    } = true;
                }
            }
        }
        match form {
            None | Some(Self::Conntrack(_))
                if tool.save && tool != (Tool { save: true, ..Tool::default() }) =>
            {
                Err("save goes with no other option, as with conntrack(8)".into())
            }
            None | Some(Self::Conntrack(_)) => Ok(Self::Conntrack(tool)),
            Some(_) if options => Err("extended, id, … are options of conntrack only".into()),
            Some(form) => Ok(form),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_conntrack_stand_with_its_name_and_without() {
        let tool = Tool { extended: true, id: true, ..Tool::default() };
        assert_eq!("extended,id".parse(), Ok(Form::Conntrack(tool)));
        assert_eq!("conntrack,extended,id".parse(), Ok(Form::Conntrack(tool)));
        assert_eq!("json".parse(), Ok(Form::Json));
        for wrong in ["", "jsn", "json,id", "save,id", "proc,xml"] {
            assert!(wrong.parse::<Form>().is_err(), "{wrong}");
        }
    }
}
