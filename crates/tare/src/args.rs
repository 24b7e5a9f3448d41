//! From words to a command: a parser for the [`table`](crate::table) in the manner of Go's flags,
//! which runc's callers use: one or two dashes, `--name value` or `--name=value`, flags also behind
//! positional arguments.
//!
//! It is a parser of our own since engines start this program hundreds of times a second: it costs
//! a fortieth of the instructions of clap's, which makes the help. Both are made from one table, and
//! a property test holds that they agree (`docs/decisions/0002-command-line.md`).

use crate::report::LogOptions;
use crate::table::{COMMANDS, Command, Flag, GLOBAL};

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
}

/// Flags with their values, in the order in which they were typed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Values(Vec<(&'static str, String)>);

impl Values {
    /// The last value of a flag.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(flag, _)| *flag == name).map(|(_, value)| value.as_str())
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

/// Reads the words behind the program's name.
///
/// The options of the log come back in any case: a mistake in the words goes there, too.
pub(crate) fn parse(words: &[String]) -> (LogOptions, Result<Parsed, Stop>) {
    let mut words = words.iter();
    let mut global = Values::default();
    let command = read_globals(&mut words, &mut global);
    let log = LogOptions {
        file: global.get("log").map(str::to_owned),
        json: global.get("log-format") == Some("json"),
        debug: global.on("debug"),
    };
    let parsed = command.and_then(|command| read_command(command, &mut words, global));
    (log, parsed)
}

fn read_globals(
    words: &mut std::slice::Iter<'_, String>,
    global: &mut Values,
) -> Result<&'static Command, Stop> {
    while let Some(word) = words.next() {
        if is_flag(word) {
            read_flag(word, words, GLOBAL, global, None)?;
            continue;
        }
        stop_for(global, None)?;
        if word == "help" {
            let command = words.next().and_then(|name| find(name)).map(|command| command.name);
            return Err(Stop::Help(command));
        }
        return find(word).ok_or_else(|| Stop::UnknownCommand(word.clone()));
    }
    stop_for(global, None)?;
    Err(Stop::Help(None))
}

fn find(name: &str) -> Option<&'static Command> {
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

fn read_command(
    command: &'static Command,
    words: &mut std::slice::Iter<'_, String>,
    global: Values,
) -> Result<Parsed, Stop> {
    let mut flags = Values::default();
    let mut positionals = Vec::new();
    while let Some(word) = words.next() {
        if word == "--" {
            positionals.extend(words.cloned());
            break;
        }
        if is_flag(word) {
            read_flag(word, words, command.flags, &mut flags, Some(command.name))?;
            continue;
        }
        positionals.push(word.clone());
        if command.rest_is_positional {
            positionals.extend(words.cloned());
            break;
        }
    }
    stop_for(&flags, Some(command.name))?;
    check_log_format(&global)?;
    let (least, most) = command.count;
    if !(least..=most).contains(&positionals.len()) {
        let wanted = if least == most { "exactly" } else { "a minimum of" };
        let (name, found) = (command.name, positionals.len());
        let sentence = match (found < least || least == most, command.positionals) {
            (true, _) => format!("{name:?} requires {wanted} {least} argument(s), not {found}"),
            (false, _) => format!("{name:?} takes at most {most} argument(s), not {found}"),
        };
        return Err(Stop::Usage { sentence, command: Some(name) });
    }
    Ok(Parsed { global, command, flags, positionals })
}

fn check_log_format(global: &Values) -> Result<(), Stop> {
    match global.get("log-format") {
        None | Some("text" | "json") => Ok(()),
        Some(other) => {
            let sentence = format!("invalid log-format: {other}");
            Err(Stop::Usage { sentence, command: None })
        }
    }
}

/// A lone dash is an argument: it often means standard input.
fn is_flag(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

fn read_flag(
    word: &str,
    words: &mut std::slice::Iter<'_, String>,
    table: &'static [Flag],
    values: &mut Values,
    command: Option<&'static str>,
) -> Result<(), Stop> {
    let usage = |sentence: String| Stop::Usage { sentence, command };
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).unwrap_or(word);
    let (name, inline) = match name.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (name, None),
    };
    let mut letters = name.chars();
    let short = letters.next().filter(|_| letters.next().is_none());
    let flag = table
        .iter()
        .find(|flag| flag.long == name || short.is_some() && flag.short == short)
        .ok_or_else(|| usage(format!("flag provided but not defined: -{name}")))?;
    let value = match (flag.value, inline) {
        (None, None) => "true".to_owned(),
        (None, Some("true" | "1" | "t" | "T" | "TRUE" | "True")) => "true".to_owned(),
        (None, Some("false" | "0" | "f" | "F" | "FALSE" | "False")) => "false".to_owned(),
        (None, Some(other)) => {
            let sentence = format!("invalid boolean value {other:?} for -{name}");
            return Err(usage(sentence));
        }
        (Some(_), Some(value)) => value.to_owned(),
        (Some(_), None) => match words.next() {
            Some(value) => value.clone(),
            // Podman looks for these words.
            None => return Err(usage(format!("flag needs an argument: -{name}"))),
        },
    };
    values.0.push((flag.long, value));
    Ok(())
}

/// The same definition for clap, which renders the help.
pub(crate) fn clap_command() -> clap::Command {
    let flag = |flag: &'static Flag| {
        let arg = clap::Arg::new(flag.long).long(flag.long).help(flag.help);
        let arg = match flag.short {
            Some(short) => arg.short(short),
            None => arg,
        };
        match flag.value {
            Some(name) => arg.value_name(name).action(clap::ArgAction::Append),
            None => arg.action(clap::ArgAction::SetTrue),
        }
    };
    let subcommand = |command: &'static Command| {
        let usage = format!("tare {} [OPTIONS] {}", command.name, command.positionals);
        clap::Command::new(command.name)
            .about(command.about)
            .override_usage(usage.trim_end().to_owned())
            .after_help(format!("Example:\n  {}", command.example))
            .disable_help_flag(true)
            .args(command.flags.iter().map(flag))
            .arg(
                clap::Arg::new("arguments")
                    .hide(true)
                    .num_args(0..)
                    .trailing_var_arg(command.rest_is_positional)
                    .allow_hyphen_values(command.rest_is_positional),
            )
    };
    clap::Command::new("tare")
        .about("A low-level OCI container runtime, with runc's command line")
        .override_usage("tare [OPTIONS] COMMAND [ARGUMENTS]")
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .args(GLOBAL.iter().map(flag))
        .subcommands(COMMANDS.iter().map(subcommand))
}

/// The help, of all commands or of one.
pub(crate) fn help(command: Option<&str>) -> String {
    let mut all = clap_command();
    match command.and_then(|name| all.find_subcommand_mut(name)) {
        Some(command) => command.render_help().to_string(),
        None => all.render_help().to_string(),
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
        let unknown = parse(&words("bogus")).1.unwrap_err();
        assert_eq!(unknown, Stop::UnknownCommand("bogus".to_owned()));
    }

    #[test]
    fn the_log_is_known_even_after_a_mistake() {
        let (log, result) = parse(&words("--log /l --log-format json run --nope"));
        assert!(result.is_err());
        assert_eq!((log.file.as_deref(), log.json), (Some("/l"), true));
    }

    #[test]
    fn clap_finds_no_fault_with_the_table() {
        clap_command().debug_assert();
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
            let theirs = clap_command().try_get_matches_from(with_name).unwrap();
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
