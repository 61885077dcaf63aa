//! What is written about the program is what the program does: committed copies of generated
//! texts, the README, manual pages and completions.

use crate::support::{commands, imgbuild, must, repository, scratch};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

fn committed(path: &str) -> String {
    fs_err::read_to_string(repository().join(path)).unwrap()
}

/// Manual pages by file name.
fn pages() -> BTreeMap<String, String> {
    let dir = scratch();
    must(imgbuild().arg("man").arg(dir.path()));
    fs_err::read_dir(dir.path())
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs_err::read_to_string(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn the_recipe_reference_is_the_programs() {
    let printed = must(imgbuild().arg("reference"));
    assert!(
        printed == committed("docs/recipe-reference.md"),
        "docs/recipe-reference.md is not what `imgbuild reference` prints: write it anew"
    );
}

#[test]
fn the_schema_is_the_programs() {
    let printed = must(imgbuild().args(["reference", "--schema"]));
    let schema: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert!(schema["$schema"].is_string(), "{printed}");
    assert!(
        printed == committed("docs/recipe.schema.json"),
        "docs/recipe.schema.json is not what `imgbuild reference --schema` prints: write it anew"
    );
}

#[test]
fn the_description_of_the_output_is_the_programs() {
    let text = must(imgbuild().args(["reference", "--output"]));
    assert!(
        text == committed("docs/output.md"),
        "docs/output.md is not what `imgbuild reference --output` prints: write it anew"
    );
    let schema = must(imgbuild().args(["reference", "--output", "--schema"]));
    assert!(
        schema == committed("docs/output.schema.json"),
        "docs/output.schema.json is not what `imgbuild reference --output --schema` prints: write it \
         anew"
    );
}

#[test]
fn the_readme_names_every_command() {
    let readme = committed("README.md");
    let mut names = commands(&[]);
    names.extend(commands(&["store"]).iter().map(|it| format!("store {it}")));
    for name in names {
        let written = format!("`imgbuild {name}");
        assert!(readme.contains(&written), "the README lacks {written}`");
    }
}

#[test]
fn the_readme_names_every_recipe() {
    let readme = committed("README.md");
    let printed = must(imgbuild().args(["recipes", "--json"]));
    let line: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let recipes = line["data"].as_array().unwrap();
    for name in ["pi-2node", "pi-3node", "vm-3node", "vm-1node"] {
        assert!(
            recipes.iter().any(|recipe| recipe["name"] == name),
            "no recipe {name}: {printed}"
        );
    }
    for recipe in recipes {
        let written = format!("| `{}` |", recipe["name"].as_str().unwrap());
        assert!(
            readme.contains(&written),
            "the README's table lacks {written}"
        );
    }
}

/// The manual page's table is made from the program's own list.
#[test]
fn the_readme_has_every_exit_code_and_no_other() {
    let page = &pages()["imgbuild.1"];
    let of_program: BTreeMap<u32, String> = page
        .lines()
        .skip_while(|line| *line != "Exit codes:")
        .skip(1)
        .map_while(|line| {
            let (code, meaning) = line.trim().split_once(' ')?;
            Some((code.parse().ok()?, meaning.trim().replace("\\-", "-")))
        })
        .collect();
    assert!(of_program.len() > 8, "{page}");
    let readme = committed("README.md");
    let of_readme: BTreeMap<u32, String> = section(&readme, "Exit codes")
        .lines()
        .filter_map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let code = cells.next()?.parse().ok()?;
            Some((code, cells.next()?.to_owned()))
        })
        .collect();
    assert_eq!(of_readme, of_program);
}

/// The text under a heading, up to the next one.
#[track_caller]
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = format!("\n## {heading}\n");
    let (_, rest) = text.split_once(&start).expect("the README has the section");
    rest.split("\n## ").next().unwrap_or(rest)
}

/// `IMGBUILD_…` names in a text.
fn variables(text: &str, into: &mut BTreeSet<String>) {
    for (at, _) in text.match_indices("IMGBUILD_") {
        let name: String = text[at..]
            .chars()
            .take_while(|c| c.is_ascii_uppercase() || *c == '_')
            .collect();
        into.insert(name);
    }
}

fn variables_below(dir: &Path, into: &mut BTreeSet<String>) {
    for entry in fs_err::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            variables_below(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            variables(&fs_err::read_to_string(&path).unwrap(), into);
        }
    }
}

#[test]
fn the_readme_has_the_environment_variables_of_the_sources() {
    let mut of_sources = BTreeSet::new();
    variables_below(&repository().join("builder"), &mut of_sources);
    variables_below(&repository().join("tests/support"), &mut of_sources);
    let mut of_readme = BTreeSet::new();
    variables(
        section(&committed("README.md"), "Environment"),
        &mut of_readme,
    );
    assert_eq!(of_readme, of_sources);
}

#[test]
fn links_lead_to_files() {
    for text in ["README.md", "CHANGELOG.md"] {
        let written = committed(text);
        let targets = written.split("](").skip(1);
        for target in targets.filter_map(|it| it.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            assert!(repository().join(path).exists(), "{text} links to {path}");
        }
    }
}

/// The workflow is YAML that says what each step does, in scripts that bash can read.
#[test]
fn the_example_workflow_can_be_read() {
    let text = committed("docs/examples/release.yml");
    let documents = yaml_rust2::YamlLoader::load_from_str(&text).unwrap();
    let workflow = &documents[0];
    assert!(!workflow["on"].is_badvalue() && !workflow["permissions"].is_badvalue());
    let mut scripts = 0;
    for (_, job) in workflow["jobs"].as_hash().unwrap() {
        assert!(job["runs-on"].as_str().is_some());
        for step in job["steps"].as_vec().unwrap() {
            match (step["uses"].as_str(), step["run"].as_str()) {
                (Some(action), None) => assert!(action.contains('@'), "{action}"),
                (None, Some(script)) => {
                    must(Command::new("bash").args(["-n", "-c", script]));
                    scripts += 1;
                }
                other => panic!("a step does one thing: {other:?}"),
            }
        }
    }
    assert!(scripts >= 3, "{scripts} scripts");
}

/// make reads the example, and would run what it says.
#[test]
fn the_example_makefile_can_be_read() {
    let file = repository().join("docs/examples/Makefile");
    for goal in ["all", "check", "release", "renew", "update"] {
        let mut make = Command::new("make");
        make.arg("--dry-run").arg("-f").arg(&file).arg(goal);
        let said = must(make.arg("RECIPE=vm-1node"));
        assert!(
            said.contains("imgbuild") && said.contains("vm-1node"),
            "{goal}: {said}"
        );
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let pages = pages();
    let mut expected: BTreeSet<String> = BTreeSet::from(["imgbuild.1".to_owned()]);
    expected.extend(
        commands(&[])
            .iter()
            .map(|name| format!("imgbuild-{name}.1")),
    );
    for group in ["pki", "store"] {
        let inner = commands(&[group]);
        expected.extend(
            inner
                .iter()
                .map(|name| format!("imgbuild-{group}-{name}.1")),
        );
    }
    let written: BTreeSet<String> = pages.keys().cloned().collect();
    assert_eq!(written, expected);
    for (file, page) in &pages {
        let title = format!(
            ".TH {} 1  \"imgbuild {}\"",
            file.trim_end_matches(".1"),
            env!("CARGO_PKG_VERSION")
        );
        for part in [
            title.as_str(),
            ".SH NAME",
            ".SH SYNOPSIS",
            ".SH DESCRIPTION",
        ] {
            assert!(page.contains(part), "{file} lacks {part}: {page}");
        }
    }
}
