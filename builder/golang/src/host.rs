use crate::GoLock;
use crate::stall::Patience;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The settings that say from where modules come; the user's own are kept.
const SETTINGS: [&str; 8] = [
    "GOPROXY",
    "GONOPROXY",
    "GOSUMDB",
    "GONOSUMDB",
    "GOPRIVATE",
    "GOINSECURE",
    "GOVCS",
    "GOAUTH",
];

/// Variables a download may need: proxies, certificates, credentials of private modules.
const PASSED: [&str; 17] = [
    "PATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "NETRC",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "GIT_SSH_COMMAND",
    "GIT_CONFIG_GLOBAL",
];

/// A `go` command that downloads as the user has set Go up. It compiles nothing.
#[derive(Clone, Debug)]
pub struct HostGo {
    go: PathBuf,
    settings: BTreeMap<String, String>,
}

/// Why a `go` command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// It could not be started.
    #[error("starting {go}")]
    Start {
        /// The command.
        go: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It failed.
    #[error("go {what} failed ({status}): {stderr}")]
    Failed {
        /// Its arguments.
        what: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it wrote.
        stderr: String,
    },
    /// It fell silent, each time it was begun.
    #[error(
        "go {what} received nothing for {} s, {} times: look at the proxy that `go env GOPROXY` names",
        Patience::OF_A_PROXY.silence.as_secs(), Patience::OF_A_PROXY.attempts
    )]
    Silent {
        /// Its arguments.
        what: String,
    },
    /// It printed something unexpected.
    #[error("go {what} printed no JSON that could be read")]
    Json {
        /// Its arguments.
        what: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A directory for it could not be made.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One downloaded module, as `go mod download -json` prints it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Downloaded {
    pub(crate) zip: PathBuf,
    pub(crate) go_mod: PathBuf,
    pub(crate) sum: String,
}

impl HostGo {
    /// The `go` in `PATH`; `None` when there is none or it does not run.
    #[must_use]
    pub fn find() -> Option<Self> {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .map(|dir| dir.join("go"))
            .find(|go| go.is_file())
            .and_then(|go| Self::at(&go).ok())
    }

    /// A certain `go`, with the user's settings as that one reads them.
    ///
    /// # Errors
    /// [`HostError`] when it does not run.
    pub fn at(go: &Path) -> Result<Self, HostError> {
        let mut command = Command::new(go);
        command.args(["env", "-json"]).args(SETTINGS);
        command.env("GOTOOLCHAIN", "local").current_dir("/");
        let text = run(&mut command, "env")?;
        let settings = json(&text, "env")?;
        Ok(Self {
            go: go.to_owned(),
            settings,
        })
    }

    /// Another `go` with the same settings: a pinned one instead of the host's.
    #[must_use]
    pub fn with_binary(&self, go: &Path) -> Self {
        Self {
            go: go.to_owned(),
            settings: self.settings.clone(),
        }
    }

    /// The same `go`, downloading only from a module cache that is on this machine.
    #[must_use]
    pub(crate) fn offline(&self, download: &Path) -> Self {
        let proxy = format!("file://{}", download.display());
        let settings = [("GOPROXY", proxy.as_str()), ("GOSUMDB", "off")];
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            go: self.go.clone(),
            settings: settings.map(own).into(),
        }
    }

    /// A command in `cwd` whose module cache, build cache and state are below `home`. Of the
    /// user's environment it has what a download needs, and no flags.
    pub(crate) fn command(&self, home: &Path, cwd: &Path, flags: &str) -> Command {
        let mut command = Command::new(&self.go);
        command
            .env_clear()
            .envs(
                PASSED
                    .iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .envs(self.settings.iter().filter(|(_, value)| !value.is_empty()))
            .env("GOENV", "off")
            .env("GOFLAGS", format!("-modcacherw {flags}").trim_end())
            .env("GOTOOLCHAIN", "local")
            .env("GOWORK", "off")
            .env("GO111MODULE", "on")
            .env("CGO_ENABLED", "0")
            .env("GOPATH", home.join("path"))
            .env("GOMODCACHE", home.join("mod"))
            .env("GOCACHE", home.join("cache"))
            .current_dir(cwd);
        command
    }

    /// Downloads modules given as `path@version` into the module cache below `home`; Go checks
    /// them against the checksum database.
    pub(crate) fn download(
        &self,
        home: &Path,
        modules: &[String],
    ) -> Result<Vec<Downloaded>, HostError> {
        let mut command = self.command(home, home, "");
        command.args(["mod", "download", "-json"]).args(modules);
        let what = format!("mod download {}", modules.join(" "));
        let text = download(&mut command, home, &what)?;
        serde_json::Deserializer::from_slice(&text)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|source| HostError::Json { what, source })
    }

    /// What the `go.mod` in a directory says, as `go mod edit -json` prints it.
    pub(crate) fn read_go_mod<T: serde::de::DeserializeOwned>(
        &self,
        home: &Path,
        dir: &Path,
    ) -> Result<T, HostError> {
        let mut command = self.command(home, dir, "");
        let text = run(command.args(["mod", "edit", "-json"]), "mod edit")?;
        json(&text, "mod edit")
    }

    /// Downloads whatever the programs of a main module need on any architecture.
    pub(crate) fn load(
        &self,
        home: &Path,
        source: &Path,
        packages: &[&str],
    ) -> Result<(), HostError> {
        for arch in imgbuild_base::Arch::ALL {
            let mut command = self.command(home, source, "-mod=readonly");
            command.env("GOOS", "linux").env("GOARCH", arch.goarch());
            command.args(["list", "-deps"]).args(packages);
            download(&mut command, home, "list -deps")?;
        }
        Ok(())
    }
}

