//! What the documents tell people to type behind `cargo` is there: tasks, benches and tests. What they type behind `plimsoll` is
//! held by the program's own tests.

use std::fs;
use std::path::PathBuf;

use crate::run;

/// Fails where a document names a task, bench or test that does not exist.
pub fn check(help: &str) -> Result<(), String> {
    let tasks: Vec<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter_map(|line| line.split(' ').next())
        .filter(|word| !word.is_empty())
        .collect();
    let mut found = 0;
    for place in documents()? {
        let text = fs::read_to_string(&place).map_err(|e| format!("{}: {e}", place.display()))?;
        // A command may go over the end of a line.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for rest in text.split("cargo ").skip(1) {
            let words: Vec<&str> = rest.split([' ', '`', ')', ',', ';', '<']).take(5).collect();
            if let Some(lacking) = lacking(&words, &tasks) {
                return Err(format!("{}: cargo {}: {lacking}", place.display(), words.join(" ")));
            }
            found += usize::from(matches!(words[0], "xtask" | "bench" | "test" | "plimsoll"));
        }
    }
    if found < 40 {
        return Err(format!(
            "only {found} commands of cargo in the documents: how are they written now?"
        ));
    }
    eprintln!("xtask: {found} commands of cargo in the documents are there");
    Ok(())
}

/// What a command names that is not there.
fn lacking(words: &[&str], tasks: &[&str]) -> Option<String> {
    match words {
        ["xtask", task, ..] if task.starts_with(|c: char| c.is_ascii_lowercase()) => {
            (!tasks.contains(task)).then(|| format!("no task {task}"))
        }
        ["bench" | "test", "-p", package, rest @ ..] => {
            let folder = run::root().join("crates").join(package.trim_start_matches("plimsoll-"));
            let (place, name) = match rest {
                ["--bench", name, ..] => (folder.join("benches"), *name),
                ["--test", name, ..] => (folder.join("tests"), *name),
                _ => (folder, "src"),
            };
            let there = place.join(name).is_dir() || place.join(format!("{name}.rs")).is_file();
            (!there).then(|| format!("no {}", place.join(name).display()))
        }
        _ => None,
    }
}

fn documents() -> Result<Vec<PathBuf>, String> {
    let (mut places, mut folders) = (Vec::new(), vec![run::root()]);
    while let Some(folder) = folders.pop() {
        let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, name) = (entry.path(), entry.file_name());
            let ours = name != "target" && !name.as_encoded_bytes().starts_with(b".");
            if ours && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                places.push(path);
            }
        }
    }
    Ok(places)
}
