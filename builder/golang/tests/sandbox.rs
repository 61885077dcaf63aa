//! Proves the sandbox on real processes. It has a `main` of its own, since the sandbox starts
//! the running program again; the confined program is this very file too, as a probe.

// Without the test harness clippy does not see that this is a test.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use imgbuild_base::Events;
use imgbuild_golang::sandbox::{Access, Confinement, Mount, Namespaces, Output, Sandbox};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The user for the tests that want no privilege at all.
const NOBODY: u32 = 65534;

fn main() {
    imgbuild_golang::sandbox_main();
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("probe") => return probe(&arguments[2..]),
        Some("unprivileged") => return confined_everywhere(Path::new(&arguments[2])),
        Some("sleeper") => return sleeper(Path::new(&arguments[2])),
        Some("--list") => return,
        _ => {}
    }
    let tests: [(&str, fn()); 4] = [
        ("confined", confined),
        ("confined_without_privilege", confined_without_privilege),
        ("failures_are_told", failures_are_told),
        ("dies_with_its_parent", dies_with_its_parent),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
}

/// Runs inside: says what it can do, one word a line.
fn probe(arguments: &[String]) {
    let [port, scratch, secret, seconds] = arguments else {
        panic!("bad probe arguments {arguments:?}");
    };
    let say = |what: &str, can: bool| println!("{what}={can}");
    say(
        "network",
        TcpStream::connect(format!("127.0.0.1:{port}")).is_ok(),
    );
    say("passwd", fs_err::read("/etc/passwd").is_ok());
    say("secret", fs_err::read(secret).is_ok());
    say(
        "scratch",
        fs_err::write(Path::new(scratch).join("made"), "x").is_ok(),
    );
    say(
        "elsewhere",
        fs_err::write("/tmp/imgbuild-escaped", "x").is_ok(),
    );
    say("null", fs_err::write("/dev/null", "x").is_ok());
    say("pid1", std::process::id() == 1);
    say("path", std::env::var_os("PATH").is_some());
    say("goflags", std::env::var_os("GOFLAGS").is_some());
    say(
        "given",
        std::env::var("GIVEN").is_ok_and(|value| value == *scratch),
    );
    println!("uid={}", nix::unistd::geteuid());
    std::thread::sleep(Duration::from_secs(seconds.parse().unwrap()));
}

/// A sandbox for the probe. `dir` gets a scratch directory, a root and a secret.
fn sandbox(dir: &Path, port: u16, namespaces: Namespaces, seconds: u64) -> Sandbox {
    let (scratch, root, secret) = (dir.join("scratch"), dir.join("root"), dir.join("secret"));
    for new in [&scratch, &root] {
        fs_err::create_dir_all(new).unwrap();
    }
    fs_err::write(&secret, "secret").unwrap();
    let mount = |name: &str, host: PathBuf, inside: &str, access| Mount {
        name: name.to_owned(),
        host,
        inside: inside.into(),
        access,
    };
    let mut mounts = vec![
        mount(
            "probe",
            std::env::current_exe().unwrap(),
            "/probe",
            Access::Read,
        ),
        mount("scratch", scratch, "/scratch", Access::Write),
    ];
    // What a dynamically linked program needs.
    for dir in ["/lib", "/lib64", "/usr/lib"] {
        if Path::new(dir).exists() {
            mounts.push(mount(dir, dir.into(), dir, Access::Read));
        }
    }
    let argv = ["{probe}", "probe", &port.to_string(), "{scratch}"].map(str::to_owned);
    let more = [secret.display().to_string(), seconds.to_string()];
    Sandbox {
        mounts,
        root,
        env: vec![("GIVEN".to_owned(), "{scratch}".to_owned())],
        argv: argv.into_iter().chain(more).collect(),
        cwd: "{scratch}".to_owned(),
        namespaces,
    }
}

fn run(dir: &Path, namespaces: Namespaces) -> (Output, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let output = sandbox(dir, port, namespaces, 0)
        .run(&Events::none())
        .unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{stderr}");
    assert!(dir.join("scratch/made").exists());
    fs_err::remove_file(dir.join("scratch/made")).unwrap();
    (output, text)
}

