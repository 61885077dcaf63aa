use imgbuild_base::tree::Collision;
use imgbuild_base::{NodeName, PathError, TreePath};
use imgbuild_pki::{IssueError, KeyError, ValidityError};
use imgbuild_recipe::values::{SourcePath, UnitName};

/// Why a node's layer cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// A directory of the recipe has characters that would need quoting in a unit, an
    /// environment file or a shell script.
    #[error(
        "/{0} cannot be {1}: expected a path of letters, digits, '.', '_', '-', '+', '@' and '/'"
    )]
    Path(TreePath, &'static str),
    /// The data directory would be lost at every power off.
    #[error(
        "/{0} cannot be the data directory: expected one below /var, where the state partition is mounted"
    )]
    DataDirectory(TreePath),
    /// etcd's binaries would take the place of the wrapper that configures etcdctl.
    #[error(
        "/{0} cannot hold etcd's binaries: expected another directory, because root's etcdctl \
         wrapper is there"
    )]
    BinDirectory(TreePath),
    /// The recipe's authority is the user's own, and was not brought.
    #[error("the recipe has a CA of its own: its certificate and key were not read")]
    OwnAuthority,
    /// A path that cannot exist.
    #[error(transparent)]
    TreePath(#[from] PathError),
    /// Two parts of the layer claim one path, as when the recipe points two directories at
    /// one place.
    #[error("two files of the node's layer collide: {0}")]
    Collision(#[from] Collision),
    /// Days that make no validity.
    #[error(transparent)]
    Validity(#[from] ValidityError),
    /// A certificate cannot be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// An ssh host key cannot be encoded.
    #[error("the ssh host key of {0}: {1}")]
    HostKey(String, KeyError),
    /// A node is on a wireless network whose passphrase nobody brought.
    #[error("{0} is on a wireless network whose passphrase is not known")]
    NoPassphrase(NodeName),
    /// A user that the base layer does not have; and those that it has.
    #[error("there is no user {0}: the base system and its packages have {1}")]
    User(String, String),
    /// The same for a group.
    #[error("there is no group {0}: the base system and its packages have {1}")]
    Group(String, String),
    /// A file beside the recipe was not read.
    #[error("the file {0} beside the recipe was not read")]
    Source(SourcePath),
    /// A file of the recipe's where a package has one.
    #[error(
        "/{0} is there already, of a Debian package: say `replace = true` in its [[file]] to take \
         its place"
    )]
    Exists(TreePath),
    /// A file of the recipe's where the builder writes one.
    #[error(
        "/{0} is written by the builder: a section [[file]] or [[unit]] of the recipe cannot take \
         its place"
    )]
    BuildersFile(TreePath),
    /// A file of the recipe's where a package has a directory.
    #[error("/{0} is a directory: a [[file]] needs a path of its own")]
    IsDirectory(TreePath),
    /// A file of the recipe's below something that is no directory.
    #[error("/{0} cannot be made: /{1} is {2}, not a directory")]
    Through(TreePath, TreePath, &'static str),
    /// A unit of the recipe's that a package has.
    #[error(
        "there is a unit {0} already: say `replace = true` in its [[unit]] to take its place, or \
         `drop_in = \"NAME\"` to change it"
    )]
    UnitExists(UnitName),
    /// A unit that is nowhere.
    #[error(
        "there is no unit {0}: neither the base system nor a package of the recipe has it, nor \
         does a [[unit]] write it"
    )]
    NoUnit(String),
    /// A unit that nothing can start.
    #[error("the unit {0} is masked, so it cannot be enabled")]
    MaskedUnit(String),
    /// A unit that does not say what starts it.
    #[error(
        "the unit {0} cannot be enabled: it has no [Install] section; name what starts it, as in \
         wanted_by = [\"multi-user.target\"]"
    )]
    NoInstall(String),
    /// What systemd would refuse or ignore.
    #[error("the unit {unit}{}: {problem}", from(file))]
    UnitText {
        /// Which.
        unit: UnitName,
        /// The file beside the recipe that its text is from.
        file: Option<String>,
        /// What is wrong.
        problem: String,
    },
    /// One of the built-in templates is broken.
    #[error("overlays/{0}: {1}")]
    Template(&'static str, minijinja::Error),
}

fn from(file: &Option<String>) -> String {
    file.as_ref()
        .map_or_else(String::new, |file| format!(" of the file {file}"))
}
