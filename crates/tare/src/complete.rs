//! How a half-typed line may go on, for shells.
//!
//! A shell's part is a few lines (`completions/`, printed by `tare completion SHELL`): it hands the
//! words before the cursor to `tare __complete` and gets a line for each candidate, the word and, behind
//! a tab, what it is. A line of [`FILES`] or [`DIRECTORIES`] alone asks the shell for names of its own.

use std::fmt::Write;

use engine::Store;

use crate::args::{Typed, find, is_flag};
use crate::table::{COMMANDS, Command, Flag, GLOBAL, Takes};

const FILES: &str = ":files\n";
const DIRECTORIES: &str = ":directories\n";

/// The script for a shell.
pub(crate) fn script(shell: &str) -> Option<&'static str> {
    Some(match shell {
        "bash" => include_str!("../completions/tare.bash"),
        "zsh" => include_str!("../completions/_tare"),
        "fish" => include_str!("../completions/tare.fish"),
        _ => return None,
    })
}

/// The candidates for the last of `words`, which may be empty.
pub(crate) fn candidates(words: &[String]) -> String {
    let Some((word, before)) = words.split_last() else {
        return String::new();
    };
    let line = Line::read(before);
    if let Some(flag) = line.wants {
        return line.values(flag.takes(), "");
    }
    if word.starts_with('-') && !line.only_positionals {
        if let Some((name, _)) = word.split_once('=') {
            let flag = line.find(Typed::split(word));
            let takes = flag.map_or(Takes::Nothing, Flag::takes);
            return line.values(takes, &format!("{name}="));
        }
        return flags(line.command.map_or(GLOBAL, |command| command.flags));
    }
    match line.command {
        Some(_) if line.help => String::new(),
        Some(command) => line.values(positional(command, line.positionals), ""),
        None => commands(line.help),
    }
}

/// What may stand at a place behind the command.
fn positional(command: &'static Command, place: usize) -> Takes {
    command.positionals.split(' ').nth(place).map_or(Takes::Nothing, Takes::of)
}

/// The words before the one that is completed.
#[derive(Debug, Default)]
struct Line {
    command: Option<&'static Command>,
    root: Option<String>,
    positionals: usize,
    /// Behind two dashes, or in the words of another command.
    only_positionals: bool,
    /// The last word is a flag that wants a value.
    wants: Option<&'static Flag>,
    /// `help` stands before it.
    help: bool,
}

impl Line {
    fn read(words: &[String]) -> Line {
        let mut line = Line::default();
        for word in words {
            line.take(word);
        }
        line
    }

    fn take(&mut self, word: &str) {
        if let Some(flag) = self.wants.take() {
            if flag.long == "root" {
                self.root = Some(word.to_owned());
            }
            return;
        }
        if word == "--" {
            self.only_positionals = true;
        } else if is_flag(word) && !self.only_positionals {
            self.take_flag(Typed::split(word));
        } else if let Some(command) = self.command {
            self.positionals += 1;
            self.only_positionals |= command.rest_is_positional;
        } else if word == "help" {
            self.help = true;
        } else {
            self.command = find(word);
        }
    }

    fn take_flag(&mut self, typed: Typed<'_>) {
        let flag = self.find(typed).filter(|flag| flag.value.is_some());
        match (flag, typed.inline) {
            (Some(flag), None) => self.wants = Some(flag),
            (Some(Flag { long: "root", .. }), Some(root)) => self.root = Some(root.to_owned()),
            _ => {}
        }
    }

    fn find(&self, typed: Typed<'_>) -> Option<&'static Flag> {
        let own = self.command.and_then(|command| typed.find(command.flags));
        own.or_else(|| typed.find(GLOBAL))
    }

    /// What may stand in a place, each candidate behind `prefix`.
    fn values(&self, takes: Takes, prefix: &str) -> String {
        let list = |names: &mut dyn Iterator<Item = &str>| {
            names.map(|name| format!("{prefix}{name}\n")).collect()
        };
        match takes {
            Takes::Nothing | Takes::Text | Takes::Number => String::new(),
            Takes::File => FILES.to_owned(),
            Takes::Directory => DIRECTORIES.to_owned(),
            Takes::OneOf(names) => list(&mut names.split('|')),
            Takes::Signal => list(&mut plan::names::SIGNALS.iter().map(|(name, _)| *name)),
            Takes::Container => self.containers(),
        }
    }

    /// The ids of the containers, with their status.
    fn containers(&self) -> String {
        let Ok(store) = crate::commands::store_at(self.root.as_deref()) else {
            return String::new();
        };
        let mut lines = String::new();
        for id in store.ids().unwrap_or_default() {
            let status = status(&store, &id).unwrap_or("container");
            let _ = writeln!(lines, "{id}\t{status}");
        }
        lines
    }
}

fn status(store: &Store, id: &str) -> engine::Result<&'static str> {
    let dir = store.container(id)?;
    let bytes = dir.read_record()?;
    Ok(engine::status(&dir, &bytes.record()?)?.as_str())
}

fn commands(for_help: bool) -> String {
    let help = ("help", "show the help of a command");
    let commands = COMMANDS.iter().map(|command| (command.name, command.about));
    commands
        .chain((!for_help).then_some(help))
        .map(|(name, about)| format!("{name}\t{about}\n"))
        .collect()
}

fn flags(flags: &[Flag]) -> String {
    flags.iter().map(|flag| format!("--{}\t{}\n", flag.long, flag.help)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The candidates' words, for a line whose last word is the one behind the last space.
    fn of(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let word = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
        candidates(&words).lines().map(word).collect()
    }

    #[test]
    fn commands_and_their_flags() {
        assert_eq!(of("").len(), COMMANDS.len() + 1);
        assert_eq!(of("help ").len(), COMMANDS.len());
        assert_eq!(of("--debug --root /r ").len(), COMMANDS.len() + 1);
        assert!(of("-").contains(&"--systemd-cgroup".to_owned()));
        assert!(of("run --bundle /b --").contains(&"--detach".to_owned()));
        assert!(of("delete -").contains(&"--force".to_owned()));
    }

    #[test]
    fn values_of_flags() {
        assert_eq!(of("run --bundle "), [":directories"]);
        assert_eq!(of("run -b "), [":directories"]);
        assert_eq!(of("--log "), [":files"]);
        assert_eq!(of("list -f "), ["table", "json"]);
        assert_eq!(of("list --format="), ["--format=table", "--format=json"]);
        assert_eq!(of("--log-format "), ["text", "json"]);
        assert_eq!(of("update --pids-limit "), [""; 0]);
    }

    #[test]
    fn positional_arguments() {
        assert!(of("kill web ").contains(&"TERM".to_owned()));
        assert_eq!(of("completion "), ["bash", "zsh", "fish"]);
        for line in ["exec web ", "exec web ls -", "run box -- ", "kill web TERM ", "help run "] {
            assert_eq!(of(line), [""; 0], "{line}");
        }
        assert_eq!(of("--root /no/such kill "), [""; 0]);
    }

    #[test]
    fn every_shell_of_the_table_has_its_script() {
        let command = find("completion").unwrap();
        for shell in command.positionals.split('|') {
            assert!(script(shell).unwrap().contains(crate::args::COMPLETE), "{shell}");
        }
    }
}
