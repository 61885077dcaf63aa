//! Downloads from a server on loopback that behaves as badly as it is told to.
#![allow(clippy::unwrap_used)]

mod server;

use imgbuild_base::{Digest, Event, Events, Hasher};
use imgbuild_fetch::{
    Fault, FetchError, FetchOptions, Fetcher, Item, ItemError, Location, Sink, Target,
};
use server::{Reply, Server};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const BODY: &[u8] = b"the quick brown fox jumps over the lazy dog";

fn options() -> FetchOptions {
    FetchOptions {
        connect_timeout: Duration::from_secs(5),
        stall_timeout: Duration::from_millis(300),
        retries: 1,
        pause: Duration::from_millis(10),
        ..FetchOptions::default()
    }
}

fn fetcher() -> Fetcher {
    Fetcher::new(options(), &Events::none()).unwrap()
}

fn item(candidates: Vec<Location>) -> Item {
    Item {
        what: "fox".to_owned(),
        candidates,
        digest: Digest::of(BODY),
        size: Some(BODY.len() as u64),
    }
}

/// Fetches one item and gives the bytes.
fn fetch(item: Item) -> Result<Vec<u8>, FetchError> {
    let mut all = fetcher().fetch_bytes(vec![item])?;
    Ok(all.remove(0).to_vec())
}

