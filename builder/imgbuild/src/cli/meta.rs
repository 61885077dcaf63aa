//! Commands about the program itself: recipes, completions, manual pages, reference.

use super::args::Cli;
use crate::error::{Failure, OrFail, Result};
use crate::terminal::{Terminal, table};
use clap::CommandFactory;
use std::io;
use std::path::Path;

/// `imgbuild recipes`.
pub(crate) fn recipes(terminal: &Terminal) -> Result<()> {
    let found = crate::project::list()?;
    terminal.json_result("recipes", &found);
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|entry| {
            vec![
                entry.name.clone(),
                entry.origin.clone(),
                entry.about.clone(),
            ]
        })
        .collect();
    terminal.result(&table(&["recipe", "from", "what it is"], &rows));
    Ok(())
}

/// `imgbuild completions`.
pub(crate) fn completions(terminal: &Terminal, shell: clap_complete::Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "imgbuild", &mut script);
    terminal.result(&String::from_utf8_lossy(&script));
    Ok(())
}

/// `imgbuild man`: a page for the program and one for each command.
pub(crate) fn man(dir: &Path) -> Result<()> {
    fs_err::create_dir_all(dir).or_fail(Failure::Storage)?;
    let mut command = Cli::command()
        .after_long_help(exit_codes())
        .disable_help_subcommand(true);
    command.build();
    pages(&command, dir).or_fail(Failure::Storage)
}

/// The page of a command and those of its own commands. All say which program they are of.
fn pages(command: &clap::Command, dir: &Path) -> io::Result<()> {
    for own in command.get_subcommands() {
        pages(own, dir)?;
    }
    let source = concat!("imgbuild ", env!("CARGO_PKG_VERSION"));
    let page = clap_mangen::Man::new(command.clone()).source(source);
    page.generate_to(dir).map(drop)
}

/// The table of exit codes, for the manual page.
fn exit_codes() -> String {
    let mut lines = vec![
        "Exit codes:".to_owned(),
        "  0    success".to_owned(),
        "  2    the command line is wrong".to_owned(),
    ];
    lines.extend(
        Failure::ALL
            .iter()
            .map(|(_, code, meaning)| format!("  {code}    {meaning}")),
    );
    lines.push(format!("  {}  interrupted", crate::interrupt::EXIT_CODE));
    lines.join("\n")
}

/// `imgbuild reference`.
pub(crate) fn reference(terminal: &Terminal, schema: bool) -> Result<()> {
    if schema {
        let schema = imgbuild_recipe::schema();
        let text = serde_json::to_string_pretty(&schema).or_fail(Failure::Other)?;
        terminal.result(&text);
    } else {
        terminal.result(&imgbuild_recipe::reference());
    }
    Ok(())
}
