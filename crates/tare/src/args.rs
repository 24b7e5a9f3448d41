//! From words to a command: a parser for the [`table`](crate::table) in the manner of Go's flags,
//! which runc's callers use: one or two dashes, `--name value` or `--name=value`, flags also behind
//! positional arguments.
//!
//! It is a parser of our own since engines start this program hundreds of times a second: it costs
//! a fortieth of the instructions of clap's. clap reads the same table where the manual is made, and
//! a property test holds that both read a line alike (`docs/decisions/0002-command-line.md`).

use crate::report::{Level, LogOptions};
use crate::table::{COMMANDS, Command, Flag, GLOBAL, Takes};

/// What was typed.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// Flags before the command.
    pub(crate) global: Values,
    /// The command.
    pub(crate) command: &'static Command,
    /// Its flags.
    pub(crate) flags: Values,
    /// Its positional arguments.
    pub(crate) positionals: Vec<String>,
}

/// Why there is nothing to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The help was asked for: of a command, or of all.
    Help(Option<&'static str>),
    /// The version was asked for.
    Version,
    /// The words make no sense: what is wrong, and with which command.
    Usage { sentence: String, command: Option<&'static str> },
    /// No such command.
    UnknownCommand(String),
    /// A shell asks how these words may go on.
    Complete(Vec<String>),
}

/// Flags with their values, in the order in which they were typed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Values(Vec<(&'static str, String)>);

impl Values {
    /// The last value of a flag.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }

    /// The same, of a flag whose empty value is none, as in runc.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// All values of a flag.
    pub(crate) fn all<'v>(&'v self, name: &'v str) -> impl Iterator<Item = &'v str> {
        self.0.iter().filter(move |(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }

    /// Whether a switch is on.
    pub(crate) fn on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value == "true")
    }
}

/// The word before those of a half-typed line, which a shell wants completed.
pub(crate) const COMPLETE: &str = "__complete";

/// Reads the words behind the program's name.
///
/// The options of the log come back in any case: a mistake in the words goes there, too.
pub(crate) fn parse(words: &[String]) -> (LogOptions, Result<Parsed, Stop>) {
    let mut words = words.iter();
    let mut global = Values::default();
    let command = read_globals(&mut words, &mut global);
    let read = command.and_then(|command| {
        let (flags, positionals) = read_command(command, &mut words, &mut global)?;
        Ok((command, flags, positionals))
    });
    let log = LogOptions {
        to: global.get("log").map(str::to_owned),
        json: global.get("log-format") == Some("json"),
        level: match global.get("log-level") {
            _ if global.on("debug") => Level::Debug,
            Some("error") => Level::Error,
            Some("warning") => Level::Warning,
            Some("debug") => Level::Debug,
            _ => Level::Usual,
        },
    };
    let parsed = read.and_then(|(command, flags, positionals)| {
        check_globals(&global)?;
        Ok(Parsed { global, command, flags, positionals })
    });
    (log, parsed)
}

fn read_globals(
    words: &mut std::slice::Iter<'_, String>,
    global: &mut Values,
) -> Result<&'static Command, Stop> {
    while let Some(word) = words.next() {
        if is_flag(word) {
            let typed = Typed::split(word);
            let flag = typed.find(GLOBAL).ok_or_else(|| typed.unknown(None))?;
            global.0.push((flag.long, typed.value(flag, words, None)?));
            continue;
        }
        stop_for(global, None)?;
        return match word.as_str() {
            "help" => Err(match words.next() {
                None => Stop::Help(None),
                Some(name) => match find(name) {
                    Some(command) => Stop::Help(Some(command.name)),
                    None => Stop::UnknownCommand(name.clone()),
                },
            }),
            COMPLETE => Err(Stop::Complete(words.cloned().collect())),
            name => find(name).ok_or_else(|| Stop::UnknownCommand(word.clone())),
        };
    }
    stop_for(global, None)?;
    Err(Stop::Help(None))
}

/// The command of that name.
pub(crate) fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

fn stop_for(values: &Values, command: Option<&'static str>) -> Result<(), Stop> {
    if values.on("help") {
        return Err(Stop::Help(command));
    }
    if values.on("version") {
        return Err(Stop::Version);
    }
    Ok(())
}

/// The command's flags and positional arguments. As in runc 1.5 the flags that belong before the
/// command may also come behind it.
fn read_command(
    command: &'static Command,
    words: &mut std::slice::Iter<'_, String>,
    global: &mut Values,
) -> Result<(Values, Vec<String>), Stop> {
    let mut flags = Values::default();
    let mut positionals = Vec::new();
    while let Some(word) = words.next() {
        if word == "--" {
            positionals.extend(words.cloned());
            break;
        }
        if is_flag(word) {
            let typed = Typed::split(word);
            let (flag, values) = match typed.find(command.flags) {
                Some(flag) => (flag, &mut flags),
                None => {
                    let flag = typed.find(GLOBAL).ok_or_else(|| typed.unknown(Some(command)))?;
                    (flag, &mut *global)
                }
            };
            values.0.push((flag.long, typed.value(flag, words, Some(command))?));
            continue;
        }
        positionals.push(word.clone());
        if command.rest_is_positional {
            positionals.extend(rest(words));
            break;
        }
    }
    stop_for(&flags, Some(command.name))?;
    stop_for(global, Some(command.name))?;
    check_count(command, positionals.len())?;
    Ok((flags, positionals))
}