/// The faults of the places of the one item that failed.
fn faults(failed: Result<Vec<u8>, FetchError>) -> Vec<Fault> {
    match failed {
        Err(FetchError::Items(mut errors)) if errors.len() == 1 => match errors.remove(0) {
            ItemError::Failed { tries, .. } | ItemError::Offline { tries, .. } => {
                tries.into_iter().map(|one| one.fault).collect()
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_comes() {
    let server = Server::start([("/fox", vec![Reply::Whole(BODY)])]);
    assert_eq!(fetch(item(vec![server.at("fox")])).unwrap(), BODY);
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].agent.starts_with("imgbuild/"), "{asked:?}");
}

#[test]
fn many_files_come_in_their_order_and_progress_is_told() {
    let bodies: Vec<&'static [u8]> = (0..40_usize)
        .map(|n| &*Box::leak(vec![b'x'; n * 1000].into_boxed_slice()))
        .collect();
    let names: Vec<String> = (0..40).map(|n| format!("/{n}")).collect();
    let routes = names.iter().zip(&bodies);
    let server = Server::start(routes.map(|(name, body)| (&**name, vec![Reply::Whole(body)])));
    let items = names.iter().zip(&bodies).map(|(name, body)| Item {
        what: name.clone(),
        candidates: vec![server.at(&name[1..])],
        digest: Digest::of(body),
        size: None,
    });
    let told = Arc::new(Mutex::new((0, 0, 0)));
    let heard = told.clone();
    let events = Events::new(move |event| {
        let mut heard = heard.lock().unwrap();
        match event {
            Event::Started { .. } => heard.0 += 1,
            Event::Advanced { by, .. } => heard.1 += by,
            Event::Finished { .. } => heard.2 += 1,
            _ => {}
        }
    });
    let fetcher = Fetcher::new(options(), &events).unwrap();
    let came = fetcher.fetch_bytes(items.collect()).unwrap();
    assert_eq!(came, bodies);
    let bytes: usize = bodies.iter().map(|body| body.len()).sum();
    assert_eq!(*told.lock().unwrap(), (40, bytes as u64, 40));
}

#[test]
fn the_next_mirror_has_it() {
    let server = Server::start([
        ("/a", vec![Reply::Status(404)]),
        ("/b", vec![Reply::Whole(BODY)]),
    ]);
    let found = fetch(item(vec![server.at("a"), server.at("b"), server.at("c")]));
    assert_eq!(found.unwrap(), BODY);
    assert_eq!(server.paths(), ["/a", "/b"]);
}

#[test]
fn a_broken_connection_is_taken_up_again() {
    let server = Server::start([(
        "/fox",
        vec![
            Reply::Cut(BODY, 10),
            Reply::Cut(BODY, 5),
            Reply::Whole(BODY),
        ],
    )]);
    assert_eq!(fetch(item(vec![server.at("fox")])).unwrap(), BODY);
    let ranges: Vec<_> = server.asked().into_iter().map(|it| it.range).collect();
    assert_eq!(ranges, [None, Some(10), Some(15)]);
}

#[test]
fn a_chunked_body_that_ends_early_is_taken_up_again() {
    let server = Server::start([(
        "/fox",
        vec![Reply::Unannounced(&BODY[..10]), Reply::Whole(BODY)],
    )]);
    assert_eq!(fetch(item(vec![server.at("fox")])).unwrap(), BODY);
    assert_eq!(server.asked()[1].range, Some(10));
}

#[test]
fn another_mirror_goes_on_where_one_broke_off() {
    let server = Server::start([
        ("/a", vec![Reply::Cut(BODY, 10), Reply::Status(503)]),
        ("/b", vec![Reply::Whole(BODY)]),
    ]);
    let found = fetch(item(vec![server.at("a"), server.at("b")]));
    assert_eq!(found.unwrap(), BODY);
    assert_eq!(server.paths(), ["/a", "/a", "/b"]);
    assert_eq!(server.asked()[2].range, Some(10));
}

#[test]
fn a_server_may_not_know_ranges() {
    let server = Server::start([("/fox", vec![Reply::Cut(BODY, 10), Reply::Rangeless(BODY)])]);
    assert_eq!(fetch(item(vec![server.at("fox")])).unwrap(), BODY);
    assert_eq!(server.asked()[1].range, Some(10));
}

#[test]
fn a_part_nobody_asked_for_is_not_joined() {
    let server = Server::start([(
        "/fox",
        vec![
            Reply::Cut(BODY, 10),
            Reply::OtherPart(BODY),
            Reply::Whole(BODY),
        ],
    )]);
    assert_eq!(fetch(item(vec![server.at("fox")])).unwrap(), BODY);
    assert_eq!(server.asked()[2].range, None, "it starts anew");
}

#[test]
fn a_silent_server_is_left() {
    let server = Server::start([
        ("/mute", vec![Reply::Stall(BODY, 0)]),
        ("/tired", vec![Reply::Stall(BODY, 10)]),
        ("/b", vec![Reply::Whole(BODY)]),
    ]);
    let found = fetch(item(vec![
        server.at("mute"),
        server.at("tired"),
        server.at("b"),
    ]));
    assert_eq!(found.unwrap(), BODY);
    let seen = faults(fetch(item(vec![server.at("mute")])));
    assert!(matches!(seen[..], [Fault::Stalled { .. }]), "{seen:?}");
}

#[test]
fn wrong_bytes_are_thrown_away() {
    let wrong: &[u8] = b"the quick brown cat jumps over the lazy dog";
    assert_eq!(wrong.len(), BODY.len());
    let server = Server::start([
        ("/a", vec![Reply::Whole(wrong)]),
        ("/b", vec![Reply::Whole(BODY)]),
    ]);
    let found = fetch(item(vec![server.at("a"), server.at("b")]));
    assert_eq!(found.unwrap(), BODY);
    let seen = faults(fetch(item(vec![server.at("a"), server.at("gone")])));
    match &seen[..] {
        [
            Fault::WrongBytes { found, .. },
            Fault::Status { code: 404, .. },
        ] => {
            assert_eq!(*found, Digest::of(wrong));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_bad_mirror_began_does_not_spoil_a_good_one() {
    let wrong: &[u8] = b"THE QUICK BROWN FOX";
    let server = Server::start([
        ("/a", vec![Reply::Cut(wrong, 19)]),
        ("/b", vec![Reply::Whole(BODY)]),
    ]);
    let mut wanted = item(vec![server.at("a"), server.at("b")]);
    wanted.size = None;
    assert_eq!(fetch(wanted).unwrap(), BODY);
}

#[test]
fn a_longer_body_is_cut_off() {
    let server = Server::start([
        (
            "/announced",
            vec![Reply::Whole(
                b"the quick brown fox jumps over the lazy dog and on",
            )],
        ),
        ("/endless", vec![Reply::Endless]),
    ]);
    let seen = faults(fetch(item(vec![
        server.at("announced"),
        server.at("endless"),
    ])));
    assert!(
        matches!(
            seen[..],
            [
                Fault::WrongLength { found: 50, .. },
                Fault::TooLong { limit: 43 }
            ]
        ),
        "{seen:?}"
    );
    assert_eq!(
        server.paths(),
        ["/announced", "/endless"],
        "neither is asked again"
    );
}

#[test]
fn redirects_are_followed() {
    let server = Server::start([
        ("/old", vec![Reply::Redirect("/new")]),
        ("/new", vec![Reply::Whole(BODY)]),
    ]);
    assert_eq!(fetch(item(vec![server.at("old")])).unwrap(), BODY);
    let server = Server::start([("/round", vec![Reply::Redirect("/round")])]);
    let seen = faults(fetch(item(vec![server.at("round")])));
    assert!(matches!(seen[..], [Fault::Protocol(_)]), "{seen:?}");
}

#[test]
fn nobody_there() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let dead: Location = format!("http://{port}/debian").parse().unwrap();
    let server = Server::start([("/fox", vec![Reply::Whole(BODY)])]);
    assert_eq!(
        fetch(item(vec![dead.clone(), server.at("fox")])).unwrap(),
        BODY
    );
    let error = fetch(item(vec![dead])).unwrap_err().to_string();
    assert!(
        error.contains("refused") && error.contains("(asked 2 times)"),
        "{error}"
    );
    let none = fetch(item(vec![])).unwrap_err().to_string();
    assert_eq!(none, "cannot fetch fox: no mirror is known for it");
}

#[test]
fn a_tired_server_is_asked_again_after_a_pause() {
    let server = Server::start([("/fox", vec![Reply::Status(503), Reply::Whole(BODY)])]);
    assert_eq!(fetch(item(vec![server.at("fox")])).unwrap(), BODY);
}

#[test]
fn directories_are_mirrors_and_offline_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("fox"), BODY).unwrap();
    let local = Location::local(directory.path()).unwrap();
    let url: Location = format!("file://{}", directory.path().display())
        .parse()
        .unwrap();
    let server = Server::start([("/fox", vec![Reply::Whole(BODY)])]);
    let offline = FetchOptions {
        offline: true,
        ..options()
    };
    let fetcher = Fetcher::new(offline, &Events::none()).unwrap();
    for base in [&local, &url] {
        let places = vec![
            server.at("fox"),
            base.join("gone").unwrap(),
            base.join("fox").unwrap(),
        ];
        assert_eq!(fetcher.fetch_bytes(vec![item(places)]).unwrap(), [BODY]);
    }
    let failed = fetcher.fetch_bytes(vec![item(vec![server.at("fox"), local.clone()])]);
    let text = failed.as_ref().unwrap_err().to_string();
    assert!(
        text.starts_with("fox is not at hand, and imgbuild works offline"),
        "{text}"
    );
    let seen = faults(failed.map(|_| Vec::new()));
    assert!(
        matches!(seen[..], [Fault::Offline, Fault::Local(_)]),
        "{seen:?}"
    );
    assert!(server.asked().is_empty(), "nothing was asked");
}

#[test]
fn every_missing_item_is_named_and_the_others_are_kept() {
    let server = Server::start([("/fox", vec![Reply::Whole(BODY)])]);
    // Each with a digest of its own: what is kept of the fox must not serve for another.
    let missing = |what: &str| Item {
        what: what.to_owned(),
        digest: Digest::of(what.as_bytes()),
        ..item(vec![server.at(what)])
    };
    let kept = Arc::new(Files::default());
    let items = vec![missing("one"), item(vec![server.at("fox")]), missing("two")];
    let error = fetcher().fetch_all(items, kept.clone()).unwrap_err();
    let FetchError::Items(errors) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(errors.len(), 2);
    let text = error.to_string();
    let (one, two) = (
        text.find("cannot fetch one").unwrap(),
        text.find("cannot fetch two").unwrap(),
    );
    assert!(one < two && text.contains("404"), "{text}");
    assert_eq!(kept.0.lock().unwrap()[&Digest::of(BODY)], BODY);
}

#[test]
fn what_an_earlier_run_left_is_gone_on_with() {
    let server = Server::start([("/fox", vec![Reply::Whole(BODY)])]);
    for (left, ranges) in [
        (&BODY[..20], vec![Some(20)]),
        // Rubbish is noticed at the end, and then all of it is asked for.
        (b"rubbish", vec![Some(7), None]),
        (BODY, vec![]),
        (
            b"rubbish that is longer than what it should have become",
            vec![None],
        ),
    ] {
        server.forget();
        let files = Arc::new(Files::default());
        files
            .0
            .lock()
            .unwrap()
            .insert(Digest::of(BODY), left.to_vec());
        let fetched = fetcher().fetch_all(vec![item(vec![server.at("fox")])], files.clone());
        assert_eq!(fetched.unwrap(), [BODY.len()]);
        assert_eq!(files.0.lock().unwrap()[&Digest::of(BODY)], BODY);
        let asked: Vec<_> = server.asked().into_iter().map(|it| it.range).collect();
        assert_eq!(asked, ranges);
    }
}

#[test]
fn a_sink_that_cannot_write_is_no_mirrors_fault() {
    let server = Server::start([("/fox", vec![Reply::Whole(BODY)])]);
    let full = Arc::new(Full);
    let failed = fetcher().fetch_all(vec![item(vec![server.at("fox"), server.at("fox")])], full);
    let Err(FetchError::Items(errors)) = failed else {
        panic!()
    };
    assert!(
        matches!(&errors[..], [ItemError::Sink { source, .. }]
        if source.kind() == io::ErrorKind::StorageFull),
        "{errors:?}"
    );
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn an_unpinned_file_comes_unverified_and_from_one_place() {
    let server = Server::start([
        ("/huge", vec![Reply::Endless]),
        ("/cut", vec![Reply::Cut(b"other words altogether", 12)]),
        ("/fox", vec![Reply::Whole(BODY)]),
    ]);
    let places = [
        server.at("gone"),
        server.at("huge"),
        server.at("cut"),
        server.at("fox"),
    ];
    let (text, from) = fetcher()
        .get_unpinned("InRelease", &places, 10_000)
        .unwrap();
    assert_eq!(from, places[3]);
    let checked = text.verify(|bytes| {
        if bytes == BODY {
            Ok(bytes.len())
        } else {
            Err(bytes)
        }
    });
    assert_eq!(checked, Ok(BODY.len()));
    assert!(server.asked().iter().all(|it| it.range.is_none()));
    let refused = fetcher()
        .get_unpinned("InRelease", &places[..2], 10)
        .unwrap_err();
    assert!(
        refused.to_string().contains("more than 10 B came"),
        "{refused}"
    );
}

/// A sink that remembers, by digest, also what was not completed.
#[derive(Default)]
struct Files(Arc<Mutex<BTreeMap<Digest, Vec<u8>>>>);

struct File {
    files: Arc<Mutex<BTreeMap<Digest, Vec<u8>>>>,
    name: Digest,
    bytes: Vec<u8>,
}

impl Sink for Files {
    type Target = File;

    fn begin(&self, item: &Item) -> io::Result<File> {
        let left = self.0.lock().unwrap().get(&item.digest).cloned();
        Ok(File {
            files: self.0.clone(),
            name: item.digest,
            bytes: left.unwrap_or_default(),
        })
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for File {
    type Done = usize;

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(&self.bytes);
        hasher.finish()
    }

    fn restart(&mut self) -> io::Result<()> {
        self.bytes.clear();
        Ok(())
    }

    fn commit(self) -> io::Result<usize> {
        let len = self.bytes.len();
        self.files.lock().unwrap().insert(self.name, self.bytes);
        Ok(len)
    }
}

/// A full disk.
struct Full;

impl Sink for Full {
    type Target = FullFile;

    fn begin(&self, _item: &Item) -> io::Result<FullFile> {
        Ok(FullFile)
    }
}

struct FullFile;

impl Write for FullFile {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for FullFile {
    type Done = ();

    fn len(&self) -> u64 {
        0
    }

    fn digest(&self) -> Digest {
        Digest::of(b"")
    }

    fn restart(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn commit(self) -> io::Result<()> {
        Ok(())
    }
}
