//! `--help`: what a command does, its flags, and an example.

use std::fmt::Write;
use std::path::Path;

use crate::table::{COMMANDS, Command, Flag, GLOBAL};

/// Columns of a terminal.
const WIDTH: usize = 100;

/// The name that this program was called by: who has put it in runc's place reads runc's name.
pub(crate) fn program() -> String {
    let name = sys::arguments().first().and_then(|path| Path::new(path).file_name());
    name.map_or_else(|| "tare".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The help, of a command or of all. It begins as runc's.
pub(crate) fn help(program: &str, command: Option<&Command>) -> String {
    command.map_or_else(|| of_all(program), |command| of_one(program, command))
}

fn of_all(program: &str) -> String {
    let commands = COMMANDS.iter().map(|command| (command.name.to_owned(), command.about));
    format!(
        "NAME:\n   {program} - Open Container Initiative runtime, with runc's command line\n\n\
         Usage: {program} [OPTIONS] COMMAND [ARGUMENTS]\n\n\
         Commands:\n{}\nOptions:\n{}\n\
         `{program} COMMAND --help` has more, and an example.\n",
        columns(commands),
        columns(GLOBAL.iter().map(row)),
    )
}

fn of_one(program: &str, command: &Command) -> String {
    let Command { name, about, details, positionals, flags, example, .. } = command;
    let usage = format!("{program} {name} [OPTIONS] {positionals}");
    format!(
        "NAME:\n   {program} {name} - {about}\n\nUsage: {}\n\n{}\nOptions:\n{}\nExample:\n  {example}\n",
        usage.trim_end(),
        filled(details),
        columns(flags.iter().map(row)),
    )
}

fn row(flag: &Flag) -> (String, &str) {
    let mut left = match flag.short {
        Some(short) => format!("-{short}, --{}", flag.long),
        None => format!("    --{}", flag.long),
    };
    if let Some(value) = flag.value {
        let _ = write!(left, " <{value}>");
    }
    (left, flag.help)
}

fn columns<'a>(rows: impl Iterator<Item = (String, &'a str)>) -> String {
    let rows: Vec<_> = rows.collect();
    let width = rows.iter().map(|(left, _)| left.len()).max().unwrap_or_default();
    rows.iter().map(|(left, right)| format!("  {left:width$}  {right}\n")).collect()
}

/// A paragraph.
fn filled(text: &str) -> String {
    let mut filled = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        if column > 0 && column + 1 + word.len() > WIDTH {
            filled.push('\n');
            column = 0;
        }
        if column > 0 {
            filled.push(' ');
            column += 1;
        }
        filled.push_str(word);
        column += word.len();
    }
    filled.push('\n');
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_says_what_it_does_and_how() {
        for command in COMMANDS {
            let text = help("tare", Some(command));
            for part in [command.about, command.example, "Usage: tare ", "  -h, --help", "Example:"]
            {
                assert!(text.contains(part), "{}: {part}", command.name);
            }
            assert!(command.example.contains(command.name), "{}", command.name);
            assert!(text.lines().all(|line| line.len() <= 120), "{text}");
            for flag in command.flags {
                assert!(text.contains(&format!("--{}", flag.long)), "{}", flag.long);
            }
        }
        let all = help("tare", None);
        assert!(COMMANDS.iter().all(|command| all.contains(command.about)));
    }
}
