//! One process's use of a store.
#![allow(clippy::unwrap_used)]

use imgbuild_base::{Digest, Event, Events};
use imgbuild_store::{
    Corrupt, GcPolicy, Output, Realised, StepKey, StepKind, StepResult, Store, StoreError,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

fn fresh() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store"), &Events::none()).unwrap();
    (directory, store)
}

fn key(kind: &str, what: &str) -> StepKey {
    StepKey::new(StepKind::new(kind).unwrap(), Digest::of(what.as_bytes()))
}

fn result(store: &Store, what: &str, content: &[u8]) -> StepResult {
    let output = Output::from(&store.put(content).unwrap());
    StepResult {
        what: what.to_owned(),
        outputs: [("out".to_owned(), output)].into(),
        ..StepResult::default()
    }
}

fn age(path: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400);
    let file = fs_err::OpenOptions::new().read(true).open(path).unwrap();
    file.into_parts().0.set_modified(then).unwrap();
}

fn policy() -> GcPolicy {
    GcPolicy {
        now: SystemTime::now(),
        older_than: None,
        max_size: None,
        forget: BTreeSet::new(),
        dry_run: false,
    }
}

/// Files under the store's `tmp/`, without the locks.
fn temporaries(store: &Store) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for run in fs_err::read_dir(store.path().join("tmp")).unwrap() {
        for file in fs_err::read_dir(run.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if !path.ends_with("lock") {
                all.push(path);
            }
        }
    }
    all
}

#[test]
fn what_goes_in_comes_out() {
    let (_directory, store) = fresh();
    let mut writer = store.writer().unwrap();
    writer.write_all(b"a").unwrap();
    writer.write_all(b"bc").unwrap();
    let object = writer.commit().unwrap();
    assert_eq!(object.digest(), Digest::of(b"abc"));
    assert_eq!(object.len(), 3);
    let found = store.object(Digest::of(b"abc")).unwrap().unwrap();
    assert_eq!(found, object);
    assert_eq!(&found.bytes().unwrap()[..], b"abc");
    let mode = fs_err::metadata(found.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o444);
    assert_eq!(store.object(Digest::of(b"other")).unwrap(), None);
    assert_eq!(store.put(b"abc").unwrap(), object, "twice is once");
    assert_eq!(store.put(b"").unwrap().bytes().unwrap().len(), 0);
    assert!(temporaries(&store).is_empty());
}

#[test]
fn a_header_may_be_written_last() {
    let (_directory, store) = fresh();
    let mut writer = store.seek_writer().unwrap();
    writer.write_all(b"....body").unwrap();
    writer.seek(SeekFrom::Start(0)).unwrap();
    writer.write_all(b"HEAD").unwrap();
    let mut rest = String::new();
    writer.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "body");
    let object = writer.commit().unwrap();
    assert_eq!(object.digest(), Digest::of(b"HEADbody"));
    assert_eq!(&object.bytes().unwrap()[..], b"HEADbody");
    drop(store.seek_writer().unwrap());
    assert!(temporaries(&store).is_empty());
}

#[test]
fn the_wrong_content_is_not_kept() {
    let (_directory, store) = fresh();
    let promised = Digest::of(b"right");
    let mut writer = store.writer().unwrap();
    writer.write_all(b"wrong").unwrap();
    match writer.commit_expecting(promised, Some(5)) {
        Err(StoreError::Mismatch {
            expected,
            found,
            found_len,
            ..
        }) => assert_eq!(
            (expected, found, found_len),
            (promised, Digest::of(b"wrong"), 5)
        ),
        other => panic!("{other:?}"),
    }
    let mut writer = store.partial_writer(promised).unwrap();
    writer.write_all(b"right").unwrap();
    let refused = writer.commit_expecting(promised, Some(6)).unwrap_err();
    assert!(matches!(
        refused,
        StoreError::Mismatch {
            expected_len: Some(6),
            ..
        }
    ));
    assert_eq!(store.object(promised).unwrap(), None);
    assert_eq!(store.object(Digest::of(b"wrong")).unwrap(), None);
    assert!(store.partial_writer(promised).unwrap().is_empty());
    assert!(temporaries(&store).is_empty());
}

