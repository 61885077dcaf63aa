//! Several processes on one store: racing, killed, without rights. Each starts this very
//! program again with the part it is to play, which is why it has no test harness.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use imgbuild_base::{Digest, Events};
use imgbuild_store::{Output, StepKey, StepKind, StepResult, Store, StoreError};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [part, path] = &arguments[..]
        && let Some(part) = part.strip_prefix("play-")
    {
        return play(part, Path::new(path));
    }
    type Test = (&'static str, fn());
    let tests: [Test; 4] = [
        ("a killed run leaves the store sound", killed),
        ("racing processes build a step once", racing),
        ("a killed builder's lock is free", killed_builder),
        ("a store without rights is read, not written", no_rights),
    ];
    for (name, test) in tests {
        println!("processes: {name} ...");
        test();
    }
    println!("processes: {} passed", tests.len());
}

fn step() -> StepKey {
    StepKey::new(StepKind::new("etcd").unwrap(), Digest::of(b"step"))
}

fn open(path: &Path) -> Store {
    Store::open(path, &Events::none()).unwrap()
}

/// What the other process does. It says "ready" when its moment has come.
fn play(part: &str, path: &Path) {
    let ready = || {
        println!("ready");
        std::io::stdout().flush().unwrap();
    };
    match part {
        "writer" => {
            let store = open(path);
            let mut stream = store.writer().unwrap();
            let mut patched = store.seek_writer().unwrap();
            let mut partial = store.partial_writer(Digest::of(b"whole")).unwrap();
            partial.write_all(b"wh").unwrap();
            partial.flush().unwrap();
            let scratch = store.scratch().unwrap();
            fs_err::write(scratch.path().join("output"), "x").unwrap();
            for piece in 0.. {
                stream.write_all(&[b'x'; 100_000]).unwrap();
                patched.write_all(&[b'y'; 100_000]).unwrap();
                if piece == 10 {
                    ready();
                }
            }
        }
        "builder" => {
            let store = open(path);
            let _guard = store.lock(&step(), "etcd").unwrap();
            ready();
            loop {
                std::thread::park();
            }
        }
        "racer" => {
            let store = open(path);
            ready();
            let built = store.realise(&step(), "etcd", || {
                println!("built");
                std::thread::sleep(std::time::Duration::from_millis(50));
                let object = store.put(b"etcd")?;
                Ok::<_, StoreError>(StepResult {
                    what: "etcd".to_owned(),
                    outputs: [("out".to_owned(), Output::from(&object))].into(),
                    ..StepResult::default()
                })
            });
            let outputs = built.unwrap().into_result().outputs;
            assert_eq!(outputs["out"].digest, Digest::of(b"etcd"));
        }
        "reader" => {
            let store = open(path);
            assert!(store.is_read_only());
            let object = store.object(Digest::of(b"content")).unwrap().unwrap();
            assert_eq!(&object.bytes().unwrap()[..], b"content");
            let refused = store.put(b"more").unwrap_err();
            assert!(
                matches!(refused, StoreError::ReadOnly { .. }),
                "{refused:?}"
            );
            let beside = path.with_file_name("another");
            let refused = Store::open(&beside, &Events::none()).unwrap_err();
            assert!(matches!(refused, StoreError::Denied { .. }), "{refused:?}");
            assert!(refused.to_string().contains("--store"), "{refused}");
            ready();
        }
        other => panic!("there is no part {other:?}"),
    }
}

fn start_as(
    program: &Path,
    part: &str,
    path: &Path,
    uid: Option<u32>,
) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(program);
    command.arg(format!("play-{part}")).arg(path);
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (child, output)
}

fn start(part: &str, path: &Path) -> (Child, BufReader<ChildStdout>) {
    start_as(&std::env::current_exe().unwrap(), part, path, None)
}

fn names(directory: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs_err::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    all.sort();
    all
}

fn killed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let ours = open(&path);
    let (mut child, _output) = start("writer", &path);
    assert_eq!(names(&path.join("tmp")).len(), 2);
    // The living are left alone by somebody who opens the store.
    drop(open(&path));
    assert_eq!(names(&path.join("tmp")).len(), 2);
    child.kill().unwrap();
    child.wait().unwrap();

    let store = open(&path);
    assert_eq!(
        names(&path.join("tmp")).len(),
        2,
        "ours twice, the dead one's is gone"
    );
    assert!(names(&path.join("objects")).is_empty());
    assert!(store.verify(false).unwrap().is_sound());
    let mut partial = store.partial_writer(Digest::of(b"whole")).unwrap();
    partial.write_all(b"ole").unwrap();
    partial
        .commit_expecting(Digest::of(b"whole"), Some(5))
        .unwrap();
    drop(ours);
}

fn racing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    // None of them finds a store: they race for making it, too.
    let racers: Vec<_> = (0..6)
        .map(|_| {
            let program = std::env::current_exe().unwrap();
            let mut command = Command::new(program);
            command.arg("play-racer").arg(&path).stdout(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let mut built = 0;
    for racer in racers {
        let output = racer.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        built += text.lines().filter(|line| *line == "built").count();
    }
    assert_eq!(built, 1);
    let store = open(&path);
    assert!(store.verify(false).unwrap().is_sound());
    assert!(store.result(&step()).unwrap().is_some());
    assert_eq!(names(&path.join("tmp")).len(), 1);
}

fn killed_builder() {
    let directory = tempfile::tempdir().unwrap();
    let (mut child, _output) = start("builder", directory.path());
    let store = open(directory.path());
    let refused = store.gc(&imgbuild_store::GcPolicy {
        now: std::time::SystemTime::now(),
        older_than: None,
        max_size: None,
        forget: std::collections::BTreeSet::new(),
        dry_run: false,
    });
    assert!(
        matches!(refused, Err(StoreError::InUse { .. })),
        "{refused:?}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    drop(store.lock(&step(), "etcd").unwrap());
}

fn no_rights() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    open(&path).put(b"content").unwrap();
    let mode = |path: &Path, mode| {
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    // Root may do anything, so then the other process is nobody (65534), and must be able to
    // execute this program wherever it was built.
    let program = directory.path().join("program");
    fs_err::copy(std::env::current_exe().unwrap(), &program).unwrap();
    mode(&program, 0o755);
    for file in ["gc.lock", "tmp.lock"] {
        mode(&path.join(file), 0o444);
    }
    for directory in names(&path).into_iter().filter(|path| path.is_dir()) {
        mode(&directory, 0o555);
    }
    mode(&path, 0o555);
    mode(directory.path(), 0o555);
    let root = rustix::process::geteuid().is_root();
    let (mut child, mut output) = start_as(&program, "reader", &path, root.then_some(65534));
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success());
    // Or the temporary directory could not be removed.
    mode(directory.path(), 0o755);
    mode(&path, 0o755);
    for directory in names(&path).into_iter().filter(|path| path.is_dir()) {
        mode(&directory, 0o755);
    }
}
