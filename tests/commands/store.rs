//! A build can be looked into before and after it is done, and what the store keeps of it can be
//! measured, collected and mended: `show`, `why`, `graph` and `store`.

use crate::support::inputs::{
    assert_says, cloned_store, files_below, isolate, isolated_build, object, recipe_copy,
    reference, scratch_beside_store, sums,
};
use crate::support::{imgbuild, must, must_fail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A recipe and a store of its own that has everything but the base layer.
struct Case {
    _dir: tempfile::TempDir,
    recipe: PathBuf,
    out: PathBuf,
    store: PathBuf,
}

impl Case {
    fn new() -> Self {
        reference();
        let dir = scratch_beside_store();
        let store = dir.path().join("store");
        cloned_store(&store, |what| what.starts_with("base-layer:"));
        Self {
            recipe: recipe_copy(dir.path(), "vm-1node"),
            out: dir.path().join("out"),
            store,
            _dir: dir,
        }
    }

    /// A command with the store, and without a network.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = imgbuild();
        command.args(words);
        isolate(&mut command, &self.store, None);
        command
    }

    /// A command about the recipe's build.
    fn about(&self, verb: &str, words: &[&str]) -> Command {
        let mut command = self.command(&[verb]);
        command.arg(&self.recipe).args(words);
        command.arg("--out").arg(&self.out);
        command
    }

    fn build(&self) -> Command {
        isolated_build(&self.recipe, &self.out, &self.store, None)
    }

    /// A row of the table of `show`: how many steps of a kind are to be done.
    fn to_be_done(&self, kind: &str) -> String {
        let shown = must(&mut self.about("show", &[]));
        let (recipe, rows) = shown.split_once("# what building it does").unwrap();
        let recipe: toml::Table = recipe.parse().unwrap();
        assert_eq!(recipe["cluster"]["name"].as_str(), Some("vm-1node"));
        let row = rows.lines().find_map(|line| {
            let line = line.strip_prefix("# ")?.strip_prefix(kind)?;
            line.strip_suffix(" to be done").map(str::trim)
        });
        row.unwrap_or_else(|| panic!("no {kind} in {rows}"))
            .to_owned()
    }

    /// The digest of the base layer.
    fn base_layer(&self) -> String {
        let results = files_below(&self.store.join("results/base-layer"));
        assert_eq!(results.len(), 1, "{results:?}");
        let text = fs_err::read_to_string(&results[0]).unwrap();
        let result: serde_json::Value = serde_json::from_str(&text).unwrap();
        result["outputs"]["layer"]["digest"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

#[test]
fn a_build_is_explained_before_and_after() {
    let case = Case::new();
    assert_eq!(case.to_be_done("base-layer"), "1 of 1");
    assert_eq!(case.to_be_done("etcd-layer"), "0 of 1");
    let why = must(&mut case.about("why", &["base-layer:amd64"]));
    assert_says(
        &why,
        &[
            "to be made",
            "compose:amd64 = ",
            "not part of the last build",
        ],
    );

    // Every arrow of the graph leads from one of its steps to another.
    let graph = must(&mut case.about("graph", &[]));
    let mut steps = BTreeSet::new();
    let mut arrows = Vec::new();
    for line in graph.lines().filter(|line| line.starts_with("  \"")) {
        let names: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
        match names[..] {
            [from, to] => arrows.push((from, to)),
            [name] => assert!(steps.insert(name), "{name} is there twice"),
            _ => panic!("{line}"),
        }
    }
    assert!(graph.starts_with("digraph \"vm-1node\" {\n") && graph.ends_with("}\n"));
    assert!(arrows.len() >= steps.len() - 1, "{graph}");
    for (from, to) in &arrows {
        assert!(steps.contains(from) && steps.contains(to), "{from} -> {to}");
    }
    assert!(arrows.contains(&("base-layer:amd64", "disk:etcd-0")));
    assert!(
        graph.contains("\"etcd:build-amd64\" [style=filled];"),
        "{graph}"
    );
    assert!(
        graph.contains("\"base-layer:amd64\" [style=solid];"),
        "{graph}"
    );
    assert!(
        graph.contains("\"node-layer:etcd-0\" [style=dashed];"),
        "{graph}"
    );

    must(&mut case.build());
    assert_eq!(case.to_be_done("base-layer"), "0 of 1");
    let why = must(&mut case.about("why", &["base-layer:amd64"]));
    assert_says(&why, &["is in the store", "the same as in the last build"]);

    let text = fs_err::read_to_string(&case.recipe).unwrap();
    fs_err::write(&case.recipe, text.replace("10.41.0.10", "10.41.0.11")).unwrap();
    let why = must(&mut case.about("why", &["node-layer:etcd-0"]));
    let (_, changes) = why.split_once("changed since the last build:").unwrap();
    assert_says(changes, &["node: was ", "10.41.0.10", "10.41.0.11"]);
    let why = must(&mut case.about("why", &["base-layer:amd64"]));
    assert_says(&why, &["the same as in the last build"]);
    let error = must_fail(&mut case.about("why", &["nonesuch"]), 1);
    assert_says(&error, &["no step", "imgbuild graph"]);
}

#[test]
fn a_damaged_store_is_mended_and_a_large_one_made_smaller() {
    let case = Case::new();
    must(&mut case.build());
    let good = sums(&case.out);
    assert_eq!(good, reference());

    // The size is what lies on the disk.
    let printed = must(&mut case.command(&["store", "du", "--json"]));
    let du: serde_json::Value = serde_json::from_str(printed.trim()).unwrap();
    let rows = du["data"].as_array().unwrap();
    let all = rows.iter().find(|row| row["kind"] == "all").unwrap();
    let objects = files_below(&case.store.join("objects"));
    let bytes: u64 = objects
        .iter()
        .map(|it| fs_err::metadata(it).unwrap().len())
        .sum();
    assert_eq!(all["count"].as_u64().unwrap(), objects.len() as u64);
    assert_eq!(all["bytes"].as_u64().unwrap(), bytes);

    // A bit flips in the base layer: it is found, removed, and made again by the next build.
    let layer = case.base_layer();
    spoil(&object(&case.store, &layer));
    let error = must_fail(&mut case.command(&["store", "verify"]), 6);
    assert_says(&error, &["1 of ", &layer, "the next build makes again"]);
    assert!(!object(&case.store, &layer).exists());
    must(&mut case.command(&["store", "verify"]));
    fs_err::remove_dir_all(&case.out).unwrap();
    must(&mut case.build());
    assert_eq!(sums(&case.out), good);
    assert_eq!(case.base_layer(), layer);

    // What the last build of a recipe used stays, however old; without the recipe it goes.
    let gc = |words: &[&str]| {
        let days = ["store", "gc", "--older-than", "0"];
        must(&mut case.command(&[&days[..], words].concat()))
    };
    let before = files_below(&case.store);
    let said = gc(&["--forget", "vm-1node", "--dry-run"]);
    assert_says(&said, &["would remove", "0 B stay"]);
    assert_eq!(files_below(&case.store), before);
    gc(&[]);
    assert!(object(&case.store, &layer).exists());
    fs_err::remove_dir_all(&case.out).unwrap();
    must(case.build().arg("--offline"));
    assert_eq!(sums(&case.out), good);
    gc(&["--forget", "vm-1node"]);
    assert_eq!(
        files_below(&case.store.join("objects")),
        Vec::<PathBuf>::new()
    );
    let error = must_fail(
        &mut case.command(&["store", "gc", "--forget", "vm-1node"]),
        7,
    );
    assert_says(&error, &["vm-1node", "keeps nothing", "no roots"]);
}

/// Changes a byte of a store's object, which is another name of the shared store's file.
fn spoil(object: &Path) {
    let mut bytes = fs_err::read(object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::remove_file(object).unwrap();
    fs_err::write(object, bytes).unwrap();
}
