//! `imgbuild reproduce` against a release that is made here as upstream makes its own: in a clone
//! of a repository laid out as upstream's, by git and go alone, with the flags of upstream's
//! scripts.

use crate::support::inputs::{assert_says, object, reference, scratch_beside_store, sha256};
use crate::support::messages::output_schema;
use crate::support::server::Server;
use crate::support::{imgbuild, must, must_fail, repository, run, shared_store, tool};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A release of upstream's that is made here.
struct Release {
    /// The recipe that asks for this etcd, below the repository's top.
    recipe: &'static str,
    version: &'static str,
    /// What Go calls the machine.
    arch: &'static str,
    /// The modules of the repository, with their versions where those are not the release's, and
    /// their directories.
    modules: &'static [(&'static str, &'static str)],
}

const CURRENT: Release = Release {
    recipe: "recipes/vm-1node.toml",
    version: "3.6.16",
    arch: "amd64",
    modules: &[
        ("api/v3", "api"),
        ("client/pkg/v3", "client/pkg"),
        ("client/v3", "client/v3"),
        ("pkg/v3", "pkg"),
        ("server/v3", "server"),
        ("etcdctl/v3", "etcdctl"),
        ("etcdutl/v3", "etcdutl"),
    ],
};

/// An older series, whose repository has modules that later ones do not have.
const OLDER: Release = Release {
    recipe: "tests/recipes/older-arm64.toml",
    version: "3.5.35",
    arch: "arm64",
    modules: &[
        ("api/v3", "api"),
        ("client/pkg/v3", "client/pkg"),
        ("client/v2@v2.305.35", "client/v2"),
        ("client/v3", "client/v3"),
        ("pkg/v3", "pkg"),
        ("raft/v3", "raft"),
        ("server/v3", "server"),
        ("etcdctl/v3", "etcdctl"),
        ("etcdutl/v3", "etcdutl"),
    ],
};

const PROGRAMS: [(&str, &str); 3] = [
    ("etcd", "server"),
    ("etcdctl", "etcdctl"),
    ("etcdutl", "etcdutl"),
];

/// A clone of the repository, and the site its releases are on.
struct Maker {
    release: Release,
    dir: tempfile::TempDir,
}

