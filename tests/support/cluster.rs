//! A cluster under `imgbuild run`, driven through its standard input and JSON output, and
//! asked with curl over mutual TLS.

use super::{imgbuild, must, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What is known of a node.
#[derive(Clone, Debug, Default)]
pub struct NodeView {
    /// As `imgbuild run` puts it.
    pub state: String,
    /// The node's own last report on its console.
    pub report: String,
    /// Where the member is reached from here.
    pub endpoint: String,
    /// The loopback port of its ssh server, if it has one.
    pub ssh_port: Option<u64>,
}

impl NodeView {
    /// Whether the member answers as healthy.
    pub fn is_healthy(&self) -> bool {
        self.state.starts_with("healthy")
    }
}

/// A running cluster; dropped, everything ends.
pub struct Cluster {
    child: Child,
    input: ChildStdin,
    nodes: Arc<Mutex<BTreeMap<String, NodeView>>>,
    /// Lines that are not as the schema says.
    wrong: Arc<Mutex<Vec<String>>>,
    admin: PathBuf,
    work: PathBuf,
    scratch: Option<tempfile::TempDir>,
}

impl Cluster {
    /// Builds and boots a recipe.
    pub fn start(recipe: &str, out: &Path, options: &[&str]) -> Self {
        let scratch = super::scratch();
        let mut cluster = Self::start_in(scratch.path(), recipe, out, options);
        cluster.scratch = Some(scratch);
        cluster
    }

    /// Builds a recipe and boots it in a directory that outlives the cluster, from the disks
    /// that are there.
    pub fn start_in(work: &Path, recipe: impl AsRef<OsStr>, out: &Path, options: &[&str]) -> Self {
        Self::start_by(imgbuild(), work, recipe, out, options)
    }

    /// As [`Cluster::start_in`], with this call of the program.
    pub fn start_by(
        mut program: Command,
        work: &Path,
        recipe: impl AsRef<OsStr>,
        out: &Path,
        options: &[&str],
    ) -> Self {
        let said = fs_err::File::create(work.join("run.log")).unwrap();
        let mut child = program
            .arg("run")
            .arg(recipe)
            .args(["--json", "--out"])
            .arg(out)
            .arg("--work")
            .arg(work)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said.into_parts().0)
            .spawn()
            .unwrap();
        let nodes: Arc<Mutex<BTreeMap<String, NodeView>>> = Arc::default();
        let wrong: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, strange) = (Arc::clone(&nodes), Arc::clone(&wrong));
        let schema = super::messages::output_schema();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let value: Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(error) = schema.iter_errors(&value).next() {
                    strange.lock().unwrap().push(format!("{error}: {line}"));
                }
                if value["type"] == "node" {
                    let data = &value["data"];
                    let text = |key: &str| data[key].as_str().unwrap_or_default().to_owned();
                    let view = NodeView {
                        state: text("state"),
                        report: text("report"),
                        endpoint: text("endpoint"),
                        ssh_port: data["ssh_port"].as_u64(),
                    };
                    seen.lock().unwrap().insert(text("node"), view);
                }
            }
        });
        Self {
            input: child.stdin.take().unwrap(),
            child,
            nodes,
            wrong,
            admin: out.join("admin"),
            work: work.to_owned(),
            scratch: None,
        }
    }

    /// Sends a line to `imgbuild run`.
    pub fn command(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// The node as last seen.
    pub fn node(&self, name: &str) -> NodeView {
        let nodes = self.nodes.lock().unwrap();
        nodes.get(name).cloned().unwrap_or_default()
    }

    /// Waits until `holds`, which is given all nodes.
    #[track_caller]
    pub fn wait(
        &mut self,
        what: &str,
        seconds: u64,
        holds: impl Fn(&BTreeMap<String, NodeView>) -> bool,
    ) {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            let nodes = self.nodes.lock().unwrap().clone();
            if holds(&nodes) {
                return;
            }
            self.assert_running();
            if Instant::now() > deadline {
                let consoles: String = nodes.keys().map(|name| self.console_end(name)).collect();
                panic!("not within {seconds} s: {what}\n{nodes:#?}\n{consoles}");
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// `imgbuild run` has not ended.
    #[track_caller]
    pub fn assert_running(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let said = fs_err::read_to_string(self.work.join("run.log")).unwrap();
            panic!("imgbuild run ended with {status} by itself\n{said}");
        }
    }

    /// Waits until these nodes are healthy.
    #[track_caller]
    pub fn wait_healthy(&mut self, names: &[&str], seconds: u64) {
        self.wait(&format!("{names:?} healthy"), seconds, |nodes| {
            names
                .iter()
                .all(|name| nodes.get(*name).is_some_and(NodeView::is_healthy))
        });
    }

    /// Waits until each of these nodes reports that its system runs, that nothing failed and
    /// that the journal has no error.
    #[track_caller]
    pub fn wait_clean(&mut self, names: &[&str], seconds: u64) {
        self.wait(&format!("{names:?} running"), seconds, |nodes| {
            names.iter().all(|name| {
                nodes
                    .get(*name)
                    .is_some_and(|node| node.report.contains("state=running"))
            })
        });
        for name in names {
            let report = self.node(name).report;
            assert!(
                report.contains("failed=0") && report.contains("err=0"),
                "{report}\n{}",
                self.console_end(name)
            );
        }
    }

    /// All that a node's console showed.
    pub fn console(&self, name: &str) -> String {
        let path = self.work.join(name).join("console.log");
        String::from_utf8_lossy(&fs_err::read(path).unwrap_or_default()).into_owned()
    }

    fn console_end(&self, name: &str) -> String {
        let console = self.console(name);
        let lines: Vec<&str> = console.lines().collect();
        let end = lines[lines.len().saturating_sub(40)..].join("\n");
        format!("--- console of {name}\n{end}\n")
    }

    /// Waits until a node's console, from byte `before` on, shows a text.
    #[track_caller]
    pub fn await_console(&mut self, name: &str, before: usize, text: &str, seconds: u64) {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            let console = self.console(name);
            let since = console.get(before..).unwrap_or_default();
            if since.contains(text) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "no {text:?} within {seconds} s in:\n{since}"
            );
            self.assert_running();
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A node's disk.
    pub fn disk(&self, name: &str) -> PathBuf {
        self.work.join(name).join("disk.img")
    }

    /// Where a node's console can be connected to.
    pub fn console_socket(&self, name: &str) -> PathBuf {
        self.work.join(name).join("console")
    }

    /// The admin bundle.
    pub fn admin(&self) -> &Path {
        &self.admin
    }

    /// A curl call to a member with the admin bundle's credentials.
    pub fn curl(&self, node: &str, path: &str) -> Command {
        let file = |name: &str| self.admin.join(name);
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            "20",
            "--noproxy",
            "*",
        ])
        .arg("--cacert")
        .arg(file("ca.crt"))
        .arg("--cert")
        .arg(file("client.crt"))
        .arg("--key")
        .arg(file("client.key"))
        .arg(format!("{}{path}", self.node(node).endpoint));
        curl
    }

    /// What a member answers. As every client does, asks again for a while: where processors are
    /// few the members may be electing another leader at the moment.
    #[track_caller]
    fn ask(&self, node: &str, path: &str, body: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let output = run(self.curl(node, path).args(["--data", body]));
            if output.status.success() {
                return String::from_utf8(output.stdout).unwrap();
            }
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(Instant::now() < deadline, "{node} answers {path}: {said}");
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Puts a key through a member.
    #[track_caller]
    pub fn put(&self, node: &str, key: &str, value: &str) {
        let body = format!(r#"{{"key":"{}","value":"{}"}}"#, base64(key), base64(value));
        self.ask(node, "/v3/kv/put", &body);
    }

    /// Reads a key through a member, linearizably.
    #[track_caller]
    pub fn get(&self, node: &str, key: &str) -> Option<String> {
        let body = format!(r#"{{"key":"{}"}}"#, base64(key));
        let text = self.ask(node, "/v3/kv/range", &body);
        let answer: Value = serde_json::from_str(&text).unwrap();
        let value = answer["kvs"][0]["value"].as_str()?;
        let decoded = run(Command::new("sh").args(["-c", &format!("echo {value} | base64 -d")]));
        Some(String::from_utf8(decoded.stdout).unwrap())
    }

    /// The member list, as name and client URLs.
    #[track_caller]
    pub fn members(&self, node: &str) -> Vec<(String, String)> {
        let text = must(
            self.curl(node, "/v3/cluster/member/list")
                .args(["--data", "{}"]),
        );
        let answer: Value = serde_json::from_str(&text).unwrap();
        let mut members: Vec<(String, String)> = answer["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| {
                let urls = member["clientURLs"].as_array().cloned().unwrap_or_default();
                let urls: Vec<&str> = urls.iter().filter_map(Value::as_str).collect();
                (member["name"].as_str().unwrap().to_owned(), urls.join(","))
            })
            .collect();
        members.sort();
        members
    }

    /// Ends the run and checks that nothing of it is left.
    #[track_caller]
    pub fn quit(mut self) {
        self.command("quit");
        let deadline = Instant::now() + Duration::from_secs(20);
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > deadline => panic!("imgbuild run did not end"),
                None => std::thread::sleep(Duration::from_millis(100)),
            }
        };
        assert!(status.success(), "imgbuild run ended with {status}");
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "not as the schema says: {wrong:?}");
        drop(wrong);
        self.assert_nothing_left();
    }

    /// No process has the lab's directory in its command line any more.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        let work = self.work.to_str().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let left = processes_naming(work);
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "still running: {left:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The process that runs `imgbuild run`.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command lines of running QEMUs in which a text occurs.
pub fn processes_naming(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir("/proc").unwrap().flatten() {
        let Ok(line) = fs_err::read(entry.path().join("cmdline")) else {
            continue;
        };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.starts_with("qemu-system") && line.contains(text) {
            found.push(line);
        }
    }
    found
}

fn base64(text: &str) -> String {
    let encode = format!("printf %s '{text}' | base64 -w0");
    must(Command::new("sh").args(["-c", &encode]))
}
