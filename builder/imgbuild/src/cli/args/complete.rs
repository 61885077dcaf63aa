//! What a shell offers for a word of the command line: recipes, and the nodes of the recipe that
//! the line names already.
//!
//! The script of `imgbuild completions` calls the program back with the words so far, marked by an
//! environment variable, so what is offered is always what this program and this directory have.

use super::Cli;
use clap::{ArgMatches, CommandFactory};
use clap_complete::CompleteEnv;
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use clap_complete::env::Shells;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

/// Set by the script when it calls back.
const VARIABLE: &str = "IMGBUILD_COMPLETE";

/// The program as the script calls it: found in PATH.
const PROGRAM: &str = "imgbuild";

/// Answers a shell and ends the program, if it is a shell that called.
pub(crate) fn answer() {
    CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .completer(PROGRAM)
        .complete();
}

/// The script for a shell.
pub(crate) fn script(shell: clap_complete::Shell) -> io::Result<String> {
    let name = shell.to_string();
    let unknown = || io::Error::other(format!("{name} is not supported"));
    let shells = Shells::builtins();
    let completer = shells.completer(&name).ok_or_else(unknown)?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?;
    String::from_utf8(script).map_err(io::Error::other)
}

/// Completes a recipe's name, or the path of its file.
pub(super) fn recipes() -> ArgValueCompleter {
    ArgValueCompleter::new(offered_recipes)
}

/// Completes a node's name.
pub(super) fn nodes() -> ArgValueCompleter {
    ArgValueCompleter::new(offered_nodes)
}

/// Completes a recipe, then one of its nodes, then a file.
pub(super) fn recipe_node_device() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| match what_words(words()) {
        0 | 1 => offered_recipes(current),
        2 => offered_nodes(current),
        _ => PathCompleter::any().complete(current),
    })
}

/// How many of `flash`'s words a line has, with the one that is not complete yet.
fn what_words(words: Vec<OsString>) -> usize {
    let line = Cli::command().ignore_errors(true);
    let matches = line.try_get_matches_from(words).ok();
    let flash = matches.as_ref().and_then(|matches| matches.subcommand());
    let given = flash.and_then(|(_, flash)| flash.try_get_many::<String>("what").ok().flatten());
    given.map_or(0, Iterator::count)
}

fn offered_recipes(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = imgbuild_recipe::list(Path::new("")).unwrap_or_default();
    let named = names.iter().map(|source| {
        CompletionCandidate::new(&source.name).help(Some(source.summary().to_owned().into()))
    });
    let mut offered = beginning_with(current, named);
    if offered.is_empty() {
        let toml = |path: &Path| path.extension().is_some_and(|end| end == "toml");
        let paths = PathCompleter::any().filter(move |path| path.is_dir() || toml(path));
        offered = paths.complete(current);
    }
    offered
}

fn offered_nodes(current: &OsStr) -> Vec<CompletionCandidate> {
    let recipe = named_recipe(words())
        .and_then(|name| imgbuild_recipe::find(&name, Path::new("")).ok())
        .and_then(|source| source.load().ok());
    let nodes = recipe.map(|recipe| recipe.nodes).unwrap_or_default();
    let named = nodes.iter().map(|node| {
        CompletionCandidate::new(node.name.as_str()).help(Some(node.address.to_string().into()))
    });
    beginning_with(current, named)
}

fn beginning_with(
    current: &OsStr,
    all: impl Iterator<Item = CompletionCandidate>,
) -> Vec<CompletionCandidate> {
    let current = current.as_encoded_bytes();
    let fits = |one: &CompletionCandidate| one.get_value().as_encoded_bytes().starts_with(current);
    all.filter(fits).collect()
}

/// The words that the shell hands over, behind `--`. bash makes a word of each `=`.
fn words() -> Vec<OsString> {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    words.filter(|word| word != "=").collect()
}

/// The recipe that a line names, though it is not complete yet.
fn named_recipe(words: Vec<OsString>) -> Option<String> {
    let line = Cli::command().ignore_errors(true);
    named_in(&line.try_get_matches_from(words).ok()?)
}

/// By `--recipe`, or by the NAME of the command, which of `flash` is the first of several words.
fn named_in(matches: &ArgMatches) -> Option<String> {
    let given = |id: &str| matches.try_get_one::<String>(id).ok().flatten();
    let own = ["name", "recipe", "what"]
        .into_iter()
        .find_map(given)
        .cloned();
    own.or_else(|| named_in(matches.subcommand()?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_of_an_unfinished_line() {
        let named = |line: &str| named_recipe(line.split(' ').map(OsString::from).collect());
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(named("imgbuild build vm-3node --node "), some("vm-3node"));
        assert_eq!(
            named("imgbuild --recipe pi-2node --node "),
            some("pi-2node")
        );
        assert_eq!(named("imgbuild -r pi-2node --node con"), some("pi-2node"));
        assert_eq!(named("imgbuild run vm-3node --hold "), some("vm-3node"));
        assert_eq!(named("imgbuild build --node "), None);
        assert_eq!(named("imgbuild flash vm-3node et"), some("vm-3node"));
    }

    #[test]
    fn the_words_of_flash_are_counted() {
        let count = |line: &str| what_words(line.split(' ').map(OsString::from).collect());
        assert_eq!(count("imgbuild flash vm-"), 1);
        assert_eq!(count("imgbuild flash --yes vm-3node "), 2);
        assert_eq!(count("imgbuild flash vm-3node etcd-0 /dev/s"), 3);
    }
}
