//! `imgbuild store`: looking after what was built.

use super::args::{GlobalArgs, StoreCommand};
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::messages::{self, Message};
use crate::project;
use crate::terminal::{Terminal, table};
use imgbuild_base::ByteSize;
use imgbuild_store::{GcPolicy, KindUsage, Store};
use std::time::{Duration, SystemTime};

/// Runs the command.
pub(crate) fn store(
    terminal: &Terminal,
    global: &GlobalArgs,
    command: &StoreCommand,
) -> Result<()> {
    let path = project::store_path(global.store.as_deref())?;
    let store = Store::open(&path, &terminal.events()).or_fail(Failure::Storage)?;
    match command {
        StoreCommand::Verify => verify(terminal, &store),
        StoreCommand::Gc {
            older_than,
            max_size,
            forget,
            dry_run,
        } => {
            let policy = GcPolicy {
                now: SystemTime::now(),
                older_than: Some(Duration::from_secs(u64::from(*older_than) * 86400)),
                max_size: max_size.map(ByteSize::get),
                forget: forget.iter().cloned().collect(),
                dry_run: *dry_run,
            };
            gc(terminal, &store, &policy)
        }
        StoreCommand::Du => du(terminal, &store),
    }
}

fn verify(terminal: &Terminal, store: &Store) -> Result<()> {
    let report = store.verify(true).or_fail(Failure::Storage)?;
    let corrupt: Vec<String> = report
        .corrupt
        .iter()
        .map(|c| c.digest.to_string())
        .collect();
    terminal.message(&Message::StoreVerify(messages::store::Verify {
        objects: report.objects,
        bytes: report.bytes,
        corrupt: corrupt.clone(),
        results_removed: report.broken.len(),
        strays_removed: report.strays.len(),
    }));
    let size = ByteSize::bytes(report.bytes);
    if report.is_sound() {
        terminal.result(&format!("{} objects ({size}), all sound", report.objects));
        return Ok(());
    }
    let mut text = format!(
        "{} of {} objects ({size}) were damaged and removed, with {} results and {} stray files",
        report.corrupt.len(),
        report.objects,
        report.broken.len(),
        report.strays.len()
    );
    for digest in corrupt {
        text.push_str(&format!("\n  {digest}"));
    }
    Err(CommandError::msg(Failure::Verify, text)
        .hint("the next build makes again what is missing; check the disk the store is on"))
}

fn gc(terminal: &Terminal, store: &Store, policy: &GcPolicy) -> Result<()> {
    let dry_run = policy.dry_run;
    let report = store.gc(policy).or_fail(Failure::Storage)?;
    terminal.message(&Message::StoreGc(messages::store::Gc {
        objects: report.objects.len(),
        results: report.results.len(),
        freed: report.freed,
        kept: report.kept,
        dry_run,
    }));
    terminal.result(&format!(
        "{} {} objects and {} results ({}); {} stay",
        if dry_run { "would remove" } else { "removed" },
        report.objects.len(),
        report.results.len(),
        ByteSize::bytes(report.freed),
        ByteSize::bytes(report.kept)
    ));
    Ok(())
}

fn du(terminal: &Terminal, store: &Store) -> Result<()> {
    let usage = store.du().or_fail(Failure::Storage)?;
    let row = |kind: &dyn ToString, usage: KindUsage| messages::store::Usage {
        kind: kind.to_string(),
        count: usage.count,
        bytes: usage.bytes,
    };
    let kinds = usage.kinds.iter().map(|(kind, usage)| row(kind, *usage));
    let mut rows: Vec<_> = kinds.collect();
    rows.push(row(&"fetched and unnamed", usage.unreferenced));
    rows.push(row(&"cut-off downloads", usage.partials));
    rows.push(row(&"all", usage.objects));
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let size = ByteSize::bytes(row.bytes).to_string();
            vec![row.kind.clone(), row.count.to_string(), size]
        })
        .collect();
    terminal.result(&table(&["kind", "objects", "size"], &cells));
    terminal.message(&Message::StoreDu(rows));
    Ok(())
}
