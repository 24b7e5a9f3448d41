//! Writes the manual pages and the completions of shells, from the table that the program reads:
//! `manual DIRECTORY DATE` (hack/build calls it). Nothing of it is in the program.

use std::error::Error;
use std::path::Path;

use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

#[path = "../src/as_clap.rs"]
mod as_clap;
#[path = "../src/table.rs"]
#[allow(dead_code, reason = "the manual does not complete words")]
mod table;

use table::{COMMANDS, Command};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(directory), Some(date)) = (words.next(), words.next()) else {
        return Err("usage: manual DIRECTORY DATE".into());
    };
    let directory = Path::new(&directory);
    let (pages, completions) = (directory.join("man"), directory.join("completions"));
    std::fs::create_dir_all(&pages)?;
    std::fs::create_dir_all(&completions)?;
    std::fs::write(pages.join("tare.8"), whole(&date)?)?;
    for command in COMMANDS {
        std::fs::write(pages.join(format!("tare-{}.8", command.name)), page(command, &date)?)?;
    }
    for (name, script) in [
        ("tare.bash", include_str!("../completions/tare.bash")),
        ("_tare", include_str!("../completions/_tare")),
        ("tare.fish", include_str!("../completions/tare.fish")),
    ] {
        std::fs::write(completions.join(name), script)?;
    }
    Ok(())
}

/// What clap_mangen writes of a command: the title, the name, and the options.
fn started(command: clap::Command, date: &str) -> Man {
    Man::new(command).section("8").date(date).source("tare").manual("Container runtime")
}

fn section(name: &str, lines: impl IntoIterator<Item = Vec<Inline>>) -> String {
    let mut roff = Roff::new();
    roff.control("SH", [name]);
    for (n, line) in lines.into_iter().enumerate() {
        if n > 0 {
            roff.control("PP", []);
        }
        roff.text(line);
    }
    roff.to_roff()
}

fn example(lines: &str) -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLE"]).control("EX", []);
    roff.text([roman(lines)]).control("EE", []);
    roff.to_roff()
}

fn whole(date: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let man = started(as_clap::tare(), date);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let usage = vec![bold("tare"), roman(" [OPTIONS] COMMAND [ARGUMENTS]")];
    page.extend(section("SYNOPSIS", [usage]).bytes());
    page.extend(section("DESCRIPTION", DESCRIPTION.map(|text| vec![roman(text)])).bytes());
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for command in COMMANDS {
        roff.control("TP", []).text([bold(format!("tare-{}(8)", command.name))]);
        roff.text([roman(command.about)]);
    }
    page.extend(roff.to_roff().bytes());
    man.render_options_section(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in EXIT_STATUS {
        roff.control("TP", []).text([bold(status)]).text([roman(meaning)]);
    }
    roff.control("SH", ["FILES"]);
    for (file, meaning) in FILES {
        roff.control("TP", []).text([italic(file)]).text([roman(meaning)]);
    }
    page.extend(roff.to_roff().bytes());
    page.extend(example("tare run --rootfs /srv/debian box -- cat /etc/os-release").bytes());
    Ok(page)
}

fn page(command: &Command, date: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut all = as_clap::tare();
    let clap = all.find_subcommand_mut(command.name).ok_or("the table has two readers")?;
    let man = started(clap.clone().name(format!("tare-{}", command.name)), date);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let usage = format!(" [OPTIONS] {}", command.positionals);
    let name = format!("tare {}", command.name);
    let usage = vec![bold(name), roman(usage.trim_end())];
    page.extend(section("SYNOPSIS", [usage]).bytes());
    page.extend(section("DESCRIPTION", [vec![roman(command.details)]]).bytes());
    man.render_options_section(&mut page)?;
    page.extend(example(command.example).bytes());
    let see = vec![bold("tare"), roman("(8), which has the options of all commands")];
    page.extend(section("SEE ALSO", [see]).bytes());
    Ok(page)
}

const DESCRIPTION: [&str; 2] = [
    "tare makes containers of bundles: directories with a config.json, as the OCI runtime \
     specification has it, and a root file system. Its command line is that of runc, in whose place \
     podman, containerd, Docker and CRI-O call it.",
    "Flags may be written with one dash or two, their values behind a space or an equals sign, and may \
     come behind the container's id. The options below come before the command, or behind it.",
];

const EXIT_STATUS: [(&str, &str); 5] = [
    ("0", "It is done; for run and exec in the foreground: the process ended with 0."),
    ("1", "It failed: one line on standard error, and in the log, says why."),
    ("3", "There is no such command."),
    ("255", "exec: the process could not be set up."),
    (
        "others",
        "run and exec in the foreground: the process's status, or 128 and the number of the signal that ended it.",
    ),
];

const FILES: [(&str, &str); 2] = [
    ("/run/tare", "what is kept of containers: of root's"),
    ("$XDG_RUNTIME_DIR/tare", "of a user's"),
];
