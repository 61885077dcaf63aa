//! The root shell on a node's serial console, as `access.console = "shell"` offers it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A connection to a console.
pub struct Console {
    socket: PathBuf,
    stream: UnixStream,
    seen: Arc<Mutex<Vec<u8>>>,
    commands: u32,
}

impl Drop for Console {
    fn drop(&mut self) {
        // The node may be off already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Console {
    /// Connects to a node's console and waits until its shell answers.
    #[track_caller]
    pub fn connect(socket: &Path, seconds: u64) -> Self {
        let mut console = Self::open(socket);
        console.await_shell(seconds);
        console
    }

    /// Connects to a node's console and logs in; a wrong password must not do.
    #[track_caller]
    pub fn login(socket: &Path, user: &str, password: &str, seconds: u64) -> Self {
        let mut console = Self::open(socket);
        let deadline = Instant::now() + Duration::from_secs(seconds);
        for (password, answer) in [("not the password", "Login incorrect"), (password, "# ")] {
            // An empty line makes the prompt show up again.
            let mut seen = console.text().len();
            while !console.text()[seen..].contains("login: ") {
                assert!(Instant::now() < deadline, "no prompt:\n{}", console.text());
                console.type_line("");
                std::thread::sleep(Duration::from_secs(3));
            }
            seen = console.text().len();
            console.type_line(user);
            console.await_text(seen, "Password: ", deadline);
            seen = console.text().len();
            console.type_line(password);
            console.await_text(seen, answer, deadline);
        }
        console.await_shell(60);
        console
    }

    #[track_caller]
    fn await_text(&self, from: usize, wanted: &str, deadline: Instant) {
        while !self.text()[from..].contains(wanted) {
            assert!(Instant::now() < deadline, "no {wanted:?}:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    #[track_caller]
    fn open(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket)
            .unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
        // Read all the time: a guest whose console is connected and not read stands still.
        let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut reader, all) = (stream.try_clone().unwrap(), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                all.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self {
            socket: socket.to_owned(),
            stream,
            seen,
            commands: 0,
        }
    }

    #[track_caller]
    fn await_shell(&mut self, seconds: u64) {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        // What is typed before the shell reads may be lost: it is asked again.
        while self.try_run("true", 5).is_err() {
            assert!(Instant::now() < deadline, "no shell within {seconds} s");
        }
    }

    /// Types a line, for what never comes back.
    #[track_caller]
    pub fn type_line(&mut self, line: &str) {
        self.stream
            .write_all(format!("{line}\n").as_bytes())
            .unwrap_or_else(|error| panic!("{}: {error}", self.socket.display()));
    }

    /// Runs a command that must succeed and returns what it printed.
    #[track_caller]
    pub fn run(&mut self, command: &str) -> String {
        match self.try_run(command, 120) {
            Ok((text, 0)) => text,
            Ok((text, status)) => panic!("{command} ended with {status}:\n{text}"),
            Err(seen) => panic!("{command} did not end:\n{seen}"),
        }
    }

    /// What a command printed and its exit status; what was seen instead if it did not end in
    /// time.
    fn try_run(&mut self, command: &str, seconds: u64) -> Result<(String, u32), String> {
        self.commands += 1;
        // The terminal shows what is typed: only what the shell makes of it ends in digits.
        let (begin, end) = (
            format!("B{}=", self.commands),
            format!("E{}=", self.commands),
        );
        self.type_line(&format!(
            "echo B$(({n}+0))=; {command}; echo E$(({n}+0))=$?.",
            n = self.commands
        ));
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
            let text = self.text();
            let Some((_, output)) = text.split_once(&begin) else {
                continue;
            };
            if let Some((output, status)) = output.split_once(&end)
                && let Some((status, _)) = status.split_once('.')
            {
                // The node's own report shares the console.
                let lines = output.lines().filter(|line| !line.contains("imgbuild: "));
                let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
                return Ok((lines.join("\n"), status.parse().unwrap()));
            }
        }
        Err(self.text())
    }

    /// All that was shown since the connection was made.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).replace('\r', "")
    }
}