/// What is behind the first positional argument, without the two dashes that may separate it.
fn rest(words: &mut std::slice::Iter<'_, String>) -> impl Iterator<Item = String> {
    let rest = words.as_slice();
    let skipped = usize::from(rest.first().is_some_and(|word| word == "--"));
    rest.iter().skip(skipped).cloned()
}

fn check_count(command: &'static Command, found: usize) -> Result<(), Stop> {
    let (least, most) = command.count;
    let (wanted, number) = match (least == most, found < least, found > most) {
        (_, false, false) => return Ok(()),
        (true, ..) => ("exactly", least),
        (false, true, _) => ("a minimum of", least),
        (false, ..) => ("a maximum of", most),
    };
    let name = command.name;
    let sentence = format!("{name:?} requires {wanted} {number} argument(s), not {found}");
    Err(Stop::Usage { sentence, command: Some(name) })
}

/// Words of global flags that can be wrong by themselves.
fn check_globals(global: &Values) -> Result<(), Stop> {
    for (name, allowed) in [
        ("log-format", &["text", "json"][..]),
        ("log-level", &["error", "warning", "debug"]),
        ("rootless", &["true", "false", "auto", ""]),
    ] {
        if let Some(value) = global.get(name).filter(|value| !allowed.contains(value)) {
            let sentence = format!("invalid {name}: {value}");
            return Err(Stop::Usage { sentence, command: None });
        }
    }
    Ok(())
}

/// A lone dash is an argument: it often means standard input.
pub(crate) fn is_flag(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

/// A flag as it was typed: with one dash or two, its value behind an equals sign or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Typed<'w> {
    name: &'w str,
    /// The value behind the equals sign.
    pub(crate) inline: Option<&'w str>,
}

impl<'w> Typed<'w> {
    /// Splits a word that [is a flag](is_flag).
    pub(crate) fn split(word: &'w str) -> Typed<'w> {
        let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).unwrap_or(word);
        match name.split_once('=') {
            Some((name, value)) => Typed { name, inline: Some(value) },
            None => Typed { name, inline: None },
        }
    }

