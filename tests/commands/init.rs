//! `imgbuild init` writes recipes that can be built, from flags and from answers on a terminal,
//! and never over what is there.

use crate::support::inputs::assert_says;
use crate::support::messages::output_schema;
use crate::support::{imgbuild, must, must_fail, scratch};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG5vdCBhIGtleSBvZiBhbnlib2R5IGF0IGFsbCE= a@b";

fn init(dir: &Path, flags: &str) -> Command {
    let mut command = imgbuild();
    command.current_dir(dir).arg("init");
    command.args(flags.split_whitespace()).stdin(Stdio::null());
    command
}

/// The recipe can be used: all that is missing is its lock.
#[track_caller]
fn assert_usable(dir: &Path, name: &str) {
    let error = must_fail(imgbuild().current_dir(dir).args(["show", name]), 4);
    assert_says(&error, &["has no lock", &format!("imgbuild lock {name}")]);
    let listed = must(imgbuild().current_dir(dir).arg("recipes"));
    assert!(listed.contains(&format!("recipes/{name}.toml")), "{listed}");
}

#[test]
fn flags_make_a_recipe() {
    let dir = scratch();
    fs_err::write(dir.path().join("key.pub"), format!("{KEY}\n")).unwrap();
    let flags = "--name home --board vm --nodes 3 --subnet 10.9.0.0/24 --gateway 10.9.0.1 \
                 --dns 10.9.0.1 --source build --ssh-key key.pub";
    let said = must(&mut init(dir.path(), flags));
    assert_says(
        &said,
        &[
            "recipes/home.toml is written",
            "2 of 3 members",
            "imgbuild lock home",
        ],
    );
    assert_usable(dir.path(), "home");
    let file = dir.path().join("recipes/home.toml");
    let text = fs_err::read_to_string(&file).unwrap();
    for line in [
        "name = \"home\"",
        "source = \"build\"",
        "gateway = \"10.9.0.1\"",
        "dns = [\"10.9.0.1\"]",
        "address = \"10.9.0.12\"",
    ] {
        assert!(text.lines().any(|it| it == line), "no {line} in\n{text}");
    }
    assert!(text.contains(KEY), "{text}");

    // Nothing is written over, unless that is asked for.
    fs_err::write(&file, "mine").unwrap();
    let error = must_fail(&mut init(dir.path(), flags), 7);
    assert_says(&error, &["recipes/home.toml is there already", "--force"]);
    assert_eq!(fs_err::read_to_string(&file).unwrap(), "mine");
    must(&mut init(dir.path(), &format!("{flags} --force")));
    assert_eq!(fs_err::read_to_string(&file).unwrap(), text);
    let left = fs_err::read_dir(dir.path().join("recipes"))
        .unwrap()
        .count();
    assert_eq!(left, 1, "something is left beside the recipe");
}

#[test]
fn nodes_and_files_can_be_named() {
    let dir = scratch();
    let flags = "--name two --board raspberry-pi --arch armhf --subnet 192.168.7.0/24 \
                 --node left=192.168.7.5 --node right=192.168.7.6 --wifi home --wifi-country DE \
                 --out two.toml --json";
    let output = init(dir.path(), flags).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let line = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output_schema().is_valid(&line), "{line}");
    assert_eq!(line["type"], "init");
    assert_eq!(line["data"]["path"], "two.toml");
    let events = String::from_utf8(output.stderr).unwrap();
    assert_says(&events, &["warning", "2 members", "no failure"]);
    let recipe = fs_err::read_to_string(dir.path().join("two.toml")).unwrap();
    assert_says(
        &recipe,
        &["[network.wifi]", "two.passphrase", "name = \"right\""],
    );
    must_fail(
        imgbuild()
            .current_dir(dir.path())
            .args(["show", "./two.toml"]),
        4,
    );
}

#[test]
fn what_is_missing_or_wrong_is_named_and_nothing_written() {
    let dir = scratch();
    let error = must_fail(&mut init(dir.path(), ""), 2);
    assert_says(
        &error,
        &["--name", "--board", "--subnet", "--nodes", "--yes"],
    );
    let error = must_fail(&mut init(dir.path(), "--yes"), 2);
    assert_says(&error, &["--name", "--subnet"]);
    assert!(!error.contains("--board"), "{error}");
    let good = "--yes --name a --subnet 10.0.0.0/24";
    for (flags, code, says) in [
        ("--nodes 0", 2, "--nodes"),
        ("--nodes 3 --node a=10.0.0.1", 2, "--nodes"),
        ("--node a", 2, "NAME=ADDRESS"),
        ("--gateway 10.1.0.1", 3, "10.1.0.1"),
        ("--node a=10.1.0.7", 3, "10.1.0.7"),
        ("--arch armhf", 3, "armhf"),
        ("--wifi x --wifi-country DE", 3, "wifi"),
        ("--ssh-key nowhere.pub", 1, "nowhere.pub"),
    ] {
        let error = must_fail(&mut init(dir.path(), &format!("{good} {flags}")), code);
        assert_says(&error, &[says]);
    }
    must_fail(
        &mut init(dir.path(), "--yes --name a --subnet 10.0.0.0/30"),
        3,
    );
    assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 0);
}

/// script(1) gives the program a terminal; wrong answers are asked for again.
#[test]
fn a_terminal_is_asked() {
    let dir = scratch();
    let program = env!("CARGO_BIN_EXE_imgbuild");
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!("{program} init --subnet 10.3.0.0/24"))
        .arg("/dev/null")
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let answers = ["Not A Name", "asked", "toaster", "", "arm64", "x", "2", ""];
    let mut input = script.stdin.take().unwrap();
    writeln!(input, "{}", answers.join("\n")).unwrap();
    let output = script.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    drop(input);
    assert!(output.status.success(), "{said}");
    assert_says(
        &said,
        &[
            "Name of the cluster: ",
            "host name label",
            "[vm]: ",
            "expected vm or raspberry-pi",
            "amd64 or arm64",
            "How many nodes [3]: ",
            "recipes/asked.toml is written",
            "no failure",
        ],
    );
    assert_usable(dir.path(), "asked");
    let recipe = fs_err::read_to_string(dir.path().join("recipes/asked.toml")).unwrap();
    assert_says(&recipe, &["arch = \"arm64\"", "address = \"10.3.0.11\""]);
    assert!(!recipe.contains("10.3.0.12"), "{recipe}");
}
