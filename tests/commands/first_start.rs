//! Power that fails while etcd starts for the first time, at every instant at which etcd waits
//! for the disk: what the unit runs before etcd makes the next start a healthy one, and leaves a
//! member that has lived as it is.

use crate::support::{etcd_binaries, must, repository, run, scratch};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A member that is a whole cluster, in a directory.
struct Member<'a> {
    dir: &'a Path,
    client: u16,
    peer: u16,
}

impl<'a> Member<'a> {
    fn new(dir: &'a Path) -> Self {
        let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [client, peer] = sockets.map(|socket| socket.local_addr().unwrap().port());
        Self { dir, client, peer }
    }

    /// Whatever runs etcd, with its arguments and its output in a file.
    fn etcd(&self, mut program: Command) -> Command {
        let (client, peer) = (
            format!("http://127.0.0.1:{}", self.client),
            format!("http://127.0.0.1:{}", self.peer),
        );
        let log = fs_err::File::create(self.dir.join("log")).unwrap();
        program
            .arg(format!("--data-dir={}", self.dir.join("data").display()))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=default={peer}"))
            .args(["--heartbeat-interval=20", "--election-timeout=200"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.into_parts().0);
        program
    }

    /// The first start, ended in the middle of the `nth` time that it waits for the disk; false
    /// when it did not wait so often within some seconds.
    fn first_start(&self, nth: u32) -> bool {
        let mut traced = Command::new("strace");
        traced
            .args(["-f", "-qq", "-o", "/dev/null", "--trace=fsync,fdatasync"])
            .arg(format!("--inject=fsync,fdatasync:signal=KILL:when={nth}"))
            .arg(etcd_binaries().join("etcd"))
            .process_group(0);
        let mut child = self.etcd(traced).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let ended = loop {
            if child.try_wait().unwrap().is_some() {
                break true;
            }
            // It lives: later instants are not of its first start.
            if Instant::now() > deadline || self.is_healthy() {
                break false;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        if !ended {
            // The tracer alone would leave etcd behind.
            must(Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]));
            child.wait().unwrap();
        }
        assert!(Instant::now() < deadline, "etcd hangs: {}", self.log());
        ended
    }

    /// What the unit runs before etcd.
    fn guard(&self) -> String {
        let guard = repository().join("overlays/etcd/unborn");
        must(Command::new("sh").arg(guard).arg(self.dir.join("data")))
    }

    #[track_caller]
    fn start(&self) -> Running {
        let mut running = Running(
            self.etcd(Command::new(etcd_binaries().join("etcd")))
                .spawn()
                .unwrap(),
        );
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.is_healthy() {
            let ended = running.0.try_wait().unwrap();
            let waiting = ended.is_none() && Instant::now() < deadline;
            assert!(waiting, "not healthy: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        running
    }

    fn ctl(&self, words: &[&str]) -> Command {
        let mut ctl = Command::new(etcd_binaries().join("etcdctl"));
        ctl.arg(format!("--endpoints=http://127.0.0.1:{}", self.client))
            .args(["--dial-timeout=1s", "--command-timeout=2s"])
            .args(words);
        ctl
    }

    fn is_healthy(&self) -> bool {
        run(&mut self.ctl(&["endpoint", "health"])).status.success()
    }

    fn log(&self) -> String {
        fs_err::read_to_string(self.dir.join("log")).unwrap()
    }
}

/// A running etcd; the power fails at its end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_first_start_that_power_cut_off_is_completed_by_the_next() {
    let mut anew = Vec::new();
    for nth in 1.. {
        assert!(nth < 40, "etcd waits for the disk all the time");
        let dir = scratch();
        let member = Member::new(dir.path());
        if !member.first_start(nth) {
            break;
        }
        if member.guard().contains("starts anew") {
            anew.push(nth);
        }
        drop(member.start());
    }
    // The series met the state that the guard is for, and others.
    assert!(!anew.is_empty() && !anew.contains(&1), "{anew:?}");
}

#[test]
fn a_member_that_has_lived_is_left_as_it_is() {
    let dir = scratch();
    let member = Member::new(dir.path());
    assert_eq!(member.guard(), "", "there is nothing yet");
    let running = member.start();
    must(&mut member.ctl(&["put", "key", "kept"]));
    drop(running);
    assert_eq!(member.guard(), "");
    let running = member.start();
    let value = must(&mut member.ctl(&["get", "key", "--print-value-only"]));
    assert_eq!(value.trim(), "kept");
    drop(running);

    // Where the log cannot be understood, the guard keeps away from it.
    let log = dir
        .path()
        .join("data/member/wal/0000000000000000-0000000000000000.wal");
    let zeros = vec![0; 4096];
    for content in [&b""[..], b"no log", &zeros] {
        fs_err::write(&log, content).unwrap();
        assert_eq!(member.guard(), "");
        assert!(log.exists());
    }
}
