//! Where things are: the recipe, its lock, its secret, the store, the output.

use crate::error::{CommandError, Failure, OrFail, Result};
use crate::lock::Lock;
use crate::output::put_new_file;
use imgbuild_cluster::Sources;
use imgbuild_pki::ClusterSecret;
use imgbuild_recipe::values::SourcePath;
use imgbuild_recipe::{FindError, Origin, Recipe, Source};
use miette::{GraphicalReportHandler, GraphicalTheme};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A recipe that was found and read.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    source: Source,
    /// The recipe.
    pub(crate) recipe: Recipe,
}

impl Project {
    /// Finds and reads a recipe; all its mistakes are one error.
    pub(crate) fn find(name: &str, color: bool) -> Result<Self> {
        let source = imgbuild_recipe::find(name, Path::new("")).map_err(|error| {
            let failed = CommandError::new(Failure::Recipe, &error);
            match error {
                FindError::Unknown { help, .. } => failed.hint(help),
                FindError::Read(_) => failed,
            }
        })?;
        let recipe = source
            .load()
            .map_err(|mistakes| mistaken(&mistakes, color))?;
        Ok(Self { source, recipe })
    }

    /// The recipe's name.
    pub(crate) fn name(&self) -> &str {
        &self.source.name
    }

    /// The file the recipe was read from, or what stands for it.
    pub(crate) fn file_name(&self) -> String {
        self.source.file_name()
    }

    /// The recipe as it is written.
    pub(crate) fn text(&self) -> &str {
        &self.source.text
    }

    /// The lock as it is written, if there is one, and the name of its file.
    pub(crate) fn lock_file(&self) -> Result<Option<(String, String)>> {
        match (&self.source.origin, self.source.lock_path()) {
            (Origin::Builtin { lock: text }, _) => {
                let name = format!("{}.lock (built in)", self.name());
                Ok(Some(((*text).to_owned(), name)))
            }
            (_, Some(path)) if path.exists() => {
                let text = fs_err::read_to_string(&path).or_fail(Failure::Lock)?;
                Ok(Some((text, path.display().to_string())))
            }
            _ => Ok(None),
        }
    }

    /// The lock, if there is one; not yet held against the recipe.
    pub(crate) fn lock(&self) -> Result<Option<Lock>> {
        let file = self.lock_file()?;
        file.map(|(text, name)| Lock::parse(&text, &name))
            .transpose()
    }

    /// The lock, which must be there and made for this recipe.
    pub(crate) fn matching_lock(&self) -> Result<Lock> {
        let name = self.name();
        let advice = format!("run `imgbuild lock {}`", self.argument());
        let lock = self.lock()?.ok_or_else(|| {
            CommandError::msg(
                Failure::Lock,
                format!("the recipe {name} has no lock: its inputs are not pinned"),
            )
            .hint(format!("{advice}, and commit the lock beside the recipe"))
        })?;
        lock.check(&self.recipe)
            .map_err(|error| error.hint(format!("{advice} to pin the inputs anew")))?;
        Ok(lock)
    }

    /// Where `imgbuild lock` writes.
    pub(crate) fn lock_path(&self) -> Result<PathBuf> {
        self.source.lock_path().ok_or_else(|| {
            let name = self.name();
            let text = format!("the recipe {name} is built into imgbuild, and so is its lock");
            CommandError::msg(Failure::Lock, text).hint(format!(
                "to pin other inputs, save the recipe as recipes/{name}.toml and lock that"
            ))
        })
    }

    /// The files beside the recipe that its sections name.
    pub(crate) fn sources(&self) -> Result<Sources> {
        let nodes = self.recipe.nodes.iter();
        let named: BTreeSet<&SourcePath> = nodes.flat_map(|node| node.system.sources()).collect();
        let mut read = BTreeMap::new();
        for path in named {
            let Origin::File(recipe) = &self.source.origin else {
                let name = self.name();
                let text = format!(
                    "the recipe {name} is built into imgbuild: it has no directory with {path}"
                );
                return Err(CommandError::msg(Failure::Recipe, text).hint(format!(
                    "save the recipe as recipes/{name}.toml and the file beside it"
                )));
            };
            let dir = recipe.parent().unwrap_or(Path::new(""));
            let bytes = read_source(&path.below(dir)).map_err(|error| {
                error.context(format!("reading {path}, which the recipe names"))
            })?;
            read.insert(path.clone(), bytes.into());
        }
        Ok(Sources::new(read))
    }

