//! Programs that download. `go` itself waits for ever for a server that has fallen silent.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long nothing may arrive before a program is ended, and how often it is begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) silence: Duration,
    pub(crate) attempts: u32,
}

impl Patience {
    /// A proxy may have to fetch what nobody asked for before, so it is given its time.
    pub(crate) const OF_A_PROXY: Self = Self {
        silence: Duration::from_secs(180),
        attempts: 3,
    };

    /// Runs a program to its end, again when nothing arrived below `watched` for too long; it
    /// goes on from what is there. `None` when it fell silent each time.
    pub(crate) fn run(self, command: &mut Command, watched: &Path) -> io::Result<Option<Output>> {
        for _ in 0..self.attempts {
            if let Some(output) = self.attempt(command, watched)? {
                return Ok(Some(output));
            }
        }
        Ok(None)
    }

    fn attempt(self, command: &mut Command, watched: &Path) -> io::Result<Option<Output>> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        let mut pause = Duration::from_millis(1);
        let (mut seen, mut since) = (None, Instant::now());
        let mut look = Instant::now();
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {}
                Err(error) => {
                    end(&mut child);
                    return Err(error);
                }
            }
            if look.elapsed() >= self.silence / 10 {
                look = Instant::now();
                let now = Some(bytes_below(watched));
                if now != seen {
                    (seen, since) = (now, Instant::now());
                } else if since.elapsed() >= self.silence {
                    // Whatever it started itself may hold the pipes: they are not waited for.
                    end(&mut child);
                    return Ok(None);
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        };
        Ok(Some(Output {
            status,
            stdout: collected(stdout)?,
            stderr: collected(stderr)?,
        }))
    }
}

fn end(child: &mut Child) {
    // Both fail only when it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<io::Result<Vec<u8>>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).map(|_| bytes)
    })
}

fn collected(reader: Option<JoinHandle<io::Result<Vec<u8>>>>) -> io::Result<Vec<u8>> {
    match reader.map(JoinHandle::join) {
        Some(Ok(bytes)) => bytes,
        Some(Err(panic)) => std::panic::resume_unwind(panic),
        None => Ok(Vec::new()),
    }
}

/// The length of all files; one that is gone by the time it is looked at counts as nothing.
fn bytes_below(dir: &Path) -> u64 {
    let mut total = 0_u64;
    let mut dirs: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs_err::read_dir(dir).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => dirs.push(entry.path()),
                Ok(found) => total = total.saturating_add(found.len()),
                Err(_) => {}
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Patience = Patience {
        silence: Duration::from_secs(2),
        attempts: 3,
    };

    fn shell(dir: &Path, script: &str) -> Option<Output> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(dir);
        SHORT.run(&mut command, dir).unwrap()
    }

    #[test]
    fn who_falls_silent_is_begun_again() {
        let dir = tempfile::tempdir().unwrap();
        let script = "echo said; if [ ! -e once ]; then echo x >once; exec sleep 60; fi; exit 3";
        let output = shell(dir.path(), script).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.stdout, b"said\n");
    }

    #[test]
    fn not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        assert!(shell(dir.path(), "echo x >>begun; exec sleep 60").is_none());
        assert_eq!(
            fs_err::read_to_string(dir.path().join("begun")).unwrap(),
            "x\nx\nx\n"
        );
    }

    #[test]
    fn slow_is_not_silent() {
        let dir = tempfile::tempdir().unwrap();
        let script = "for i in 1 2 3 4 5 6 7 8; do sleep 0.5; echo x >>file; done; echo done >&2";
        let output = shell(dir.path(), script).unwrap();
        assert!(output.status.success());
        assert_eq!(output.stderr, b"done\n");
        assert_eq!(
            fs_err::read_to_string(dir.path().join("file"))
                .unwrap()
                .len(),
            16,
            "it was begun once"
        );
    }
}
