//! A small HTTP/1.1 server that answers each path as its script says: the first request with
//! the first reply, the next with the second, and all further ones with the last.

use imgbuild_fetch::Location;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// How a request is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// All of it, or from where the Range begins.
    Whole(&'static [u8]),
    /// All of it, whatever the Range.
    Rangeless(&'static [u8]),
    /// As `Whole`, but the connection ends after so many bytes of the body.
    Cut(&'static [u8], usize),
    /// As `Whole`, but nothing comes after so many bytes of the body.
    Stall(&'static [u8], usize),
    /// All of it in a chunked body, which does not tell its length beforehand.
    Unannounced(&'static [u8]),
    /// A part that begins elsewhere than was asked.
    OtherPart(&'static [u8]),
    /// A body without length and end.
    Endless,
    /// Only a status.
    Status(u16),
    /// Look there.
    Redirect(&'static str),
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) range: Option<usize>,
    pub(crate) agent: String,
}

type Scripts = HashMap<String, Vec<Reply>>;

pub(crate) struct Server {
    base: Location,
    asked: Arc<Mutex<Vec<Asked>>>,
    _runtime: Runtime,
}

impl Server {
    pub(crate) fn start<'a>(routes: impl IntoIterator<Item = (&'a str, Vec<Reply>)>) -> Self {
        let routes = routes
            .into_iter()
            .map(|(path, replies)| (path.to_owned(), replies));
        let scripts: Arc<Scripts> = Arc::new(routes.collect());
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (scripts, log) = (scripts.clone(), log.clone());
                // A client that goes away is part of the game.
                tokio::spawn(async move { serve(stream, &scripts, &log).await.ok() });
            }
        });
        Self {
            base: format!("http://{address}").parse().unwrap(),
            asked,
            _runtime: runtime,
        }
    }

    pub(crate) fn at(&self, path: &str) -> Location {
        self.base.join(path).unwrap()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|it| it.path).collect()
    }

    pub(crate) fn forget(&self) {
        self.asked.lock().unwrap().clear();
    }
}

/// One connection, one request.
async fn serve(
    stream: TcpStream,
    scripts: &Scripts,
    log: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut asked = Asked {
        path: String::new(),
        range: None,
        agent: String::new(),
    };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let line = line.trim_end();
        if let Some(rest) = line.strip_prefix("GET ") {
            asked.path = rest.split(' ').next().unwrap().to_owned();
        } else if let Some((name, value)) = line.split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "range" => {
                    let start = value
                        .strip_prefix("bytes=")
                        .unwrap()
                        .strip_suffix('-')
                        .unwrap();
                    asked.range = Some(start.parse().unwrap());
                }
                "user-agent" => asked.agent = value.to_owned(),
                _ => {}
            }
        } else if line.is_empty() {
            break;
        }
    }
    let nth = {
        let mut log = log.lock().unwrap();
        log.push(asked.clone());
        log.iter().filter(|it| it.path == asked.path).count() - 1
    };
    let reply = scripts
        .get(&asked.path)
        .and_then(|replies| replies.get(nth).or(replies.last()))
        .copied()
        .unwrap_or(Reply::Status(404));
    answer(stream.get_mut(), reply, asked.range).await
}

async fn answer(stream: &mut TcpStream, reply: Reply, range: Option<usize>) -> std::io::Result<()> {
    let close = "Connection: close\r\n";
    let (body, range, sent, stall) = match reply {
        Reply::Whole(body) => (body, range, usize::MAX, false),
        Reply::Rangeless(body) => (body, None, usize::MAX, false),
        Reply::Cut(body, sent) => (body, range, sent, false),
        Reply::Stall(body, sent) => (body, range, sent, true),
        Reply::OtherPart(body) => (body, Some(1), usize::MAX, false),
        Reply::Unannounced(body) => {
            let head = format!("HTTP/1.1 200 OK\r\n{close}Transfer-Encoding: chunked\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream
                .write_all(format!("{:x}\r\n", body.len()).as_bytes())
                .await?;
            stream.write_all(body).await?;
            return stream.write_all(b"\r\n0\r\n\r\n").await;
        }
        Reply::Endless => {
            let head = format!("HTTP/1.1 200 OK\r\n{close}\r\n");
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(&[b'.'; 1000]).await?;
            }
        }
        Reply::Status(code) => {
            let head = format!("HTTP/1.1 {code} As told\r\n{close}Content-Length: 0\r\n\r\n");
            return stream.write_all(head.as_bytes()).await;
        }
        Reply::Redirect(to) => {
            let head =
                format!("HTTP/1.1 302 Found\r\n{close}Location: {to}\r\nContent-Length: 0\r\n\r\n");
            return stream.write_all(head.as_bytes()).await;
        }
    };
    let start = range.unwrap_or(0);
    let Some(part) = body
        .get(start..)
        .filter(|part| range.is_none() || !part.is_empty())
    else {
        let head = format!("HTTP/1.1 416 No such part\r\n{close}Content-Length: 0\r\n\r\n");
        return stream.write_all(head.as_bytes()).await;
    };
    let mut head = format!(
        "HTTP/1.1 200 OK\r\n{close}Content-Length: {}\r\n",
        part.len()
    );
    if range.is_some() {
        let (last, all) = (body.len() - 1, body.len());
        head = head.replace("200 OK", "206 Partial Content");
        head.push_str(&format!("Content-Range: bytes {start}-{last}/{all}\r\n"));
    }
    head.push_str("\r\n");
    if !(stall && sent == 0) {
        stream.write_all(head.as_bytes()).await?;
    }
    stream.write_all(&part[..sent.min(part.len())]).await?;
    stream.flush().await?;
    if stall {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    Ok(())
}
