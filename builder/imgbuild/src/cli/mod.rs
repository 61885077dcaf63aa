//! The command line: which command, with which options, and how its end is told.

pub(crate) mod args;
mod documented;
mod explain;
mod flash;
mod init;
mod inspect;
mod lock;
mod meta;
mod node_layer;
mod pki;
mod release;
mod reproduce;
mod run;
mod store;
mod usage;

use crate::error::{CommandError, Failure, Result};
use crate::interrupt;
use crate::pipeline::{self, Request};
use crate::project::Project;
use crate::terminal::{Style, Terminal};
use args::{BuildArgs, Cli, Command, GlobalArgs, Topic};
use imgbuild_recipe::resolved::Format;
use std::process::ExitCode;

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    args::complete::answer();
    let cli = match usage::read(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let terminal = Terminal::new(Style {
        quiet: cli.global.quiet,
        json: cli.global.json,
        color: cli.global.color,
    });
    match dispatch(&terminal, cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn dispatch(terminal: &Terminal, cli: Cli) -> Result<()> {
    interrupt::install().map_err(|error| CommandError::new(Failure::Other, &error))?;
    let global = cli.global;
    let Some(command) = cli.command else {
        let name = cli.recipe.unwrap_or_default();
        return build(terminal, &global, &name, &cli.build);
    };
    match command {
        Command::Build { name, build: args } => build(terminal, &global, &name, &args),
        Command::Lock {
            name,
            update,
            all,
            renew,
            skip_suite,
            diff,
        } => {
            let wanted = lock::Wanted {
                wish: lock::wish(update, all),
                renew,
                skip: skip_suite,
                only_show: diff,
            };
            lock::lock(terminal, &global, &name, &wanted)
        }
        Command::Init(args) => init::init(terminal, &args),
        Command::Recipes => meta::recipes(terminal),
        Command::Show { name, build } => {
            explain::show(terminal, &request(terminal, &global, &name, &build)?)
        }
        Command::Why { name, step, build } => {
            explain::why(terminal, &request(terminal, &global, &name, &build)?, &step)
        }
        Command::Graph { name, build } => {
            explain::graph(terminal, &request(terminal, &global, &name, &build)?)
        }
        Command::Store(command) => store::store(terminal, &global, &command),
        Command::Run(args) => {
            let mut request = request(terminal, &global, &args.name, &args.build)?;
            // Whatever else is wanted: what is booted is the images.
            request.formats.insert(Format::Img);
            run::check(&args, &request.nodes())?;
            let built = pipeline::build(&request)?;
            run::run(terminal, &args, &built)
        }
        Command::Pki(args) => pki::pki(terminal, &args),
        Command::NodeLayer(args) => node_layer::node_layer(terminal, &global, &args),
        Command::Flash(args) => flash::flash(terminal, &global, &args),
        Command::Inspect { path } => inspect::inspect(terminal, &path),
        Command::Release(args) => release::release(terminal, &global, &args),
        Command::Verify(args) => release::verify(terminal, &global, &args),
        Command::Reproduce { name } => reproduce::reproduce(terminal, &global, &name),
        Command::Completions { shell } => meta::completions(terminal, shell),
        Command::Man { dir } => meta::man(terminal, &dir),
        Command::Reference { output, schema } => {
            let topic = match output {
                true => Topic::Output,
                false => Topic::Recipe,
            };
            meta::reference(terminal, topic, schema)
        }
    }
}

fn build(terminal: &Terminal, global: &GlobalArgs, name: &str, args: &BuildArgs) -> Result<()> {
    let request = request(terminal, global, name, args)?;
    let built = pipeline::build(&request)?;
    if args.check {
        pipeline::check(&request, &built)?;
    }
    terminal.message(&built.message(args.check));
    terminal.summary(&built.table(args.check));
    Ok(())
}

fn request(
    terminal: &Terminal,
    global: &GlobalArgs,
    name: &str,
    args: &BuildArgs,
) -> Result<Request> {
    let events = terminal.events();
    let project = Project::find(name, terminal.color())?;
    for warning in &project.recipe.warnings {
        events.warn(warning.to_string());
    }
    Request::new(project, global, args, events)
}
