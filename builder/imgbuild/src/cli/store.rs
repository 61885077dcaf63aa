//! `imgbuild store`: looking after what was built.

use super::args::{GlobalArgs, StoreCommand};
use crate::error::{CommandError, Failure, OrFail, Result};
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
    terminal.json_result(
        "store-verify",
        &serde_json::json!({
            "objects": report.objects, "bytes": report.bytes, "corrupt": corrupt,
            "results_removed": report.broken.len(), "strays_removed": report.strays.len(),
        }),
    );
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
    terminal.json_result(
        "store-gc",
        &serde_json::json!({
            "objects": report.objects.len(), "results": report.results.len(),
            "freed": report.freed, "kept": report.kept, "dry_run": dry_run,
        }),
    );
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
    let mut rows: Vec<(String, KindUsage)> = usage
        .kinds
        .iter()
        .map(|(kind, usage)| (kind.to_string(), *usage))
        .collect();
    rows.push(("fetched and unnamed".to_owned(), usage.unreferenced));
    rows.push(("cut-off downloads".to_owned(), usage.partials));
    rows.push(("all".to_owned(), usage.objects));
    let json: Vec<serde_json::Value> = rows
        .iter()
        .map(|(kind, usage)| {
            serde_json::json!({ "kind": kind, "count": usage.count, "bytes": usage.bytes })
        })
        .collect();
    terminal.json_result("store-du", &json);
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|(kind, usage)| {
            let size = ByteSize::bytes(usage.bytes).to_string();
            vec![kind.clone(), usage.count.to_string(), size]
        })
        .collect();
    terminal.result(&table(&["kind", "objects", "size"], &cells));
    Ok(())
}
