//! What pipelines rely on: every command's `--json` is as `docs/output.schema.json` says, exit
//! codes are those documented, nothing waits for an answer that nobody gives, and colours and
//! silence are as asked for.

use crate::support::archive::Archive;
use crate::support::inputs::recipe_copy;
use crate::support::messages::output_schema;
use crate::support::upstream::lock;
use crate::support::{imgbuild, must, must_fail, run, scratch};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

/// Every line is right, and the kinds of results are returned; standard error holds events only.
#[track_caller]
fn kinds(output: &Output) -> Vec<String> {
    let schema = output_schema();
    let lines = |bytes: &[u8]| -> Vec<String> {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let lines = text.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| {
                panic!("not JSON ({error}): {line}");
            });
            if let Some(error) = schema.iter_errors(&line).next() {
                panic!("{error}: {line}");
            }
            line["type"].as_str().unwrap().to_owned()
        });
        lines.collect()
    };
    let events = lines(&output.stderr);
    assert!(events.iter().all(|kind| kind == "event"), "{events:?}");
    lines(&output.stdout)
}

/// A build that finds all inputs in the store.
fn offline(args: &[&str], recipe: &Path, out: &Path) -> Command {
    let mut command = imgbuild();
    command.args(args).arg(recipe).arg("--out").arg(out);
    command.args(["--offline", "--json"]);
    command
}

/// All types of the schema, but that of events.
fn types() -> BTreeSet<String> {
    let schema = must(imgbuild().args(["reference", "--output", "--schema"]));
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let messages = schema["oneOf"].as_array().unwrap().iter();
    let kind = |message: &Value| {
        message["properties"]["type"]["const"]
            .as_str()
            .map(str::to_owned)
    };
    let mut types: BTreeSet<String> = messages.map(|message| kind(message).unwrap()).collect();
    assert!(types.remove("event"));
    types
}

/// `node` and `healthy` are looked at where clusters boot: `support::cluster` holds every line of
/// `imgbuild run` against the schema; `reproduce` where there is a release to reproduce.
#[test]
fn every_command_prints_what_the_schema_says() {
    crate::support::inputs::reference();
    let dir = scratch();
    let recipe = recipe_copy(dir.path(), "vm-1node");
    let out = dir.path().join("out");
    let pages = dir.path().join("pages");
    let store = dir.path().join("store");
    let in_store = |args: &[&str]| {
        let mut command = imgbuild();
        command.args(args).arg("--json").arg("--store").arg(&store);
        command
    };
    let own = |args: &[&str]| {
        let mut command = imgbuild();
        command.args(args).arg("--json");
        command
    };
    let of_recipe = |args: &[&str], more: &[&str]| {
        let mut command = imgbuild();
        command.args(args).arg(&recipe).args(more).arg("--json");
        command
    };
    let clients = dir.path().join("clients");
    let clients = clients.to_str().unwrap();
    let layers = dir.path().join("layers");
    let layers = layers.to_str().unwrap();
    let card = dir.path().join("card");
    fs_err::File::create(&card)
        .unwrap()
        .set_len(512 << 20)
        .unwrap();
    let card = card.to_str().unwrap();
    let release = dir.path().join("release");
    let release = release.to_str().unwrap();
    let runs = [
        ("build", offline(&["build"], &recipe, &out)),
        ("build", offline(&["--recipe"], &recipe, &out)),
        ("show", offline(&["show"], &recipe, &out)),
        ("graph", offline(&["graph"], &recipe, &out)),
        ("why", {
            let mut command = offline(&["why"], &recipe, &out);
            command.arg("disk:etcd-0");
            command
        }),
        ("lock", {
            let lock_file = recipe.with_extension("lock");
            let archive = Archive::of_lock(&dir.path().join("archive"), &lock_file, "amd64");
            lock(&recipe, &archive, &["--diff", "--json"])
        }),
        ("pki", of_recipe(&["pki"], &[])),
        (
            "pki-client",
            of_recipe(&["pki"], &["client", "prometheus", "--out", clients]),
        ),
        (
            "node-layer",
            of_recipe(&["node-layer"], &["etcd-0", "--out", layers]),
        ),
        ("flash", of_recipe(&["flash"], &["etcd-0", card, "--yes"])),
        ("inspect", own(&["inspect", card])),
        (
            "release",
            of_recipe(&["release"], &["--offline", "--out", release]),
        ),
        ("verify", own(&["verify", release])),
        ("init", {
            let mut command = own(&["init", "--name", "new", "--subnet", "10.7.0.0/24", "--yes"]);
            command.arg("--out").arg(dir.path().join("new.toml"));
            command
        }),
        ("recipes", own(&["recipes"])),
        ("completions", own(&["completions", "bash"])),
        ("man", {
            let mut command = own(&["man"]);
            command.arg(&pages);
            command
        }),
        ("reference", own(&["reference"])),
        ("reference", own(&["reference", "--schema"])),
        ("reference", own(&["reference", "--output"])),
        ("store-du", in_store(&["store", "du"])),
        ("store-gc", in_store(&["store", "gc", "--dry-run"])),
        ("store-verify", in_store(&["store", "verify"])),
        ("error", own(&["build", "no-such-recipe"])),
        ("error", own(&["no-such-command"])),
        ("error", own(&[])),
    ];
    let mut seen = BTreeSet::new();
    for (kind, mut command) in runs {
        let output = run(&mut command);
        assert_eq!(
            output.status.success(),
            kind != "error",
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(kinds(&output), [kind], "{command:?}");
        if kind == "error" {
            let line: Value = serde_json::from_slice(&output.stdout).unwrap();
            let told = line["data"]["exit_code"].as_i64();
            assert_eq!(told, output.status.code().map(i64::from), "{line}");
        }
        seen.insert(kind.to_owned());
    }
    // Without a device and a terminal, flash says which there are, and ends.
    let output = run(&mut of_recipe(&["flash"], &["etcd-0"]));
    assert_eq!(output.status.code(), Some(10));
    assert_eq!(kinds(&output), ["devices", "error"]);
    let elsewhere = ["devices", "node", "healthy", "reproduce"].map(str::to_owned);
    seen.extend(elsewhere);
    assert_eq!(
        seen,
        types(),
        "a type of the schema that no command was seen to print"
    );
}

#[test]
fn colours_are_as_asked_for() {
    let wrong_recipe = ["build", "no-such-recipe"];
    let wrong_line = ["no-such-command"];
    for (words, code) in [(&wrong_recipe[..], 3), (&wrong_line[..], 2)] {
        let said = |more: &[&str]| must_fail(imgbuild().args(words).args(more), code);
        assert!(!said(&[]).contains('\u{1b}'), "colours without a terminal");
        assert!(!said(&["--color", "never"]).contains('\u{1b}'));
        assert!(said(&["--color=always"]).contains("\u{1b}["), "{words:?}");
        let output = run(imgbuild().args(words).args(["--color", "always", "--json"]));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            !text.contains("\\u001b") && !text.contains('\u{1b}'),
            "{text}"
        );
    }
}

/// Warnings are for whoever reads the log, whatever else is silent.
#[test]
fn silence_leaves_results_and_warnings() {
    let show = |more: &[&str]| run(imgbuild().args(["show", "pi-2node"]).args(more));
    let output = show(&["--quiet"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("warning: 2 members"), "{said}");
    assert!(!output.stdout.is_empty());
    let output = show(&["--quiet", "--json"]);
    assert_eq!(kinds(&output), ["show"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let event: Value = serde_json::from_str(said.trim()).unwrap();
    assert_eq!(event["data"]["event"], "warning", "{said}");
}
