use imgbuild_base::tree::Collision;
use imgbuild_base::{NodeName, PathError, TreePath};
use imgbuild_pki::{IssueError, KeyError, ValidityError};

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
    /// One of the built-in templates is broken.
    #[error("overlays/{0}: {1}")]
    Template(&'static str, minijinja::Error),
}