/// Holds in any confinement.
fn assert_confined(text: &str) {
    for line in [
        "passwd=false",
        "secret=false",
        "scratch=true",
        "elsewhere=false",
        "null=true",
        "path=false",
        "goflags=false",
        "given=true",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no {line} in:\n{text}"
        );
    }
    assert!(!Path::new("/tmp/imgbuild-escaped").exists());
}

/// As whoever runs this: namespaces as far as the host gives them, and landlock alone.
fn confined_everywhere(dir: &Path) {
    let (output, text) = run(dir, Namespaces::Try);
    assert_confined(&text);
    match output.confinement {
        Confinement::Namespaces { .. } => {
            for line in ["network=false", "pid1=true", "uid=1000"] {
                assert!(
                    text.lines().any(|found| found == line),
                    "no {line} in:\n{text}"
                );
            }
            assert_eq!(output.confinement.warning(), None);
        }
        Confinement::Landlock { .. } => assert!(output.confinement.warning().is_some()),
    }
    println!("confined by {}", output.confinement);

    let (output, text) = run(dir, Namespaces::Avoid);
    assert_confined(&text);
    let Confinement::Landlock { tcp_denied } = output.confinement else {
        panic!("{:?}", output.confinement);
    };
    assert!(text.contains(&format!("network={}", !tcp_denied)), "{text}");
    assert!(text.contains("pid1=false"), "{text}");
    println!("confined by {}", output.confinement);
}

fn confined() {
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new("/proc/self/exe")
        .arg("unprivileged")
        .arg(dir.path())
        .env("GOFLAGS", "-bogus")
        .status()
        .unwrap();
    assert!(status.success());
}

/// The same as an ordinary user; when the tests themselves run as one, that is [`confined`].
fn confined_without_privilege() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("/proc/self/exe");
    command.arg("unprivileged").arg(dir.path());
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    assert!(command.status().unwrap().success());
}

fn failures_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let good = sandbox(dir.path(), 1, Namespaces::Try, 0);

    let mut missing = good.clone();
    missing.argv[0] = "{scratch}/no-such-program".to_owned();
    let error = missing.run(&Events::none()).unwrap_err().to_string();
    assert!(error.contains("no-such-program"), "{error}");

    let mut missing = good.clone();
    missing.mounts[1].host = "/no/such/input".into();
    let error = missing.run(&Events::none()).unwrap_err().to_string();
    assert!(error.contains("/no/such/input"), "{error}");

    // Nothing that was written can be run.
    let planted = dir.path().join("scratch/planted");
    fs_err::copy(std::env::current_exe().unwrap(), planted).unwrap();
    let mut planted = good.clone();
    planted.argv[0] = "{scratch}/planted".to_owned();
    planted.namespaces = Namespaces::Avoid;
    let error = planted.run(&Events::none()).unwrap_err().to_string();
    assert!(error.contains("ermission"), "{error}");

    let mut failing = good;
    failing.argv.truncate(2);
    let output = failing.run(&Events::none()).unwrap();
    assert_eq!(output.status.code(), Some(101));
    assert!(String::from_utf8_lossy(&output.stderr).contains("bad probe arguments"));
}

/// A parent that is about to be killed.
fn sleeper(dir: &Path) {
    sandbox(dir, 1, Namespaces::Try, 600)
        .run(&Events::none())
        .unwrap();
}

fn dies_with_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    let mut parent = Command::new("/proc/self/exe")
        .arg("sleeper")
        .arg(dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let made = dir.path().join("scratch/made");
    let secret = dir.path().join("secret").display().to_string();
    until("the probe runs", || {
        made.exists() && processes_with(&secret) == 1
    });
    parent.kill().unwrap();
    parent.wait().unwrap();
    until("the probe is gone", || processes_with(&secret) == 0);
}

fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How many processes have the text in their command line.
fn processes_with(text: &str) -> usize {
    fs_err::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs_err::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(text))
        .count()
}