#[test]
fn a_cut_off_download_goes_on() {
    let (directory, store) = fresh();
    let promised = Digest::of(b"first second");
    let mut writer = store.partial_writer(promised).unwrap();
    writer.write_all(b"first ").unwrap();
    // Somebody else at the same time gets a writer that starts at nothing.
    let mut other = store.partial_writer(promised).unwrap();
    assert_eq!(other.len(), 0);
    other.write_all(b"x").unwrap();
    drop((writer, other, store));

    let store = Store::open(&directory.path().join("store"), &Events::none()).unwrap();
    let mut writer = store.partial_writer(promised).unwrap();
    assert_eq!(writer.len(), 6);
    assert_eq!(writer.digest(), Digest::of(b"first "));
    writer.write_all(b"second").unwrap();
    let object = writer.commit_expecting(promised, Some(12)).unwrap();
    assert_eq!(&object.bytes().unwrap()[..], b"first second");

    let mut again = store.partial_writer(promised).unwrap();
    assert_eq!(
        again.len(),
        0,
        "what became an object is no partial any more"
    );
    again.write_all(b"rubbish").unwrap();
    again.restart().unwrap();
    again.write_all(b"first second").unwrap();
    again.commit_expecting(promised, None).unwrap();
    assert_eq!(store.verify(false).unwrap().objects, 1);
}

#[test]
fn results_are_believed_while_their_objects_are_there() {
    let (_directory, store) = fresh();
    let step = key("squashfs", "base");
    assert_eq!(store.result(&step).unwrap(), None);
    let given = result(&store, "squashfs of base", b"layer");
    store.record(&step, &given).unwrap();
    assert_eq!(store.result(&step).unwrap(), Some(given.clone()));
    assert_eq!(store.results().unwrap(), [(step.clone(), given.clone())]);
    assert_eq!(
        store.result(&key("disk", "base")).unwrap(),
        None,
        "the kind is part of it"
    );

    let object = store.object(Digest::of(b"layer")).unwrap().unwrap();
    let mapped = object.bytes().unwrap();
    fs_err::remove_file(object.path()).unwrap();
    assert_eq!(store.result(&step).unwrap(), None);
    assert_eq!(&mapped[..], b"layer", "a mapping outlives its file");
    let refused = store.record(&step, &given).unwrap_err();
    assert!(
        matches!(refused, StoreError::MissingObject { len: 5, .. }),
        "{refused:?}"
    );
    fs_err::write(object.path(), b"lay").unwrap();
    assert_eq!(store.result(&step).unwrap(), None, "a short object is none");
    assert!(object.bytes().unwrap_err().to_string().contains("objects/"));
}

#[test]
fn a_damaged_result_is_none_and_can_be_replaced() {
    let (_directory, store) = fresh();
    let step = key("fetch", "x");
    let given = result(&store, "fetch x", b"x");
    store.record(&step, &given).unwrap();
    let path = store
        .path()
        .join("results/fetch")
        .join(step.digest().to_string());
    fs_err::write(&path, b"{\"what\": ").unwrap();
    assert_eq!(store.result(&step).unwrap(), None);
    assert_eq!(store.results().unwrap(), []);
    store.record(&step, &given).unwrap();
    assert_eq!(store.result(&step).unwrap(), Some(given));
}

#[test]
fn many_threads_build_a_step_once() {
    let (_directory, store) = fresh();
    let built = Mutex::new(0);
    let step = key("etcd", "arm64");
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let realised = store.realise(&step, "etcd", || {
                    *built.lock().unwrap() += 1;
                    std::thread::sleep(Duration::from_millis(20));
                    Ok::<_, StoreError>(result(&store, "etcd", b"binary"))
                });
                let outputs = realised.unwrap().into_result().outputs;
                assert_eq!(outputs["out"].digest, Digest::of(b"binary"));
            });
        }
    });
    assert_eq!(*built.lock().unwrap(), 1);
    let again = store.realise(&step, "etcd", || -> Result<StepResult, StoreError> {
        panic!("it is in the store")
    });
    assert!(matches!(again.unwrap(), Realised::Cached(_)));
}

