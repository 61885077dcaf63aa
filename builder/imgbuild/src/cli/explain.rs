//! `show`, `why` and `graph`: what a build would do, and why.

use crate::error::{CommandError, Failure, OrFail, Result};
use crate::messages::explain::{StepState, ToDo};
use crate::messages::{self, Message};
use crate::pipeline::Request;
use crate::plan::graph::{Kept, Step};
use crate::realise;
use crate::summary::{self, DESCRIPTION, Description};
use crate::terminal::Terminal;
use imgbuild_base::ByteSize;
use std::collections::BTreeMap;

/// `imgbuild show`: the resolved recipe, then what is to be done.
pub(crate) fn show(terminal: &Terminal, request: &Request) -> Result<()> {
    let plan = request.plan()?;
    let at_hand = realise::at_hand(&plan, &request.means)?;
    let needed = plan.graph.needed(&plan.goals(), |id| at_hand.contains(&id));
    let mut steps: BTreeMap<&str, ToDo> = BTreeMap::new();
    for (id, step) in plan.graph.iter() {
        let kind = steps.entry(step.kind.name()).or_default();
        kind.all += 1;
        kind.to_do += usize::from(needed.contains(&id));
    }
    let recipe = &request.project.recipe;
    let resolved = toml::to_string(recipe).or_fail(Failure::Other)?;
    let download: u64 = plan
        .packages
        .iter()
        .filter(|(id, _)| needed.contains(id))
        .map(|(_, package)| package.size.get())
        .sum();
    let mut text = format!(
        "# {}, with every default\n{resolved}\n",
        request.project.file_name()
    );
    text.push_str("# what building it does\n");
    for (kind, ToDo { all, to_do }) in &steps {
        text.push_str(&format!("# {kind:12} {to_do} of {all} to be done\n"));
    }
    text.push_str(&format!("# to download: {}", ByteSize::bytes(download)));
    terminal.result(&text);
    let shown = messages::explain::Show {
        recipe: recipe.clone(),
        steps,
        download,
    };
    terminal.message(&Message::Show(Box::new(shown)));
    Ok(())
}

/// `imgbuild graph`: the steps in Graphviz's language.
pub(crate) fn graph(terminal: &Terminal, request: &Request) -> Result<()> {
    let plan = request.plan()?;
    let at_hand = realise::at_hand(&plan, &request.means)?;
    let mut text = format!("digraph \"{}\" {{\n  rankdir=LR;\n", request.project.name());
    for (id, step) in plan.graph.iter() {
        let style = match step.kind.kept() {
            Kept::Store if at_hand.contains(&id) => "filled",
            Kept::Store => "solid",
            Kept::Memory | Kept::Output => "dashed",
        };
        text.push_str(&format!("  \"{step}\" [style={style}];\n"));
        for input in &step.inputs {
            let input = plan.graph.step(*input);
            text.push_str(&format!("  \"{input}\" -> \"{step}\";\n"));
        }
    }
    text.push('}');
    terminal.result(&text);
    terminal.message(&Message::Graph(summary::records(&plan)));
    Ok(())
}

/// `imgbuild why`: one step, and what about it changed since the last build.
pub(crate) fn why(terminal: &Terminal, request: &Request, name: &str) -> Result<()> {
    let plan = request.plan()?;
    let id = plan.graph.find(name).ok_or_else(|| {
        let text = format!(
            "the build of {} has no step {name:?}",
            request.project.name()
        );
        CommandError::msg(Failure::Other, text)
            .hint("`imgbuild graph` names them all, such as base-layer:amd64 or disk:NODE")
    })?;
    let at_hand = realise::at_hand(&plan, &request.means)?;
    let step = plan.graph.step(id);
    let record = summary::record(&plan, step);
    let last = last_build(request);
    let before = last.and_then(|mut last| last.steps.remove(name));
    let state = state(step, at_hand.contains(&id));
    let mut text = format!("{name}\n  key {}\n  {}\n", step.key, told(state));
    for (what, value) in &record.decided_by {
        text.push_str(&format!("  {what} = {value}\n"));
    }
    text.push_str(&match &before {
        None => "not part of the last build in the output directory".to_owned(),
        Some(before) if *before == record => "the same as in the last build".to_owned(),
        Some(before) => changes(&before.decided_by, &record.decided_by),
    });
    terminal.result(&text);
    terminal.message(&Message::Why(messages::explain::Why {
        step: step.name(),
        state,
        now: record,
        before,
    }));
    Ok(())
}

fn state(step: &Step, at_hand: bool) -> StepState {
    match (step.kind.kept(), at_hand) {
        (Kept::Store, true) => StepState::Stored,
        (Kept::Store, false) => StepState::ToBeMade,
        (Kept::Memory, _) => StepState::Memory,
        (Kept::Output, _) => StepState::Output,
    }
}

fn told(state: StepState) -> &'static str {
    match state {
        StepState::Stored => "its result is in the store",
        StepState::ToBeMade => "to be made",
        StepState::Memory => "made in memory when something needs it; never stored",
        StepState::Output => "written to the output directory",
    }
}

fn last_build(request: &Request) -> Option<Description> {
    let text = fs_err::read(request.out.join(DESCRIPTION)).ok()?;
    serde_json::from_slice(&text).ok()
}

fn changes(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> String {
    let mut lines = vec!["changed since the last build:".to_owned()];
    let mut names: Vec<&String> = before.keys().chain(now.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (old, new) = (before.get(name), now.get(name));
        if old != new {
            let shown = |value: Option<&String>| value.map_or("absent", String::as_str).to_owned();
            lines.push(format!("  {name}: was {}, is {}", shown(old), shown(new)));
        }
    }
    if lines.len() == 1 {
        lines.push("  imgbuild itself makes this step differently".to_owned());
    }
    lines.join("\n")
}
