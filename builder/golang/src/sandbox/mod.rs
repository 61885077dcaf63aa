//! Running a program where it sees its inputs and nothing else.
//!
//! The running executable starts itself again (`/proc/self/exe`) with a hidden first argument;
//! [`sandbox_main`] takes over in that second process, before it has any thread. There it
//! enters new user, mount, network, pid, IPC and UTS namespaces (`namespaces(7)`), makes a root
//! of its own on a tmpfs that holds only the [`Mount`]s, drops the old one
//! (`pivot_root(2)`), restricts itself with landlock (`landlock(7)`) on top, and only then
//! starts the program, as an unprivileged user and as pid 1: when it ends, whatever it left
//! running ends too.
//!
//! Where the host denies user namespaces (some containers and hardened kernels), landlock
//! alone remains: the program still reads only its inputs and writes only its scratch
//! directory, and TCP is denied from landlock's fourth version on. [`Confinement`] says which
//! it was. Where neither is to be had, nothing is run.

mod inside;

use imgbuild_base::Events;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

pub use inside::sandbox_main;

/// The hidden first argument.
const MARK: &str = "__imgbuild_sandbox";

/// What a directory or file of the host is to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// It may be read, and programs in it run.
    Read,
    /// It may be changed, but nothing in it run.
    Write,
}

/// A directory or file of the host that the program sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Stands, in braces, for the path in arguments and variables: `{go}/bin/go`.
    pub name: String,
    /// Where it is on the host.
    pub host: PathBuf,
    /// Where the program sees it, absolute. Without namespaces it sees the host's path.
    pub inside: PathBuf,
    /// What it may do there.
    pub access: Access,
}

/// Whether to use namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Namespaces {
    /// If the host allows them.
    #[default]
    Try,
    /// No: landlock alone.
    Avoid,
}

/// A program to run and all it may know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// What it sees of the host. `/dev/null`, `/dev/zero` and `/dev/urandom` are added.
    pub mounts: Vec<Mount>,
    /// An existing empty directory on which the new root is mounted.
    pub root: PathBuf,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Its working directory.
    pub cwd: String,
    /// Whether to use namespaces.
    pub namespaces: Namespaces,
}

/// How well the program was confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Confinement {
    /// By namespaces; `landlock` says whether landlock held on top of that.
    Namespaces {
        /// Whether landlock was there as well.
        landlock: bool,
    },
    /// By landlock alone: files are confined, processes are not hidden.
    Landlock {
        /// Whether TCP was denied (landlock's fourth version, Linux 6.7).
        tcp_denied: bool,
    },
}

impl Confinement {
    /// What the user should know, if anything.
    #[must_use]
    pub const fn warning(self) -> Option<&'static str> {
        match self {
            Self::Namespaces { .. } => None,
            Self::Landlock { tcp_denied: true } => Some(
                "this host denies user namespaces: the compiler ran under landlock alone \
                 (files confined, TCP denied, other sockets and processes not hidden)",
            ),
            Self::Landlock { tcp_denied: false } => Some(
                "this host denies user namespaces and its landlock knows no network rules: \
                 the compiler's files were confined, its network access was not",
            ),
        }
    }
}

/// What a confined program did.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// How well it was confined.
    pub confinement: Confinement,
}

/// Why a program could not be run in a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// This very executable could not be started again.
    #[error("starting the sandbox's helper (/proc/self/exe)")]
    Helper(#[source] io::Error),
    /// The helper could not confine itself.
    #[error("confining the program: {0}")]
    Setup(String),
    /// The helper ended without a word.
    #[error("the sandbox's helper ended early ({status}): {stderr}")]
    Silent {
        /// How it ended.
        status: ExitStatus,
        /// What it wrote.
        stderr: String,
    },
}

/// The last line on the helper's standard output, after all that the program wrote.
#[derive(Serialize, Deserialize)]
enum Report {
    Confined(Confinement),
    Failed(String),
}

/// What the helper reads from its standard input.
#[derive(Serialize, Deserialize)]
struct Order {
    sandbox: Sandbox,
    parent: u32,
}

impl Sandbox {
    /// Runs the program and waits for its end. A failure of the program itself is in
    /// [`Output::status`].
    ///
    /// The program is killed when the calling thread ends.
    ///
    /// # Errors
    /// [`SandboxError`] when it could not be confined or started; then it did not run.
    pub fn run(&self, events: &Events) -> Result<Output, SandboxError> {
        let order = Order {
            sandbox: self.clone(),
            parent: std::process::id(),
        };
        let order =
            serde_json::to_vec(&order).map_err(|error| SandboxError::Setup(error.to_string()))?;
        let mut helper = Command::new("/proc/self/exe")
            .arg(MARK)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(SandboxError::Helper)?;
        if let Some(mut stdin) = helper.stdin.take() {
            // A helper that died already shows in its report.
            let _ = stdin.write_all(&order);
        }
        let output = helper.wait_with_output().map_err(SandboxError::Helper)?;
        let split = output.stdout.iter().rposition(|&byte| byte == b'\n');
        let report = split.and_then(|at| serde_json::from_slice(&output.stdout[at..]).ok());
        match (report, split) {
            (Some(Report::Confined(confinement)), Some(at)) => {
                if let Some(warning) = confinement.warning() {
                    events.warn(warning);
                }
                Ok(Output {
                    status: output.status,
                    stdout: output.stdout[..at].to_vec(),
                    stderr: output.stderr,
                    confinement,
                })
            }
            (Some(Report::Failed(why)), _) => Err(SandboxError::Setup(why)),
            _ => Err(SandboxError::Silent {
                status: output.status,
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            }),
        }
    }
}

/// Puts the mounts' paths in place of their names in braces.
fn expand(text: &str, mounts: &[Mount], path: impl Fn(&Mount) -> &Path) -> String {
    mounts.iter().fold(text.to_owned(), |text, mount| {
        let name = format!("{{{}}}", mount.name);
        text.replace(&name, &path(mount).to_string_lossy())
    })
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces { landlock: true } => "namespaces and landlock",
            Self::Namespaces { landlock: false } => "namespaces",
            Self::Landlock { tcp_denied: true } => "landlock, TCP denied",
            Self::Landlock { tcp_denied: false } => "landlock, files only",
        })
    }
}