impl Maker {
    /// A repository with upstream's modules, one commit and upstream's tags.
    fn new(release: Release) -> Self {
        let maker = Self {
            release,
            dir: scratch_beside_store(),
        };
        let (modules, version) = (maker.release.modules, maker.release.version);
        maker.unpack_go();
        let clone = maker.path("clone");
        fs_err::create_dir_all(clone.join("client")).unwrap();
        for (module, dir) in modules {
            let name = match module.contains('@') {
                true => format!("go.etcd.io/etcd/{module}"),
                false => format!("go.etcd.io/etcd/{module}@v{version}"),
            };
            let told = must(
                maker
                    .go(maker.dir.path())
                    .args(["mod", "download", "-json", &name]),
            );
            let told: Value = serde_json::from_str(&told).unwrap();
            let to = clone.join(dir);
            tool(
                "cp",
                &["-r", told["Dir"].as_str().unwrap(), to.to_str().unwrap()],
            );
        }
        tool("chmod", &["-R", "u+w", clone.to_str().unwrap()]);
        fs_err::write(
            clone.join("go.mod"),
            "module go.etcd.io/etcd/v3\n\ngo 1.26\n",
        )
        .unwrap();
        maker.git(&["init", "--quiet"]);
        maker.git(&["add", "--all"]);
        maker.git(&["commit", "--quiet", "--message", "a release"]);
        for (_, dir) in modules {
            maker.git(&["tag", &format!("{dir}/v{version}")]);
        }
        maker.git(&["tag", &format!("v{version}")]);
        maker
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The Go that the recipe's lock pins, out of the shared store.
    fn unpack_go(&self) {
        let lock = repository()
            .join(self.release.recipe)
            .with_extension("lock");
        let lock = fs_err::read_to_string(lock).unwrap();
        let lock: toml::Table = lock.parse().unwrap();
        let toolchain = &lock["etcd"]["build"]["go"]["toolchain"];
        let host = match cfg!(target_arch = "aarch64") {
            true => "linux-arm64",
            false => "linux-amd64",
        };
        let digest = toolchain["bundles"][host].as_str().unwrap();
        fs_err::create_dir(self.path("go")).unwrap();
        must(
            Command::new("tar")
                .arg("-C")
                .arg(self.path("go"))
                .arg("-xf")
                .arg(object(&shared_store(), digest)),
        );
    }

    /// go, as upstream's machine has it: no settings of the user's but from where modules come.
    fn go(&self, dir: &Path) -> Command {
        let mut command = Command::new(self.path("go/bin/go"));
        command
            .current_dir(dir)
            .env("GOROOT", self.path("go"))
            .env("GOPATH", self.path("gopath"))
            .env("GOCACHE", self.path("gocache"))
            .env("GOFLAGS", "-modcacherw")
            .env("GOTOOLCHAIN", "local")
            .env("CGO_ENABLED", "0")
            .env("GOOS", "linux")
            .env("GOARCH", self.release.arch);
        command
    }

    fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.current_dir(self.path("clone")).args(args);
        // One commit for ever: the shared store keeps what is built of it.
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "etcd")
                .env(format!("GIT_{who}_EMAIL"), "etcd@example.org")
                .env(format!("GIT_{who}_DATE"), "2026-10-22T22:52:36Z");
        }
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null");
        must(&mut command)
    }

    /// What upstream's script does for a program, with one flag more.
    fn build(&self, program: &str, more: &[&str]) {
        let (_, dir) = PROGRAMS
            .into_iter()
            .find(|(name, _)| *name == program)
            .unwrap();
        let sha = self.git(&["rev-parse", "--short", "HEAD"]);
        let linker = format!(
            "-ldflags=-s -w -X=go.etcd.io/etcd/api/v3/version.GitSHA={}",
            sha.trim()
        );
        let mut go = self.go(&self.path("clone").join(dir));
        go.arg("build").args(more);
        go.args(["-trimpath", "-installsuffix=cgo", &linker, "-o"]);
        must(go.arg(self.program(program)).arg("."));
    }

    fn top(&self) -> String {
        format!("etcd-v{}-linux-{}", self.release.version, self.release.arch)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.path("release").join(self.top()).join(name)
    }

    /// Packs the programs and serves them.
    fn publish(&self) -> Server {
        let site = self.path("site").join(format!("v{}", self.release.version));
        fs_err::create_dir_all(&site).unwrap();
        let archive = site.join(format!("{}.tar.gz", self.top()));
        must(
            Command::new("tar")
                .arg("-C")
                .arg(self.path("release"))
                .args([
                    "--mtime=@0",
                    "--owner=0",
                    "--group=0",
                    "--sort=name",
                    "-czf",
                ])
                .arg(&archive)
                .arg(self.top()),
        );
        let sums = format!("{}  {}.tar.gz\n", sha256(&archive), self.top());
        fs_err::write(site.join("SHA256SUMS"), sums).unwrap();
        Server::start(&self.path("site"))
    }

    /// `imgbuild reproduce` on the release at an address.
    fn reproduce(&self, mirror: &str, more: &[&str]) -> Command {
        let mut command = imgbuild();
        command.args(["reproduce", self.release.recipe, "--etcd-mirror", mirror]);
        for name in ["NO_PROXY", "no_proxy"] {
            let others = std::env::var(name).unwrap_or_default();
            command.env(name, format!("127.0.0.1,{others}"));
        }
        command.args(more);
        command
    }

    /// The message it prints, held against the schema, and whether it ended well.
    fn told(&self, server: &Server) -> (Value, bool) {
        let output = run(&mut self.reproduce(&server.url(""), &["--json"]));
        let schema = output_schema();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        for line in &lines {
            assert!(schema.is_valid(line), "{line}");
        }
        assert_eq!(lines[0]["type"], "reproduce", "{text}");
        (lines[0]["data"].clone(), output.status.success())
    }
}

/// The differing programs of a message.
fn differing(told: &Value) -> Vec<&Value> {
    let programs = told["programs"].as_array().unwrap();
    assert_eq!(programs.len(), PROGRAMS.len());
    programs
        .iter()
        .filter(|one| one["identical"] == false)
        .collect()
}

