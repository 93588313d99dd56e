//! Everything CI does, runnable at home: `cargo xtask help`.

mod alone;
mod arrows;
mod bare;
mod bpf;
mod ci;
mod fuzz;
mod guests;
mod readme;
mod reboot;
mod run;
mod tests;
mod tools;
mod typed;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <task>

  test           install what the tests need (or say what is missing), then run them all
  arrows         hold the crates' dependencies to docs/ARCHITECTURE.md
  bare           check the core for a microcontroller: no standard library, 32 bits
  bpf [check]    build the BPF objects, or hold the committed ones to their source
  readme         hold README.md and README.zh-CN.md in step, and the tasks that documents name to those there are
  static [guest] build the program as one file for hosts that have nothing else, and run it on an empty root
  guests [LINE…] boot other kernels and run the check in them (default: 5.10 6.1 6.12 6.18 7.3)
  reboot [CASE…] foretell the next boot of a Debian in virtual machines, reboot them, compare (fixtures/boot)
  fuzz [SECS]    run every fuzz target for SECS seconds (default 10)
  fidelity ...   the kernel and the model side by side: `scripts [N] [SEED]`, `rare`, `full`, `occupancy`, or
                 captures; `--guest LINE ...` in a virtual machine with another kernel
  lint           format, clippy (of the fuzz targets, too), docs, arrows, bare, bpf, readme
  ci             lint and test, beside them static, guests and reboot, then fuzz: what .ci/run calls
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let result = match task.as_str() {
        "test" => tests::run(),
        "arrows" => arrows::check(),
        "bare" => bare::check(),
        "bpf" => match arguments.next().as_deref() {
            None => bpf::build(),
            Some("check") => bpf::check(),
            Some(other) => Err(format!("bpf: expected `check` or nothing, saw {other:?}")),
        },
        "readme" => readme::check().and_then(|()| typed::check(HELP)),
        "fuzz" => fuzz_seconds(arguments.next()).and_then(fuzz::run),
        "fidelity" => fidelity(arguments.collect()),
        "lint" => lint(),
        "static" => alone::run(arguments.next().as_deref().unwrap_or("release")),
        "guests" => guests::run(&arguments.collect::<Vec<_>>()),
        "reboot" => reboot::run(&arguments.collect::<Vec<_>>()),
        "ci" => ci::run(),
        "" | "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("no task {other:?}\n\n{HELP}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Whom `fidelity occupancy` watches.
const SERVERS: &[(&str, &str)] =
    &[("nginx", "nginx-light"), ("dnsmasq", "dnsmasq-base"), ("tcpdump", "tcpdump")];

/// Needs root: it makes network namespaces. In a guest it is another kernel that is compared.
fn fidelity(arguments: Vec<String>) -> Result<(), String> {
    if arguments.first().is_some_and(|a| a == "--guest") {
        let line = arguments.get(1).ok_or("fidelity --guest: expected a line of kernels: 6.1")?;
        return guests::fidelity::run(line, &arguments[2..]);
    }
    if arguments.first().is_some_and(|a| a == "occupancy") {
        tools::provide_these(SERVERS)?;
    }
    let mut command = vec!["run", "--quiet", "--release", "-p", "plimsoll-fidelity", "--"];
    command.extend(arguments.iter().map(String::as_str));
    run::cargo(&command)
}

fn fuzz_seconds(argument: Option<String>) -> Result<u64, String> {
    argument.map_or(Ok(10), |text| {
        text.parse().map_err(|_| format!("fuzz: expected seconds, saw {text:?}"))
    })
}

fn lint() -> Result<(), String> {
    run::cargo(&["fmt", "--all", "--check"])?;
    run::cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    fuzz::check()?;
    run::cargo_with(
        &["doc", "--workspace", "--no-deps", "--quiet"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )?;
    arrows::check()?;
    bare::check()?;
    bpf::check()?;
    readme::check()?;
    typed::check(HELP)
}