    /// The flag of that name.
    pub(crate) fn find(self, table: &'static [Flag]) -> Option<&'static Flag> {
        let mut letters = self.name.chars();
        let short = letters.next().filter(|_| letters.next().is_none());
        table.iter().find(|flag| flag.long == self.name || short.is_some() && flag.short == short)
    }

    fn unknown(self, command: Option<&'static Command>) -> Stop {
        let sentence = format!("flag provided but not defined: -{}", self.name);
        Stop::Usage { sentence, command: command.map(|command| command.name) }
    }

    fn value(
        self,
        flag: &'static Flag,
        words: &mut std::slice::Iter<'_, String>,
        command: Option<&'static Command>,
    ) -> Result<String, Stop> {
        let command = command.map(|command| command.name);
        let wrong = |sentence: String| Err(Stop::Usage { sentence, command });
        let name = self.name;
        let value = match (flag.value, self.inline) {
            (None, None | Some("true" | "1" | "t" | "T" | "TRUE" | "True")) => "true",
            (None, Some("false" | "0" | "f" | "F" | "FALSE" | "False")) => "false",
            (None, Some(other)) => {
                return wrong(format!("invalid boolean value {other:?} for -{name}"));
            }
            (Some(_), Some(value)) => value,
            (Some(_), None) => match words.next() {
                Some(value) => value,
                // Podman looks for these words.
                None => return wrong(format!("flag needs an argument: -{name}")),
            },
        };
        if flag.takes() == Takes::Number && value.parse::<i64>().is_err() {
            return wrong(format!("invalid value {value:?} for flag -{name}: not a number"));
        }
        Ok(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn parsed(line: &str) -> Parsed {
        parse(&words(line)).1.unwrap()
    }

    #[test]
    fn what_engines_type() {
        let create = parsed(
            "--root /run/r --log /l.json --log-format json create --bundle /b \
             --pid-file /b/init.pid --console-socket /s web",
        );
        assert_eq!(create.command.name, "create");
        assert_eq!(create.flags.get("bundle"), Some("/b"));
        assert_eq!(create.positionals, ["web"]);
        let kill = parsed("kill --all web 9");
        assert!(kill.flags.on("all"));
        assert_eq!(kill.positionals, ["web", "9"]);
    }

    #[test]
    fn one_dash_two_dashes_and_behind_the_id() {
        for line in ["run -bundle /b web", "run --bundle=/b web", "run web -b /b", "run web -b=/b"]
        {
            assert_eq!(parsed(line).flags.get("bundle"), Some("/b"), "{line}");
        }
        assert!(parsed("delete web --force").flags.on("force"));
        assert!(!parsed("delete --force=false web").flags.on("force"));
    }

    #[test]
    fn what_is_behind_the_id_of_exec_is_the_commands() {
        let exec = parsed("exec -t web ls -l --tty");
        assert_eq!(exec.positionals, ["web", "ls", "-l", "--tty"]);
        assert_eq!(exec.flags, Values(vec![("tty", "true".to_owned())]));
    }

    #[test]
    fn mistakes_are_named() {
        let sentence = |line: &str| match parse(&words(line)).1 {
            Err(Stop::Usage { sentence, .. }) => sentence,
            other => format!("{other:?}"),
        };
        assert_eq!(sentence("run --nope x"), "flag provided but not defined: -nope");
        assert_eq!(sentence("run --bundle"), "flag needs an argument: -bundle");
        assert_eq!(sentence("state"), "\"state\" requires exactly 1 argument(s), not 0");
        assert_eq!(sentence("--log-format xml list"), "invalid log-format: xml");
        assert_eq!(sentence("--rootless=maybe list"), "invalid rootless: maybe");
        assert_eq!(sentence("kill a b c"), "\"kill\" requires a maximum of 2 argument(s), not 3");
        assert_eq!(sentence("exec"), "\"exec\" requires a minimum of 1 argument(s), not 0");
        assert_eq!(
            sentence("exec --preserve-fds x web ls"),
            "invalid value \"x\" for flag -preserve-fds: not a number"
        );
        for line in ["bogus", "help bogus"] {
            let unknown = parse(&words(line)).1.unwrap_err();
            assert_eq!(unknown, Stop::UnknownCommand("bogus".to_owned()), "{line}");
        }
    }

    #[test]
    fn the_log_is_known_even_after_a_mistake() {
        let (log, result) = parse(&words("--log /l --log-format json run --nope"));
        assert!(result.is_err());
        assert_eq!((log.to.as_deref(), log.json), (Some("/l"), true));
    }

    #[test]
    fn global_flags_also_behind_the_command() {
        let list = parsed("list --root /r -q --debug");
        assert_eq!(list.global.get("root"), Some("/r"));
        assert!(list.global.on("debug") && list.flags.on("quiet"));
        let exec = parsed("exec --root /r web ls --root /");
        assert_eq!(exec.positionals, ["web", "ls", "--root", "/"]);
        assert_eq!(exec.global.get("root"), Some("/r"));
    }

    #[test]
    fn two_dashes_may_separate_what_is_behind_the_id() {
        for line in ["exec web -- ls -l", "exec -- web ls -l"] {
            assert_eq!(parsed(line).positionals, ["web", "ls", "-l"], "{line}");
        }
        assert_eq!(parsed("exec web ls -- -l").positionals, ["web", "ls", "--", "-l"]);
    }

    #[test]
    fn clap_finds_no_fault_with_the_table() {
        crate::as_clap::tare().debug_assert();
    }

    /// A command line of the forms that both parsers have.
    fn line() -> impl Strategy<Value = Vec<String>> {
        let flags = prop::collection::vec((0usize..32, "[a-z/]{1,6}", any::<bool>()), 0..6);
        let positionals = prop::collection::vec("[a-z]{1,5}", 1..3);
        (0..COMMANDS.len(), flags, positionals).prop_map(|(n, flags, positionals)| {
            let command = &COMMANDS[n];
            let mut line = vec![command.name.to_owned()];
            for (n, value, inline) in flags {
                let flag = &command.flags[n % command.flags.len()];
                let value = match flag.takes() {
                    Takes::Number => n.to_string(),
                    _ => value,
                };
                match (flag.long, flag.value, inline) {
                    ("help", ..) => {}
                    (long, None, _) => {
                        // clap takes a switch once only.
                        let word = format!("--{long}");
                        if !line.contains(&word) {
                            line.push(word);
                        }
                    }
                    (long, Some(_), true) => line.push(format!("--{long}={value}")),
                    (long, Some(_), false) => line.extend([format!("--{long}"), value]),
                }
            }
            line.extend(positionals);
            line
        })
    }

    proptest! {
        #[test]
        fn clap_agrees(line in line()) {
            let ours = parse(&line).1;
            let with_name = std::iter::once("tare".to_owned()).chain(line);
            let theirs = crate::as_clap::tare().try_get_matches_from(with_name).unwrap();
            let (name, theirs) = theirs.subcommand().unwrap();
            // How many positionals there may be is this parser's to say.
            if let Ok(ours) = ours {
                prop_assert_eq!(name, ours.command.name);
                for flag in ours.command.flags {
                    if flag.value.is_some() {
                        let values = theirs.get_many::<String>(flag.long);
                        let values: Vec<&str> = values.into_iter().flatten().map(|s| &**s).collect();
                        let own: Vec<&str> = ours.flags.all(flag.long).collect();
                        prop_assert_eq!(values, own);
                    } else {
                        prop_assert_eq!(theirs.get_flag(flag.long), ours.flags.on(flag.long));
                    }
                }
                let rest = theirs.get_many::<String>("arguments").into_iter().flatten();
                prop_assert_eq!(rest.cloned().collect::<Vec<_>>(), ours.positionals);
            }
        }
    }
}