    /// What a user types to name this recipe.
    fn argument(&self) -> String {
        match &self.source.origin {
            Origin::File(path) if !path.starts_with("recipes") => path.display().to_string(),
            _ => self.name().to_owned(),
        }
    }

    /// Where the cluster's secret is by default: beside the recipe, or in the working
    /// directory for a built-in one.
    pub(crate) fn secret_path(&self) -> PathBuf {
        match &self.source.origin {
            Origin::File(path) => path.with_extension("secret"),
            Origin::Builtin { .. } => PathBuf::from(format!("{}.secret", self.name())),
        }
    }

    /// A file that the recipe names by a path from its own directory; for a built-in recipe,
    /// from the working directory.
    pub(crate) fn beside(&self, path: &str) -> PathBuf {
        match &self.source.origin {
            Origin::File(recipe) => recipe.with_file_name("").join(path),
            Origin::Builtin { .. } => PathBuf::from(path),
        }
    }

    /// Where images go by default.
    pub(crate) fn out_path(&self) -> PathBuf {
        Path::new("images").join(self.name())
    }
}

/// A file for a node's layer, which is made in memory: larger ones belong into a package.
fn read_source(path: &Path) -> Result<Vec<u8>> {
    const LARGEST: u64 = 64 << 20;
    let about = fs_err::metadata(path).or_fail(Failure::Recipe)?;
    let problem = if !about.is_file() {
        "is not a regular file"
    } else if about.len() > LARGEST {
        "has more than 64 MiB"
    } else {
        return fs_err::read(path).or_fail(Failure::Recipe);
    };
    let text = format!("{} {problem}", path.display());
    Err(CommandError::msg(Failure::Recipe, text)
        .hint("`source` takes files of at most 64 MiB; pack larger things as a Debian package"))
}

/// The mistakes of a recipe as people read them: underlined in the file.
pub(crate) fn mistaken(mistakes: &imgbuild_recipe::RecipeErrors, color: bool) -> CommandError {
    let theme = if color {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(theme).with_width(100);
    let report = match handler.render_report(&mut text, mistakes) {
        Ok(()) => text.trim_end().to_owned(),
        Err(_) => mistakes.to_string(),
    };
    CommandError::rendered(Failure::Recipe, report)
}

/// The store's directory: the option, or the user's cache directory (XDG Base Directory
/// Specification).
pub(crate) fn store_path(option: Option<&Path>) -> Result<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    option
        .map(Path::to_owned)
        .or_else(|| absolute("XDG_CACHE_HOME").map(|cache| cache.join("imgbuild")))
        .or_else(|| absolute("HOME").map(|home| home.join(".cache/imgbuild")))
        .ok_or_else(|| {
            CommandError::msg(Failure::Storage, "there is no directory for the store")
                .hint("give one with --store DIR, or set HOME or XDG_CACHE_HOME")
        })
}

/// Reads the cluster's secret, or makes it when the file is not there: the one moment at which
/// anything random happens. Says whether it is new.
pub(crate) fn secret(path: &Path) -> Result<(ClusterSecret, bool)> {
    if path.exists() {
        return Ok((read_secret(path)?, false));
    }
    let secret = ClusterSecret::generate().or_fail(Failure::Other)?;
    match put_new_file(path, secret.to_text().expose().as_bytes(), 0o600) {
        Ok(()) => Ok((secret, true)),
        // Another build made one at the same moment: that one it is.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Ok((read_secret(path)?, false))
        }
        Err(error) => Err(CommandError::new(Failure::Storage, &error)
            .context(format!(
                "keeping the new cluster secret in {}",
                path.display()
            ))
            .hint("give a file you may write to with --secret FILE")),
    }
}

/// Reads the cluster's secret, which must be there.
pub(crate) fn existing_secret(path: &Path) -> Result<ClusterSecret> {
    if path.exists() {
        return read_secret(path);
    }
    let text = format!("there is no secret {}", path.display());
    Err(CommandError::msg(Failure::Storage, text)
        .hint("the first build makes it; give another file with --secret FILE"))
}

fn read_secret(path: &Path) -> Result<ClusterSecret> {
    let text = fs_err::read_to_string(path).or_fail(Failure::Storage)?;
    ClusterSecret::parse(&text)
        .or_fail(Failure::Other)
        .map_err(|error| error.context(format!("reading the secret {}", path.display())))
}
