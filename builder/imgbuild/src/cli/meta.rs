//! Commands about the program itself: recipes, completions, manual pages, references.

use super::args::{Cli, Topic, complete};
use crate::error::{Failure, OrFail, Result};
use crate::messages::program::Reference;
use crate::messages::{self, Message};
use crate::terminal::{Terminal, table};
use clap::CommandFactory;
use imgbuild_recipe::Origin;
use std::io;
use std::path::{Path, PathBuf};

/// `imgbuild recipes`.
pub(crate) fn recipes(terminal: &Terminal) -> Result<()> {
    let found = imgbuild_recipe::list(Path::new("")).or_fail(Failure::Recipe)?;
    let listed: Vec<_> = found
        .iter()
        .map(|source| messages::program::Recipe {
            name: source.name.clone(),
            origin: match &source.origin {
                Origin::File(path) => path.display().to_string(),
                Origin::Builtin { .. } => "built in".to_owned(),
            },
            about: source.summary().to_owned(),
        })
        .collect();
    let rows: Vec<Vec<String>> = listed
        .iter()
        .map(|one| vec![one.name.clone(), one.origin.clone(), one.about.clone()])
        .collect();
    terminal.result(&table(&["recipe", "from", "what it is"], &rows));
    terminal.message(&Message::Recipes(listed));
    Ok(())
}

/// `imgbuild completions`.
pub(crate) fn completions(terminal: &Terminal, shell: clap_complete::Shell) -> Result<()> {
    let script = complete::script(shell).or_fail(Failure::Other)?;
    terminal.result(&script);
    terminal.message(&Message::Completions(messages::program::Completions {
        shell: shell.to_string(),
        script,
    }));
    Ok(())
}

/// `imgbuild man`: a page for the program and one for each command.
pub(crate) fn man(terminal: &Terminal, dir: &Path) -> Result<()> {
    fs_err::create_dir_all(dir).or_fail(Failure::Storage)?;
    let mut command = Cli::command()
        .after_long_help(exit_codes())
        .disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    write_pages(&command, dir, &mut pages).or_fail(Failure::Storage)?;
    pages.sort();
    terminal.message(&Message::Man(messages::program::Man { pages }));
    Ok(())
}

/// The page of a command and those of its own commands. All say which program they are of.
fn write_pages(command: &clap::Command, dir: &Path, pages: &mut Vec<PathBuf>) -> io::Result<()> {
    for own in command.get_subcommands() {
        write_pages(own, dir, pages)?;
    }
    let source = concat!("imgbuild ", env!("CARGO_PKG_VERSION"));
    let page = clap_mangen::Man::new(command.clone()).source(source);
    pages.push(page.generate_to(dir)?);
    Ok(())
}

/// The table of exit codes, for the manual page.
fn exit_codes() -> String {
    let mut lines = vec!["Exit codes:".to_owned(), "  0    success".to_owned()];
    lines.extend(
        Failure::ALL
            .iter()
            .map(|(_, code, meaning)| format!("  {code}    {meaning}")),
    );
    lines.push(format!("  {}  interrupted", crate::interrupt::EXIT_CODE));
    lines.join("\n")
}

/// `imgbuild reference`.
pub(crate) fn reference(terminal: &Terminal, topic: Topic, schema: bool) -> Result<()> {
    let mut message = Reference::default();
    if schema {
        let schema = match topic {
            Topic::Recipe => imgbuild_recipe::schema(),
            Topic::Output => messages::schema(),
        };
        terminal.result(&serde_json::to_string_pretty(&schema).or_fail(Failure::Other)?);
        message.schema = Some(schema);
    } else {
        let text = match topic {
            Topic::Recipe => imgbuild_recipe::reference(),
            Topic::Output => messages::reference(),
        };
        terminal.result(&text);
        message.markdown = Some(text);
    }
    terminal.message(&Message::Reference(message));
    Ok(())
}
