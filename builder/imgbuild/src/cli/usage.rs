//! Reading the command line, and telling what is wrong with it in the form that it asks for.

use super::args::Cli;
use crate::error::Failure;
use crate::messages::{Message, work};
use crate::terminal::{Color, Style, Terminal};
use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory, FromArgMatches, ValueEnum};
use std::ffi::OsString;
use std::process::ExitCode;

/// Reads the command line, program's name first. What is wrong, or the help that was asked for,
/// is printed; the exit code is then returned.
pub(super) fn read(args: Vec<OsString>) -> Result<Cli, ExitCode> {
    let style = wished(&args);
    let color = match style.color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    parse(Cli::command().color(color), args).map_err(|error| {
        let code = match error.use_stderr() {
            true => Failure::Usage.exit_code(),
            false => 0,
        };
        if style.json && code != 0 {
            Terminal::new(style).message(&Message::Error(work::Error {
                exit_code: code,
                text: error.render().to_string().trim_end().to_owned(),
                hint: None,
            }));
        } else {
            // Nobody may be listening any more.
            let _ = error.print();
        }
        ExitCode::from(code)
    })
}

fn parse(mut command: clap::Command, args: Vec<OsString>) -> Result<Cli, clap::Error> {
    let matches = command.try_get_matches_from_mut(args)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    if cli.command.is_none() && cli.recipe.is_none() {
        return Err(command.error(
            ErrorKind::MissingRequiredArgument,
            "which recipe? Give --recipe NAME (`imgbuild recipes` lists them) or a command",
        ));
    }
    Ok(cli)
}

/// How the output is wished for, as far as a command line says so that may be wrong.
fn wished(args: &[OsString]) -> Style {
    let words: Vec<&str> = args
        .iter()
        .map(|word| word.to_str().unwrap_or_default())
        .take_while(|word| *word != "--")
        .collect();
    let color = words.iter().enumerate().find_map(|(at, word)| {
        let value = match word.strip_prefix("--color")? {
            "" => words.get(at + 1)?,
            value => value.strip_prefix('=')?,
        };
        Color::from_str(value, false).ok()
    });
    Style {
        quiet: false,
        json: words.contains(&"--json"),
        color: color.unwrap_or(Color::Auto),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_wrong_line_says_how_it_wants_to_be_told() {
        let style = wished(&words("imgbuild nonsense --color never --json"));
        assert!(style.json);
        assert_eq!(style.color, Color::Never);
        assert_eq!(
            wished(&words("imgbuild --color=always")).color,
            Color::Always
        );
        let style = wished(&words("imgbuild run x -- --json --color=never"));
        assert!(!style.json);
        assert_eq!(style.color, Color::Auto);
    }

    #[test]
    fn a_line_needs_a_recipe_or_a_command() {
        let parsed = |line| parse(Cli::command(), words(line)).map_err(|error| error.kind());
        assert!(parsed("imgbuild -r x").is_ok() && parsed("imgbuild recipes").is_ok());
        let missing = Some(ErrorKind::MissingRequiredArgument);
        assert_eq!(parsed("imgbuild --json").err(), missing);
    }
}
