//! Compiles a tiny module with this host's own Go, offline. It has a `main` of its own, since
//! the sandbox starts the running program again. Without a `go` in PATH it fails.

// Without the test harness clippy does not see that this is a test.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use imgbuild_base::{Arch, Digest, Events};
use imgbuild_golang::sandbox::Namespaces;
use imgbuild_golang::{
    CompileError, CompileRequest, GoLock, GoVersion, H1, HostPlatform, ToolchainLock, bundle,
    compile,
};
use std::io::{Cursor, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Flags of the user that would break any build they reached.
const BOGUS: &str = "-bogus";

const GO_MOD: &[u8] = b"module example.org/Hello\n\ngo 1.21\n";
const MAIN_GO: &[u8] = b"package main

import (
	\"os\"
)

var Who = \"nobody\"

func main() { os.Stdout.WriteString(\"hello \" + Who) }
";

fn main() {
    imgbuild_golang::sandbox_main();
    match std::env::args().nth(1).as_deref() {
        Some("compiling") => same_program_in_every_confinement(),
        Some("--list") => {}
        _ => {
            let status = Command::new("/proc/self/exe")
                .arg("compiling")
                .env("GOFLAGS", BOGUS)
                .env("GOARCH", "wasm")
                .status()
                .unwrap();
            assert!(status.success());
            println!("test same_program_in_every_confinement ... ok");
        }
    }
}

fn same_program_in_every_confinement() {
    assert_eq!(std::env::var("GOFLAGS").as_deref(), Ok(BOGUS));
    let dir = tempfile::tempdir().unwrap();
    let host = HostPlatform::current().unwrap();
    let (toolchain, toolchain_digest) = installed_go(dir.path());
    let (modules, lock) = module(dir.path());
    let lock = GoLock {
        toolchain: ToolchainLock {
            version: GoVersion::new(1, 0, 0),
            bundles: [(host, toolchain_digest)].into(),
        },
        ..lock
    };
    let arch = match host {
        HostPlatform::LinuxAmd64 => Arch::Amd64,
        HostPlatform::LinuxArm64 => Arch::Arm64,
    };
    let values = [("main.Who".to_owned(), "world".to_owned())];
    let build = |lock: &GoLock, name: &str, namespaces| {
        let scratch = dir.path().join(name);
        fs_err::create_dir(&scratch).unwrap();
        let request = CompileRequest {
            lock,
            toolchain: &toolchain,
            modules: &modules,
            arch,
            values: &values,
            scratch: &scratch,
            namespaces,
        };
        compile(&request, &Events::none())
    };
    let one = build(&lock, "one", Namespaces::Try).unwrap_or_else(|error| panic!("{error}"));
    let two =
        build(&lock, "another-name", Namespaces::Avoid).unwrap_or_else(|error| panic!("{error}"));
    println!(
        "confined by {}, then by {}",
        one.confinement, two.confinement
    );
    assert!(
        one.programs == two.programs,
        "the confinement shows in the program"
    );

    let program = dir.path().join("hello");
    fs_err::write(&program, &one.programs[0].bytes).unwrap();
    fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(&program).env_clear().output().unwrap();
    assert_eq!(output.stdout, b"hello world");
    let text = String::from_utf8_lossy(&one.programs[0].bytes).into_owned();
    assert!(
        !text.contains(dir.path().to_str().unwrap()),
        "a path of this host leaks"
    );

    let other = GoLock {
        modules: Digest::of(b"other"),
        ..lock.clone()
    };
    let error = build(&other, "other", Namespaces::Try)
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, CompileError::Bundle(_)), "{error}");

    let mut missing = lock;
    missing.programs = [("x".to_owned(), "example.org/missing".to_owned())].into();
    let error = build(&missing, "missing", Namespaces::Try)
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, CompileError::Go { .. }), "{error}");
}

/// A bundle of the Go that is installed here.
fn installed_go(dir: &Path) -> (PathBuf, Digest) {
    let output = Command::new("go")
        .args(["env", "GOROOT"])
        .env_remove("GOFLAGS")
        .env_remove("GOARCH")
        .output()
        .expect("this test needs a go command in PATH");
    let root = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let mut names = Vec::new();
    for part in ["VERSION", "bin/go", "pkg/include", "pkg/tool", "src"] {
        list(&root, part, &mut names);
    }
    names.sort();
    let path = dir.join("go.tar");
    let file = std::io::BufWriter::new(fs_err::File::create(&path).unwrap());
    let mut writer = bundle::Writer::new(file);
    for name in names {
        let executable = name.starts_with("bin/") || name.starts_with("pkg/tool/");
        let bytes = fs_err::read(root.join(&name)).unwrap();
        writer.add(&name, executable, &bytes).unwrap();
    }
    (path, writer.finish().unwrap().0)
}

fn list(root: &Path, name: &str, into: &mut Vec<String>) {
    let path = root.join(name);
    if name.ends_with("testdata") || name.ends_with("_test.go") || name == "src/cmd" {
        return;
    }
    if !path.is_dir() {
        into.push(name.to_owned());
        return;
    }
    for entry in fs_err::read_dir(path).unwrap() {
        let entry = entry.unwrap().file_name();
        list(root, &format!("{name}/{}", entry.to_str().unwrap()), into);
    }
}

/// A bundle of one module, and a lock whose toolchain is still to be filled in.
fn module(dir: &Path) -> (PathBuf, GoLock) {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in [("go.mod", GO_MOD), ("main.go", MAIN_GO)] {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(format!("example.org/Hello@v1.0.0/{name}"), options)
            .unwrap();
        zip.write_all(bytes).unwrap();
    }
    let zip = zip.finish().unwrap().into_inner();
    let sum = format!(
        "example.org/Hello v1.0.0 {}\nexample.org/Hello v1.0.0/go.mod {}\n",
        H1::of_zip(Cursor::new(&zip)).unwrap(),
        H1::of_go_mod(GO_MOD)
    );
    let path = dir.join("modules.tar");
    let mut writer = bundle::Writer::new(fs_err::File::create(&path).unwrap());
    for (end, bytes) in [("mod", GO_MOD), ("zip", &zip)] {
        let name = format!("example.org/!hello/@v/v1.0.0.{end}");
        writer.add(&name, false, bytes).unwrap();
    }
    let lock = GoLock {
        toolchain: ToolchainLock {
            version: GoVersion::new(1, 0, 0),
            bundles: [].into(),
        },
        modules: writer.finish().unwrap().0,
        programs: [("hello".to_owned(), "example.org/Hello".to_owned())].into(),
        go_mod: "module main\n\ngo 1.21\n\nrequire example.org/Hello v1.0.0\n".to_owned(),
        go_sum: sum.parse().unwrap(),
    };
    (path, lock)
}
