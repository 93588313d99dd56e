//! What a guest wrote to its second serial port, as files.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The files of one guest.
pub struct Outcome {
    place: PathBuf,
}

/// One look: what `check --json` said and how it ended.
pub struct Look {
    /// The JSON.
    pub value: Value,
    /// The exit status.
    pub status: Option<i32>,
}

impl Outcome {
    /// The files below `place`. A guest that wrote none showed nothing.
    pub fn read(place: &Path) -> Result<Self, String> {
        let some = fs::read_dir(place).map_err(|e| format!("{}: {e}", place.display()))?.count();
        if some == 0 {
            return Err(format!("{}: the guest wrote nothing", place.display()));
        }
        Ok(Self { place: place.into() })
    }

    /// Where they lie.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// A file's text; what the scene did not write is a fault.
    pub fn text(&self, name: &str) -> Result<String, String> {
        let bytes = fs::read(self.place.join(name)).map_err(|e| format!("{name}: {e}"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A look by its name in the scene.
    pub fn look(&self, name: &str) -> Result<Look, String> {
        let text = self.text(&format!("{name}.json"))?;
        let complaint = self.text(&format!("{name}.err"))?;
        let value = serde_json::from_str(&text)
            .map_err(|e| format!("{name}: {e}: {text:.200} {complaint:.500}"))?;
        let status = self.text(&format!("{name}.status"))?.trim().parse().ok();
        Ok(Look { value, status })
    }

    /// Files of a directory of the scene, by name.
    pub fn files(&self, directory: &str) -> Result<Vec<(String, String)>, String> {
        let entries =
            fs::read_dir(self.place.join(directory)).map_err(|e| format!("{directory}: {e}"))?;
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| format!("{directory}: {e}"))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let text = self.text(&format!("{directory}/{name}"))?;
            files.push((name, text));
        }
        files.sort();
        Ok(files)
    }
}

impl Look {
    /// Ids of the findings, in order.
    pub fn ids(&self) -> Vec<&str> {
        self.value["findings"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|f| f["id"].as_str())
            .collect()
    }

    /// The finding of this id.
    pub fn finding(&self, id: &str) -> Option<&Value> {
        self.value["findings"].as_array()?.iter().find(|f| f["id"] == id)
    }

    /// A piece of evidence of a finding.
    pub fn evidence(&self, id: &str, what: &str) -> Option<&Value> {
        self.finding(id)?["evidence"]
            .as_array()?
            .iter()
            .find(|e| e["what"] == what)
            .map(|e| &e["value"])
    }

    /// Commands of a remedy, one a line.
    pub fn commands(&self, remedy: &str) -> String {
        self.value["remedies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|r| r["id"] == remedy)
            .flat_map(|r| r["commands"].as_array().into_iter().flatten())
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The namespace of this name.
    pub fn namespace(&self, name: &str) -> &Value {
        let all = self.value["namespaces"].as_array();
        all.into_iter().flatten().find(|n| n["name"] == name).unwrap_or(&Value::Null)
    }

    /// What was missing, as `fact: reason`.
    pub fn missing(&self) -> Vec<String> {
        let word = |m: &Value, key: &str| m[key].as_str().unwrap_or_default().to_owned();
        self.value["missing"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|m| format!("{}: {}", word(m, "fact"), word(m, "reason")))
            .collect()
    }
}
