//! Shells complete commands, options, recipes and nodes: a real bash reads the script of
//! `imgbuild completions` and is asked what it offers.

use crate::support::{commands, imgbuild, must, repository, scratch};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Calls what `complete` registered for imgbuild as bash would for the words given to it, the last
/// of which is being typed.
const ASK: &str = r#"
source <(imgbuild completions bash)
registered=$(complete -p imgbuild)
[[ $registered =~ -F\ ([^ ]+) ]]
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_TYPE=9
"${BASH_REMATCH[1]}" imgbuild "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// What bash offers for the last of some words.
#[track_caller]
fn offered(dir: &Path, words: &[&str]) -> BTreeSet<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_imgbuild"));
    let path = std::env::var("PATH").unwrap();
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", ASK, "bash"])
        .args(words)
        .current_dir(dir)
        .env(
            "PATH",
            format!("{}:{path}", program.parent().unwrap().display()),
        );
    must(&mut bash).lines().map(str::to_owned).collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn recipes_are_offered_wherever_one_is_named() {
    let dir = scratch();
    fs_err::create_dir(dir.path().join("recipes")).unwrap();
    let own = "# Mine\n[cluster]\nname = \"vm-mine\"\n[image]\nboard = \"vm\"\n[network]\n\
               subnet = \"10.0.0.0/24\"\n[[node]]\nname = \"alpha\"\naddress = \"10.0.0.7\"\n\
               [[node]]\nname = \"beta\"\naddress = \"10.0.0.8\"\n";
    fs_err::write(dir.path().join("recipes/vm-mine.toml"), own).unwrap();
    let vms = set(&["vm-1node", "vm-1node-arm64", "vm-3node", "vm-mine"]);
    for line in [
        &["imgbuild", "--recipe", "vm-"][..],
        &["imgbuild", "-r", "vm-"],
        &["imgbuild", "build", "vm-"],
        &["imgbuild", "lock", "vm-"],
        &["imgbuild", "show", "vm-"],
        &["imgbuild", "run", "vm-"],
        &["imgbuild", "pki", "vm-"],
        &["imgbuild", "release", "vm-"],
        &["imgbuild", "reproduce", "vm-"],
        &["imgbuild", "node-layer", "vm-"],
        &["imgbuild", "flash", "vm-"],
        &["imgbuild", "store", "gc", "--forget", "vm-"],
        &["imgbuild", "run", "--until", "healthy", "vm-"],
    ] {
        assert_eq!(offered(dir.path(), line), vms, "{line:?}");
    }
    assert_eq!(
        offered(dir.path(), &["imgbuild", "build", "./rec"]),
        set(&["./recipes/"])
    );
    let file = ["imgbuild", "build", "./recipes/vm-mine.toml", "--node", ""];
    assert_eq!(offered(dir.path(), &file), set(&["alpha", "beta"]));
    let named = ["imgbuild", "build", "vm-mine", "--node", "b"];
    assert_eq!(offered(dir.path(), &named), set(&["beta"]));
}

#[test]
fn nodes_of_the_recipe_on_the_line_are_offered() {
    let etcds = set(&["etcd-0", "etcd-1", "etcd-2"]);
    for line in [
        &["imgbuild", "build", "vm-3node", "--node", ""][..],
        &["imgbuild", "--recipe", "vm-3node", "--node", "etcd"],
        // As bash splits `--recipe=vm-3node`.
        &["imgbuild", "--recipe", "=", "vm-3node", "--node", ""],
        &["imgbuild", "run", "vm-3node", "--hold", "e"],
        &["imgbuild", "run", "--json", "vm-3node", "--hold", "e"],
        &["imgbuild", "node-layer", "vm-3node", "e"],
        &["imgbuild", "flash", "vm-3node", "e"],
    ] {
        assert_eq!(offered(&repository(), line), etcds, "{line:?}");
    }
    let pi = ["imgbuild", "-r", "pi-2node", "--node", ""];
    assert_eq!(
        offered(&repository(), &pi),
        set(&["controller-0", "controller-1"])
    );
    let unknown = ["imgbuild", "build", "no-such", "--node", ""];
    assert_eq!(offered(&repository(), &unknown), set(&[""]));
}

#[test]
fn commands_and_words_are_offered() {
    let commands: BTreeSet<String> = commands(&[]).into_iter().collect();
    let known = offered(&repository(), &["imgbuild", ""]);
    assert!(commands.is_subset(&known), "{commands:?} {known:?}");
    let shells = ["bash", "elvish", "fish", "powershell", "zsh"];
    let known = offered(&repository(), &["imgbuild", "completions", ""]);
    assert!(set(&shells).is_subset(&known), "{known:?}");
    let fish = offered(&repository(), &["imgbuild", "completions", "fi"]);
    assert_eq!(fish, set(&["fish"]));
    let store = offered(&repository(), &["imgbuild", "store", "gc", "--dry"]);
    assert_eq!(store, set(&["--dry-run"]));
}

/// The other shells' scripts call the program back in the same way.
#[test]
fn every_shell_has_its_script() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = must(imgbuild().args(["completions", shell]));
        assert!(script.contains("IMGBUILD_COMPLETE"), "{shell}: {script}");
        assert!(
            script.contains("_CLAP_COMPLETE_INDEX") || script.contains("--"),
            "{shell}"
        );
    }
}