/// Where a section begins in a file, as readelf sees it.
fn section(program: &Path, name: &str) -> usize {
    let table = tool(
        "readelf",
        &["--section-headers", "--wide", program.to_str().unwrap()],
    );
    let line = table
        .lines()
        .find(|line| line.contains(&format!(" {name} ")));
    let mut words = line
        .unwrap()
        .split_whitespace()
        .skip_while(|word| *word != name);
    usize::from_str_radix(words.nth(3).unwrap(), 16).unwrap()
}

/// Makes a release, which must be told to be exactly what is built of the recipe's lock.
#[track_caller]
fn made_and_reproduced(release: Release) -> Maker {
    // Afterwards the shared store has the compiler.
    reference();
    let maker = Maker::new(release);
    fs_err::create_dir_all(maker.program("etcd").parent().unwrap()).unwrap();
    for (program, _) in PROGRAMS {
        maker.build(program, &[]);
    }
    let server = maker.publish();
    let (told, well) = maker.told(&server);
    assert!(well && differing(&told).is_empty(), "{told:#}");
    assert_eq!(told["identical"], true);
    assert_eq!(told["limits"], Value::Array(Vec::new()));
    assert_eq!(told["commit"], maker.git(&["rev-parse", "HEAD"]).trim());
    for one in told["programs"].as_array().unwrap() {
        let file = maker.program(one["name"].as_str().unwrap());
        assert_eq!(one["sha256"], sha256(&file));
    }
    maker
}

#[test]
fn an_older_release_for_another_machine_is_reproduced() {
    let maker = made_and_reproduced(OLDER);
    let header = tool(
        "readelf",
        &["--file-header", maker.program("etcd").to_str().unwrap()],
    );
    assert_says(&header, &["AArch64"]);
}

#[test]
fn a_release_is_reproduced_and_what_differs_is_named() {
    let maker = made_and_reproduced(CURRENT);
    // What is at hand now is not got again.
    let site = format!("file://{}", maker.path("site").display());
    must(&mut maker.reproduce(&site, &["--offline"]));

    // One byte that is not upstream's.
    let etcdctl = maker.program("etcdctl");
    let good = fs_err::read(&etcdctl).unwrap();
    let at = section(&etcdctl, ".rodata") + 4096;
    let mut spoilt = good.clone();
    spoilt[at] ^= 1;
    fs_err::write(&etcdctl, spoilt).unwrap();
    let server = maker.publish();
    let (told, well) = maker.told(&server);
    let found = differing(&told);
    assert!(!well && found.len() == 1, "{told:#}");
    assert_eq!(found[0]["name"], "etcdctl");
    assert_eq!(found[0]["offset"], at);
    assert_eq!(found[0]["section"], ".rodata");
    assert_eq!(found[0]["sections"], serde_json::json!([".rodata"]));
    assert_eq!(found[0]["differences"], Value::Array(Vec::new()));
    let error = must_fail(&mut maker.reproduce(&site, &[]), 8);
    assert_says(&error, &["etcdctl of etcd-v3.6.16-linux-amd64.tar.gz"]);
    fs_err::write(&etcdctl, good).unwrap();

    // Another flag than upstream's scripts have.
    maker.build("etcdutl", &["-tags=elsewhere"]);
    let server = maker.publish();
    let (told, well) = maker.told(&server);
    let found = differing(&told);
    assert!(!well && found.len() == 1, "{told:#}");
    assert_eq!(found[0]["name"], "etcdutl");
    let tags = serde_json::json!({"what": "-tags", "upstream": "elsewhere", "here": null});
    assert_eq!(found[0]["differences"], Value::Array(vec![tags]));
    let output = run(&mut maker.reproduce(&site, &["--quiet"]));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_says(&text, &["etcd identical", "-tags: elsewhere, here none"]);
}

#[test]
fn what_upstream_does_not_build_is_refused() {
    for (recipe, code, says) in [
        ("pi-2node", 3, "upstream releases no etcd for armhf"),
        ("debian-3node", 3, "source = \"build\""),
    ] {
        let error = must_fail(imgbuild().args(["reproduce", recipe]), code);
        assert_says(&error, &[says]);
    }
    let nowhere = [
        "reproduce",
        "vm-1node",
        "--etcd-mirror",
        "http://127.0.0.1:1",
    ];
    let error = must_fail(imgbuild().args(nowhere), 5);
    assert_says(&error, &["127.0.0.1:1", "--etcd-mirror"]);
}
