//! Where a recipe's text comes from: a file, `recipes/` below the working directory, or the
//! program itself.

use crate::builtin;
use crate::error::{RecipeErrors, nearest};
use crate::load::load;
use crate::resolved::Recipe;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// A recipe that was found, not yet read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name: the file's name without `.toml`.
    pub name: String,
    /// Where it is from.
    pub origin: Origin,
    /// Its text.
    pub text: String,
}

/// Where a recipe is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// Built into the program.
    Builtin {
        /// Its lock, also built in.
        lock: &'static str,
    },
}

/// There is no such recipe, or it cannot be read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum FindError {
    /// No file and no built-in recipe has the name.
    #[error("there is no recipe {name:?}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is, and the nearest of it.
        #[help]
        help: String,
    },
    /// The file cannot be read; the error names it.
    #[error("reading the recipe")]
    Read(#[from] io::Error),
}

impl Source {
    /// What errors and messages call the file.
    #[must_use]
    pub fn file_name(&self) -> String {
        match &self.origin {
            Origin::File(path) => path.display().to_string(),
            Origin::Builtin { .. } => format!("{}.toml (built in)", self.name),
        }
    }

    /// Where the lock of a recipe file is or will be: beside it.
    #[must_use]
    pub fn lock_path(&self) -> Option<PathBuf> {
        match &self.origin {
            Origin::File(path) => Some(path.with_extension("lock")),
            Origin::Builtin { .. } => None,
        }
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// [`RecipeErrors`] with every mistake.
    pub fn load(&self) -> Result<Recipe, RecipeErrors> {
        load(&self.text, &self.file_name())
    }

    /// The first line of its leading comment: what it is, in a few words.
    #[must_use]
    pub fn summary(&self) -> &str {
        self.text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix('#'))
            .unwrap_or_default()
            .trim()
    }
}

/// Finds the recipe called `name`, seen from the directory `dir`: a path when it has a slash
/// or ends in `.toml`; else `recipes/NAME.toml`; else a built-in.
///
/// # Errors
/// [`FindError`] when there is none, listing what there is, or the file cannot be read.
pub fn find(name: &str, dir: &Path) -> Result<Source, FindError> {
    if name.contains('/') || name.ends_with(".toml") {
        return read(&dir.join(name), Path::new(name));
    }
    let below = Path::new("recipes").join(format!("{name}.toml"));
    if dir.join(&below).is_file() {
        return read(&dir.join(&below), &below);
    }
    if let Some(found) = builtin::ALL.iter().find(|one| one.name == name) {
        return Ok(found.source());
    }
    let all = list(dir)?;
    let names = || all.iter().map(|source| source.name.as_str());
    let known = format!("there are {}", names().collect::<Vec<_>>().join(", "));
    Err(FindError::Unknown {
        name: name.to_owned(),
        help: match nearest(name, names()) {
            Some(near) => format!("did you mean {near}? {known}"),
            None => format!("{known}; a file is given by its path, as in ./{name}.toml"),
        },
    })
}

/// Every recipe that [`find`] finds by name, sorted: those of `recipes/` hide built-in ones.
///
/// # Errors
/// When a file there cannot be read.
pub fn list(dir: &Path) -> Result<Vec<Source>, FindError> {
    let mut all: BTreeMap<String, Source> = builtin::ALL
        .iter()
        .map(|one| (one.name.to_owned(), one.source()))
        .collect();
    let recipes = dir.join("recipes");
    if recipes.is_dir() {
        for entry in fs_err::read_dir(&recipes)? {
            let file = PathBuf::from(entry?.file_name());
            if file
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                let source = read(&recipes.join(&file), &Path::new("recipes").join(&file))?;
                all.insert(source.name.clone(), source);
            }
        }
    }
    Ok(all.into_values().collect())
}

/// Reads the file at `path`, which is called `shown`.
fn read(path: &Path, shown: &Path) -> Result<Source, FindError> {
    let text = fs_err::read_to_string(path)?;
    let stem = shown.file_stem().unwrap_or_default();
    Ok(Source {
        name: stem.to_string_lossy().into_owned(),
        origin: Origin::File(shown.to_owned()),
        text,
    })
}
