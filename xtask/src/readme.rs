//! README.md and README.zh-CN.md say the same: same sections in number and depth, same code blocks to the
//! letter, same links to the same places.

use std::fs;

use crate::run;

/// What must be equal in both.
#[derive(Debug, PartialEq, Eq)]
struct Skeleton {
    headings: Vec<usize>,
    code: Vec<String>,
    tables: Vec<usize>,
    links: Vec<String>,
}

/// Fails where the two differ, naming the first difference.
pub fn check() -> Result<(), String> {
    let read =
        |name: &str| fs::read_to_string(run::root().join(name)).map_err(|e| format!("{name}: {e}"));
    let english = skeleton(&read("README.md")?);
    let chinese = skeleton(&read("README.zh-CN.md")?);
    let pairs = [
        ("headings", format!("{:?}", english.headings), format!("{:?}", chinese.headings)),
        ("table rows", format!("{:?}", english.tables), format!("{:?}", chinese.tables)),
        ("links", english.links.join("\n"), chinese.links.join("\n")),
        ("code blocks", english.code.join("\n"), chinese.code.join("\n")),
    ];
    for (what, ours, theirs) in pairs {
        if ours != theirs {
            let at = ours.lines().zip(theirs.lines()).find(|(a, b)| a != b);
            return Err(format!(
                "README.md and README.zh-CN.md differ in {what}: {}",
                at.map_or("one has more".into(), |(a, b)| format!("{a:?} against {b:?}"))
            ));
        }
    }
    eprintln!("xtask: README.md and README.zh-CN.md are in step");
    Ok(())
}

fn skeleton(text: &str) -> Skeleton {
    let mut s =
        Skeleton { headings: Vec::new(), code: Vec::new(), tables: Vec::new(), links: Vec::new() };
    let (mut in_code, mut shown) = (false, false);
    for line in text.lines() {
        if line.starts_with("```") {
            (in_code, shown) = (!in_code, false);
            s.code.push(line.into());
        } else if in_code {
            // What is printed is in the language of its reader, and a test holds it against the program.
            let typed = line.starts_with("$ plimsoll ") || line.starts_with("# plimsoll ");
            if typed || !shown {
                s.code.push(line.replace(" --lang zh", ""));
            }
            shown |= typed;
        } else {
            let depth = line.bytes().take_while(|&b| b == b'#').count();
            if depth > 0 {
                s.headings.push(depth);
            }
            if line.starts_with('|') {
                s.tables.push(line.matches('|').count());
            }
            // Links between the two twins point at each other and so differ.
            s.links.extend(
                line.split("](")
                    .skip(1)
                    .filter_map(|rest| rest.split(')').next())
                    .filter(|target| !target.starts_with("README"))
                    // A document that has a twin is linked in the language of its reader.
                    .map(|target| target.replace(".zh-CN.md", ".md")),
            );
        }
    }
    s.links.sort();
    s
}