/// Writes the lock's main module into a directory.
pub(crate) fn write_main_module(lock: &GoLock, dir: &Path) -> io::Result<()> {
    fs_err::create_dir_all(dir)?;
    fs_err::write(dir.join("go.mod"), &lock.go_mod)?;
    fs_err::write(dir.join("go.sum"), lock.go_sum.to_string())
}

/// Runs a command and gives its standard output.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<Vec<u8>, HostError> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| cannot_start(command, source))?;
    said(output, what)
}

/// As [`run`], for a command of [`HostGo::command`] that downloads into the cache below `home`.
pub(crate) fn download(
    command: &mut Command,
    home: &Path,
    what: &str,
) -> Result<Vec<u8>, HostError> {
    let output = Patience::OF_A_PROXY
        .run(command, &watched(home))
        .map_err(|source| cannot_start(command, source))?;
    let silent = || HostError::Silent {
        what: what.to_owned(),
    };
    said(output.ok_or_else(silent)?, what)
}

/// Where whatever a command of [`HostGo::command`] downloads arrives, archive by archive or as a
/// repository's objects.
fn watched(home: &Path) -> PathBuf {
    home.join("mod/cache")
}

fn cannot_start(command: &Command, source: io::Error) -> HostError {
    HostError::Start {
        go: command.get_program().to_string_lossy().into_owned(),
        source,
    }
}

fn said(output: Output, what: &str) -> Result<Vec<u8>, HostError> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    // With -json a failure is told on standard output.
    let said = [output.stderr, output.stdout].concat();
    Err(HostError::Failed {
        what: what.to_owned(),
        status: output.status,
        stderr: tail(&said),
    })
}

/// The last lines of what a program wrote, for an error.
pub(crate) fn tail(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

fn json<'a, T: Deserialize<'a>>(text: &'a [u8], what: &str) -> Result<T, HostError> {
    serde_json::from_slice(text).map_err(|source| HostError::Json {
        what: what.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dirhash::tests::zip_of;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::time::Duration;

    /// A proxy with one module, whose archive comes in pieces with a pause after each; after
    /// `pieces` of them nothing comes any more. Returns its address.
    fn proxy(pause: Duration, pieces: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        // Digests compress to half their digits: there are four pieces and more.
        let noise: Vec<String> = (0..128_u8)
            .map(|at| imgbuild_base::Digest::of(&[at]).to_string())
            .collect();
        let noise = noise.concat();
        let archive = zip_of(&[("example.org/m@v1.0.0/noise", noise.as_bytes())]);
        assert!(archive.len() > 4096, "{} bytes", archive.len());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let wanted = lines.next().unwrap().unwrap();
                lines.by_ref().map_while(Result::ok).find(String::is_empty);
                let body = match wanted.split(' ').nth(1) {
                    Some("/example.org/m/@v/v1.0.0.info") => br#"{"Version":"v1.0.0"}"#.to_vec(),
                    Some("/example.org/m/@v/v1.0.0.mod") => b"module example.org/m\n".to_vec(),
                    _ => archive.clone(),
                };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).unwrap();
                std::thread::spawn(move || {
                    for (at, piece) in body.chunks(1024).enumerate() {
                        if at >= pieces {
                            std::thread::sleep(Duration::from_secs(60));
                        }
                        if stream.write_all(piece).is_err() {
                            return;
                        }
                        if body.len() > 1024 {
                            std::thread::sleep(pause);
                        }
                    }
                });
            }
        });
        address
    }

    /// What a real `go` downloads from that proxy with this patience.
    fn downloaded(proxy: &str) -> Option<Output> {
        let patience = Patience {
            silence: Duration::from_secs(3),
            attempts: 2,
        };
        let home = tempfile::tempdir().unwrap();
        let go = HostGo::find().expect("go is installed");
        let mut command = go.command(home.path(), home.path(), "");
        command
            .env("GOPROXY", proxy)
            .env("GOSUMDB", "off")
            .env("NO_PROXY", "127.0.0.1")
            .args(["mod", "download", "-json", "example.org/m@v1.0.0"]);
        patience.run(&mut command, &watched(home.path())).unwrap()
    }

    #[test]
    fn a_slow_proxy_is_waited_for_and_a_silent_one_is_not() {
        let slow = downloaded(&proxy(Duration::from_secs(1), usize::MAX)).expect("it was heard");
        assert!(slow.status.success(), "{}", tail(&slow.stdout));
        assert!(downloaded(&proxy(Duration::ZERO, 2)).is_none());
    }
}
