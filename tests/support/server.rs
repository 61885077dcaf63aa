//! A web server on this machine that serves a directory, and can be told to misbehave.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum Manner {
    /// There is no such file.
    Missing,
    /// After this many bytes the connection ends.
    Cut(usize),
    /// After this many bytes nothing more comes.
    Stall(usize),
    /// Other bytes than the file's.
    Other(Vec<u8>),
    /// The whole file, whichever part was asked for.
    Whole,
}

#[derive(Default)]
struct Manners {
    once: BTreeMap<String, VecDeque<Manner>>,
    always: BTreeMap<String, Manner>,
    asked: Vec<String>,
}

/// The server; it ends with the test program.
pub struct Server {
    address: String,
    manners: Arc<Mutex<Manners>>,
}

impl Server {
    /// Serves what is below `dir`.
    pub fn start(dir: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let manners: Arc<Mutex<Manners>> = Arc::default();
        let (dir, told) = (dir.to_owned(), Arc::clone(&manners));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (dir, told) = (dir.clone(), Arc::clone(&told));
                // A client that goes away is what the tests want to see.
                std::thread::spawn(move || drop(answer(stream, dir, &told)));
            }
        });
        Self { address, manners }
    }

    /// Where a path is.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.address)
    }

    /// The next requests for a path are answered so, one after the other.
    pub fn once(&self, path: &str, manners: impl IntoIterator<Item = Manner>) {
        let mut told = self.manners.lock().unwrap();
        told.once
            .entry(path.to_owned())
            .or_default()
            .extend(manners);
    }

    /// All requests for a path are answered so.
    pub fn always(&self, path: &str, manner: Manner) {
        self.manners
            .lock()
            .unwrap()
            .always
            .insert(path.to_owned(), manner);
    }

    /// Everything is served as it is again.
    pub fn behave(&self) {
        let mut told = self.manners.lock().unwrap();
        told.once.clear();
        told.always.clear();
    }

    /// How often a path was asked for.
    pub fn times(&self, path: &str) -> usize {
        let told = self.manners.lock().unwrap();
        told.asked.iter().filter(|asked| *asked == path).count()
    }
}

fn answer(stream: TcpStream, dir: PathBuf, manners: &Mutex<Manners>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let url = line.split_whitespace().nth(1).unwrap_or("/");
    let path = url
        .trim_start_matches('/')
        .replace("%2b", "+")
        .replace("%2B", "+");
    let path = path.replace("%7e", "~").replace("%7E", "~");
    let mut from = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        let header = header.to_ascii_lowercase();
        if let Some(range) = header.strip_prefix("range: bytes=") {
            from = range.split('-').next().unwrap().parse().unwrap_or(0);
        }
    }
    let manner = {
        let mut told = manners.lock().unwrap();
        told.asked.push(path.clone());
        let next = told.once.get_mut(&path).and_then(VecDeque::pop_front);
        next.or_else(|| told.always.get(&path).cloned())
    };
    let file = match &manner {
        Some(Manner::Missing) => None,
        Some(Manner::Other(bytes)) => Some(bytes.clone()),
        _ => fs_err::read(dir.join(&path)).ok(),
    };
    let mut stream = stream;
    let Some(file) = file else {
        return stream.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    };
    if matches!(manner, Some(Manner::Whole)) || from >= file.len() {
        from = 0;
    }
    let body = &file[from..];
    let (len, total) = (body.len(), file.len());
    let head = match from {
        0 => "HTTP/1.1 200 OK\r\n".to_owned(),
        _ => format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{total}\r\n",
            total - 1
        ),
    };
    write!(
        stream,
        "{head}Content-Length: {len}\r\nConnection: close\r\n\r\n"
    )?;
    match manner {
        Some(Manner::Cut(most)) => stream.write_all(&body[..most.min(len)]),
        Some(Manner::Stall(most)) => {
            stream.write_all(&body[..most.min(len)])?;
            // Until the client gives up.
            reader.read_to_end(&mut Vec::new()).map(drop)
        }
        _ => stream.write_all(body),
    }
}