#[test]
fn a_wait_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let notes = Arc::new(Mutex::new(Vec::new()));
    let heard = notes.clone();
    let events = Events::new(move |event| {
        if let Event::Note(text) = event {
            heard.lock().unwrap().push(text);
        }
    });
    let store = Store::open(directory.path(), &events).unwrap();
    let step = key("disk", "n1");
    let held = store.lock(&step, "the disk of n1").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| drop(store.lock(&step, "the disk of n1").unwrap()));
        while notes.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        drop(held);
    });
    let expected = format!(
        "waiting for another imgbuild (process {}) to finish the disk of n1",
        std::process::id()
    );
    assert_eq!(*notes.lock().unwrap(), [expected]);
}

#[test]
fn a_failing_step_leaves_nothing_and_may_be_tried_again() {
    let (_directory, store) = fresh();
    let step = key("etcd", "arm");
    let failed = store.realise(&step, "etcd", || {
        Err::<StepResult, _>(StoreError::RootName("boom".into()))
    });
    assert!(matches!(failed, Err(StoreError::RootName(_))));
    let built = store.realise(&step, "etcd", || {
        Ok::<_, StoreError>(result(&store, "etcd", b"b"))
    });
    assert!(matches!(built.unwrap(), Realised::Built(_)));
}

#[test]
fn other_directories_and_versions_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("letter.txt"), "dear").unwrap();
    let refused = Store::open(directory.path(), &Events::none()).unwrap_err();
    assert!(
        matches!(refused, StoreError::NotAStore { .. }),
        "{refused:?}"
    );
    let left: Vec<_> = fs_err::read_dir(directory.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing was put there");

    let (_directory, store) = fresh();
    fs_err::write(store.path().join("VERSION"), "imgbuild store 999\n").unwrap();
    match Store::open(store.path(), &Events::none()) {
        Err(StoreError::Version { found, .. }) => assert_eq!(found, "imgbuild store 999"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reader_reads_and_says_what_it_may_not() {
    let (_directory, store) = fresh();
    let step = key("fetch", "x");
    store
        .record(&step, &result(&store, "fetch x", b"x"))
        .unwrap();
    let reader = Store::open_read_only(store.path(), &Events::none()).unwrap();
    assert!(reader.is_read_only());
    assert!(reader.result(&step).unwrap().is_some());
    assert!(reader.verify(false).unwrap().is_sound());
    assert!(matches!(reader.writer(), Err(StoreError::ReadOnly { .. })));
    assert!(matches!(
        reader.partial_writer(step.digest()),
        Err(StoreError::ReadOnly { .. })
    ));
    assert!(matches!(
        reader.lock(&step, "x"),
        Err(StoreError::ReadOnly { .. })
    ));
    assert!(matches!(
        reader.gc(&policy()),
        Err(StoreError::ReadOnly { .. })
    ));
    assert!(matches!(
        reader.verify(true),
        Err(StoreError::ReadOnly { .. })
    ));
    let refused = reader.put(b"y").unwrap_err().to_string();
    assert!(refused.contains("--store"), "{refused}");
    let missing = Store::open_read_only(&store.path().join("none"), &Events::none());
    assert!(matches!(missing, Err(StoreError::Io { .. })));
}

#[test]
fn verify_finds_and_repairs() {
    let (_directory, store) = fresh();
    let (good, bad) = (key("a", "good"), key("a", "bad"));
    store
        .record(&good, &result(&store, "good", b"good"))
        .unwrap();
    store.record(&bad, &result(&store, "bad", b"bad!")).unwrap();
    assert!(store.verify(false).unwrap().is_sound());

    let object = store.object(Digest::of(b"bad!")).unwrap().unwrap();
    fs_err::remove_file(object.path()).unwrap();
    fs_err::write(object.path(), b"BAD!").unwrap();
    let stray = store.path().join("objects/zz");
    fs_err::create_dir_all(&stray).unwrap();
    fs_err::write(stray.join("thing"), b"?").unwrap();
    let expected = [Corrupt {
        digest: Digest::of(b"bad!"),
        found: Some(Digest::of(b"BAD!")),
    }];
    for repair in [false, true] {
        let report = store.verify(repair).unwrap();
        assert_eq!(report.objects, 2);
        assert_eq!(report.corrupt, expected);
        assert_eq!(report.broken.as_slice(), std::slice::from_ref(&bad));
        assert_eq!(report.strays, [stray.join("thing")]);
        assert!(!report.is_sound());
    }
    assert!(store.verify(false).unwrap().is_sound());
    assert_eq!(store.result(&bad).unwrap(), None);
    assert!(store.result(&good).unwrap().is_some());
}

#[test]
fn gc_keeps_roots_and_what_is_young() {
    let (_directory, store) = fresh();
    let steps = ["rooted", "old", "young"].map(|what| {
        let step = key("a", what);
        store
            .record(&step, &result(&store, what, what.as_bytes()))
            .unwrap();
        step
    });
    let lone = store.put(b"old but rooted object").unwrap();
    let partial = Digest::of(b"never finished");
    store
        .partial_writer(partial)
        .unwrap()
        .write_all(b"nev")
        .unwrap();
    store
        .set_root("prod", &[steps[0].clone()].into(), &[lone.digest()].into())
        .unwrap();
    let objects = store.path().join("objects");
    for what in ["rooted", "old", "old but rooted object"] {
        let digest = Digest::of(what.as_bytes()).to_string();
        age(&objects.join(&digest[..2]).join(&digest), 40);
    }
    for step in &steps[..2] {
        age(
            &store
                .path()
                .join("results/a")
                .join(step.digest().to_string()),
            40,
        );
    }
    age(&store.path().join("partial").join(partial.to_string()), 40);

    let month = Some(Duration::from_secs(30 * 86_400));
    let dry = GcPolicy {
        older_than: month,
        dry_run: true,
        ..policy()
    };
    let would = store.gc(&dry).unwrap();
    let did = store
        .gc(&GcPolicy {
            dry_run: false,
            ..dry
        })
        .unwrap();
    assert_eq!(would, did);
    assert_eq!(did.results, [steps[1].clone()]);
    assert_eq!(did.objects, [Digest::of(b"old")]);
    assert_eq!((did.partials, did.freed, did.kept_objects), (1, 6, 3));
    assert!(store.result(&steps[0]).unwrap().is_some());
    assert!(store.result(&steps[2]).unwrap().is_some());

    let all = GcPolicy {
        older_than: Some(Duration::ZERO),
        ..policy()
    };
    assert_eq!(store.gc(&all).unwrap().kept_objects, 2);
    let forgetting = |name: &str, dry_run| GcPolicy {
        forget: [name.to_owned()].into(),
        dry_run,
        ..all.clone()
    };
    let unknown = store.gc(&forgetting("test", false)).unwrap_err();
    assert!(unknown.to_string().contains("prod"), "{unknown}");
    assert_eq!(store.gc(&forgetting("prod", true)).unwrap().kept_objects, 0);
    assert_eq!(store.gc(&all).unwrap().kept_objects, 2);
    assert_eq!(
        store.gc(&forgetting("prod", false)).unwrap().kept_objects,
        0
    );
    assert_eq!(store.du().unwrap(), imgbuild_store::Usage::default());
}

#[test]
fn gc_by_size_drops_the_oldest_and_what_only_they_need() {
    let (_directory, store) = fresh();
    let shared = Output::from(&store.put(b"shared").unwrap());
    let steps = ["1st", "2nd", "3rd"].map(|what| {
        let step = key("a", what);
        let mut given = result(&store, what, what.as_bytes());
        given.outputs.insert("shared".to_owned(), shared);
        store.record(&step, &given).unwrap();
        step
    });
    for (step, days) in steps.iter().zip([3, 2, 1]) {
        age(
            &store
                .path()
                .join("results/a")
                .join(step.digest().to_string()),
            days,
        );
    }
    let report = store
        .gc(&GcPolicy {
            max_size: Some(9),
            ..policy()
        })
        .unwrap();
    assert_eq!(report.kept, 9, "the shared object and the youngest's");
    assert_eq!(
        report.results.iter().collect::<BTreeSet<_>>(),
        steps[..2].iter().collect()
    );
    assert!(store.result(&steps[2]).unwrap().is_some());
}

#[test]
fn gc_removes_results_without_objects_and_refuses_unreadable_roots() {
    let (_directory, store) = fresh();
    let step = key("a", "x");
    store.record(&step, &result(&store, "x", b"x")).unwrap();
    let object = store.object(Digest::of(b"x")).unwrap().unwrap();
    fs_err::remove_file(object.path()).unwrap();
    assert_eq!(store.gc(&policy()).unwrap().results, [step]);
    fs_err::write(store.path().join("roots/r"), "what is this\n").unwrap();
    let refused = store.gc(&policy()).unwrap_err();
    assert!(matches!(refused, StoreError::Io { .. }), "{refused:?}");
    for bad in ["", ".hidden", "a/b", "../x"] {
        let refused = store.set_root(bad, &BTreeSet::new(), &BTreeSet::new());
        let refused = refused.unwrap_err();
        assert!(matches!(refused, StoreError::RootName(_)), "{bad}");
    }
}

#[test]
fn gc_refuses_while_somebody_uses_the_store() {
    let (_directory, store) = fresh();
    let other = Store::open(store.path(), &Events::none()).unwrap();
    assert!(matches!(store.gc(&policy()), Err(StoreError::InUse { .. })));
    assert!(
        store
            .gc(&GcPolicy {
                dry_run: true,
                ..policy()
            })
            .is_ok()
    );
    drop(other);
    let writer = store.writer().unwrap();
    assert!(matches!(store.gc(&policy()), Err(StoreError::InUse { .. })));
    drop(writer);
    store.gc(&policy()).unwrap();
    store.put(b"still usable").unwrap();
}

#[test]
fn du_counts_by_kind() {
    let (_directory, store) = fresh();
    store
        .record(&key("a", "1"), &result(&store, "1", b"xx"))
        .unwrap();
    store
        .record(&key("a", "2"), &result(&store, "2", b"xx"))
        .unwrap();
    store
        .record(&key("b", "1"), &result(&store, "1", b"yyy"))
        .unwrap();
    store.put(b"zzzz").unwrap();
    let usage = store.du().unwrap();
    let kind = |name| usage.kinds[&StepKind::new(name).unwrap()];
    assert_eq!((kind("a").count, kind("a").bytes), (2, 4));
    assert_eq!((kind("b").count, kind("b").bytes), (1, 3));
    assert_eq!((usage.objects.count, usage.objects.bytes), (3, 9));
    assert_eq!((usage.unreferenced.count, usage.unreferenced.bytes), (1, 4));
}

#[test]
fn scratch_directories_go_away() {
    let (_directory, store) = fresh();
    let scratch = store.scratch().unwrap();
    fs_err::write(scratch.path().join("f"), "x").unwrap();
    let path = scratch.path().to_owned();
    drop(scratch);
    assert!(!path.exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_pieces_make_the_object_of_their_sum(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300_000), 0..4),
    ) {
        let (_directory, store) = fresh();
        let mut writer = store.writer().unwrap();
        for piece in &pieces {
            writer.write_all(piece).unwrap();
        }
        let object = writer.commit().unwrap();
        prop_assert_eq!(object.digest(), Digest::of(&pieces.concat()));
        prop_assert_eq!(&object.bytes().unwrap()[..], &pieces.concat()[..]);
    }

    #[test]
    fn no_result_text_panics(text in any::<Vec<u8>>()) {
        let (_directory, store) = fresh();
        let step = key("a", "x");
        store.record(&step, &StepResult::default()).unwrap();
        let path = store.path().join("results/a").join(step.digest().to_string());
        fs_err::write(&path, &text).unwrap();
        prop_assert_eq!(store.result(&step).unwrap(), None);
    }
}
