//! Every command line that the documents show is one that the program takes.
#![cfg(test)]

use super::args::Cli;
use clap::CommandFactory;
use clap::error::ErrorKind;
use std::path::{Path, PathBuf};

/// A command line somewhere in a document.
#[derive(Debug)]
struct Shown {
    file: PathBuf,
    words: Vec<String>,
    /// Whether it stands in a sentence, where a command may be named without all it needs.
    in_a_sentence: bool,
}

fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap().to_owned()
}

/// README, changelog, and all below docs/ that is written by hand.
fn documents() -> Vec<PathBuf> {
    let root = repository();
    let mut files = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    for dir in ["docs", "docs/examples"] {
        for entry in fs_err::read_dir(root.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// What a reader puts in place of a word, for the words whose form is checked.
fn filled_in(word: &str) -> &str {
    match word {
        "SHELL" => "bash",
        "DAYS" => "90",
        "COMMAND" => "build",
        word => word,
    }
}

/// The words of a line of shell up to where another command begins.
fn words(line: &str) -> Vec<String> {
    let line = line.replace("$(RECIPE)", "RECIPE").replace("<(", "< ");
    let end = |word: &&str| !["#", "|", "&&", ";", ">", "<", "\\", "&"].contains(word);
    line.split_whitespace()
        .take_while(end)
        .map(|word| word.trim_matches(['"', '\'', ',']))
        .map(|word| filled_in(word.trim_end_matches([';', ')'])).to_owned())
        .collect()
}

/// The line as a command of ours, without what stands before it: a prompt, make's or YAML's
/// marks, variables.
fn command(line: &str) -> Option<Vec<String>> {
    let mut rest = line.trim();
    for mark in ["$ ", "@", "- ", "run: "] {
        rest = rest.strip_prefix(mark).unwrap_or(rest);
    }
    let rest = rest.replace("$(IMGBUILD)", "imgbuild");
    let (program, _) = rest.split_once(' ')?;
    (program == "imgbuild").then(|| words(&rest))
}

fn shown(file: &Path) -> Vec<Shown> {
    let text = fs_err::read_to_string(file).unwrap();
    let markdown = file.extension().is_some_and(|end| end == "md");
    let mut found = Vec::new();
    let mut in_block = !markdown;
    for line in text.lines() {
        if markdown && line.starts_with("```") {
            in_block = !in_block;
            continue;
        }
        let candidates: Vec<&str> = match in_block {
            true => vec![line],
            false => line.split('`').skip(1).step_by(2).collect(),
        };
        found.extend(
            candidates
                .into_iter()
                .filter_map(command)
                .map(|words| Shown {
                    file: file.to_owned(),
                    words,
                    in_a_sentence: !in_block,
                }),
        );
    }
    found
}

/// Why the program does not take it.
fn refused(shown: &Shown) -> Option<String> {
    let error = Cli::command().try_get_matches_from(&shown.words).err()?;
    let named_only = [
        ErrorKind::MissingRequiredArgument,
        ErrorKind::MissingSubcommand,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
        ErrorKind::TooFewValues,
        ErrorKind::InvalidValue,
    ];
    let fine = error.kind() == ErrorKind::DisplayHelp
        || shown.in_a_sentence && named_only.contains(&error.kind());
    (!fine).then(|| {
        format!(
            "{}: {:?}: {error}",
            shown.file.display(),
            shown.words.join(" ")
        )
    })
}

#[test]
fn every_command_line_of_the_documents_is_one() {
    let all: Vec<Shown> = documents().iter().flat_map(|file| shown(file)).collect();
    for file in ["README.md", "release.yml", "Makefile"] {
        let count = all.iter().filter(|it| it.file.ends_with(file)).count();
        assert!(count >= 4, "only {count} command lines found in {file}");
    }
    let wrong: Vec<String> = all.iter().filter_map(refused).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_line_is_seen() {
    for (line, in_a_sentence) in [
        ("imgbuild bulid x", true),
        ("imgbuild build x --chek", true),
        ("$ imgbuild build", false),
        ("\t$(IMGBUILD) lock x --old", false),
    ] {
        let shown = Shown {
            file: PathBuf::new(),
            words: command(line).unwrap(),
            in_a_sentence,
        };
        assert!(refused(&shown).is_some(), "{line}");
    }
}
