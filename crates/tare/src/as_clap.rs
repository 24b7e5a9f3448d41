//! The [`table`](crate::table) as clap reads it: for the manual, and as the witness of our parser.
//!
//! It is part of the tests and of the example that writes the manual, not of the program: help from
//! clap would be a fifth of its size (`docs/decisions/0002-command-line.md`).

use crate::table::{COMMANDS, Command, Flag, GLOBAL};

/// The command line.
pub(crate) fn tare() -> clap::Command {
    let flag = |flag: &'static Flag| {
        let arg = clap::Arg::new(flag.long).long(flag.long).short(flag.short).help(flag.help);
        match flag.value {
            Some(name) => arg.value_name(name).action(clap::ArgAction::Append),
            None => arg.action(clap::ArgAction::SetTrue),
        }
    };
    let subcommand = |command: &'static Command| {
        let usage = format!("tare {} [OPTIONS] {}", command.name, command.positionals);
        clap::Command::new(command.name)
            .about(command.about)
            .long_about(command.details)
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
