//! Resolution on small made-up archives.

// Helpers of tests may unwrap as the tests do.
#![allow(clippy::unwrap_used)]

use imgbuild_base::{Arch, ByteSize, Digest};
use imgbuild_debian::index::{IndexError, VerifiedIndex};
use imgbuild_debian::lock::LockedPackage;
use imgbuild_debian::release::IndexRef;
use imgbuild_debian::resolve::{Options, Pin, ResolveError, resolve};
use std::io::Read;

/// An index from lines `name version | Field: value | …`.
fn index(suite: &str, lines: &str) -> VerifiedIndex {
    let mut text = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut parts = line.split('|').map(str::trim);
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        let fields: Vec<&str> = parts.collect();
        text += &format!("Package: {name}\nVersion: {version}\n");
        if !fields.iter().any(|field| field.starts_with("Architecture")) {
            text += "Architecture: amd64\n";
        }
        for field in fields {
            text += &format!("{}\n", field.replace('/', "|"));
        }
        let digest = Digest::of(text.as_bytes());
        text += &format!("Filename: pool/{name}_{version}.deb\nSize: 5\nSHA256: {digest}\n\n");
    }
    raw(suite, &text).unwrap()
}

fn raw(suite: &str, text: &str) -> Result<VerifiedIndex, IndexError> {
    let mut xz = Vec::new();
    liblzma::bufread::XzEncoder::new(text.as_bytes(), 1)
        .read_to_end(&mut xz)
        .unwrap();
    IndexRef {
        suite: suite.parse().unwrap(),
        component: "main".parse().unwrap(),
        path: "main/binary-amd64/Packages.xz".into(),
        by_hash: "main/binary-amd64/Packages.xz".into(),
        sha256: Digest::of(&xz),
        size: ByteSize::bytes(xz.len() as u64),
        not_automatic: suite.ends_with("backports"),
    }
    .verify(&xz)
}

fn solve(
    indexes: &[VerifiedIndex],
    wanted: &[&str],
    change: impl Fn(&mut Options),
) -> Result<Vec<LockedPackage>, ResolveError> {
    let parsed: Vec<_> = indexes.iter().map(|index| index.parse().unwrap()).collect();
    let wanted: Vec<_> = wanted.iter().map(|text| text.parse().unwrap()).collect();
    let mut options = Options::new(Arch::Amd64);
    change(&mut options);
    resolve(&parsed, &wanted, &options)
}

fn names(answer: Result<Vec<LockedPackage>, ResolveError>) -> Vec<String> {
    let shown = |one: &LockedPackage| format!("{} {}", one.name, one.version);
    answer.unwrap().iter().map(shown).collect()
}

const NOTHING: fn(&mut Options) = |_| {};

#[test]
fn newest_versions_and_transitive_dependencies() {
    let main = index(
        "trixie",
        "aa 1 | Depends: bb (>= 2), cc:any | Recommends: zz
         bb 1
         bb 2
         bb 3~rc1 | Pre-Depends: dd
         cc 1 | Architecture: all
         cc 9 | Architecture: arm64
         dd 1
         zz 1",
    );
    let answer = solve(&[main], &["aa"], NOTHING);
    assert_eq!(names(answer), ["aa 1", "bb 3~rc1", "cc 1", "dd 1"]);
}

#[test]
fn alternatives_and_providers_in_order() {
    let main = index(
        "trixie",
        "aa 1 | Depends: nosuch / bb / cc
         bb 1
         cc 1
         base 1 | Depends: awk
         gawk 1 | Provides: awk | Priority: optional
         mawk 1 | Provides: awk | Priority: required
         libx 1 | Depends: abi (= 2)
         old 1 | Provides: abi
         new 1 | Provides: abi (= 2)",
    );
    let answer = solve(
        std::slice::from_ref(&main),
        &["aa", "base", "libx"],
        NOTHING,
    );
    assert_eq!(
        names(answer),
        ["aa 1", "base 1", "bb 1", "libx 1", "mawk 1", "new 1"]
    );
    let answer = solve(&[main], &["base", "gawk"], NOTHING);
    assert_eq!(names(answer), ["base 1", "gawk 1"]);
}

#[test]
fn conflicts_are_avoided_or_explained() {
    let main = index(
        "trixie",
        "aa 1 | Depends: bb / cc
         bb 1 | Conflicts: dd
         cc 1
         dd 1
         ee 1 | Breaks: cc (<< 2)
         mta1 1 | Provides: mta | Conflicts: mta
         mta2 1 | Provides: mta | Conflicts: mta",
    );
    let main = std::slice::from_ref(&main);
    assert_eq!(
        names(solve(main, &["aa", "dd"], NOTHING)),
        ["aa 1", "cc 1", "dd 1"]
    );
    assert_eq!(names(solve(main, &["mta1"], NOTHING)), ["mta1 1"]);
    let Err(ResolveError::Conflict(words)) = solve(main, &["mta1", "mta2"], NOTHING) else {
        panic!("a conflict")
    };
    assert!(words.contains("mta1") && words.contains("mta2"), "{words}");
    let Err(ResolveError::Conflict(words)) = solve(main, &["ee", "cc"], NOTHING) else {
        panic!("a conflict")
    };
    assert!(words.contains("cc (<< 2)"), "{words}");
}

#[test]
fn suites_and_pins() {
    let indexes = [
        index("trixie", "aa 1 | Depends: bb\nbb 1\nkk 1"),
        index("trixie-security", "bb 1+deb13u1\naa 1"),
        index(
            "trixie-backports",
            "bb 2\nkk 2 | Depends: bb (>= 2)\nonly 1",
        ),
    ];
    let answer = solve(&indexes, &["aa"], NOTHING).unwrap();
    assert_eq!(answer[0].suite.as_str(), "trixie");
    assert_eq!(answer[1].version.as_str(), "1+deb13u1");
    assert_eq!(answer[1].suite.as_str(), "trixie-security");
    assert_eq!(answer[1].path.as_str(), "pool/bb_1+deb13u1.deb");
    // Backports only where nothing else will do, or pinned.
    assert_eq!(names(solve(&indexes, &["only"], NOTHING)), ["only 1"]);
    let pinned = |pin: Pin| {
        names(solve(&indexes, &["kk"], |options| {
            options.pins.insert("kk".parse().unwrap(), pin.clone());
        }))
    };
    assert_eq!(
        pinned(Pin::Suite("trixie-backports".parse().unwrap())),
        ["bb 2", "kk 2"]
    );
    assert_eq!(pinned(Pin::Version("1".parse().unwrap())), ["kk 1"]);
    let impossible = solve(&indexes, &["kk"], |options| {
        let pin = Pin::Version("7".parse().unwrap());
        options.pins.insert("kk".parse().unwrap(), pin);
    });
    let Err(ResolveError::Conflict(words)) = impossible else {
        panic!("a conflict")
    };
    assert!(words.contains("pinned to version 7"), "{words}");
}

#[test]
fn safe_cuts() {
    let main = index(
        "trixie",
        "aa 1 | Depends: adduser, debconf-2.0, cc
         adduser 1 | Depends: passwd
         debconf 1 | Provides: debconf-2.0
         passwd 1
         cc 1",
    );
    let main = std::slice::from_ref(&main);
    let exclude = |options: &mut Options| {
        for name in ["adduser", "debconf"] {
            options.exclude.insert(name.parse().unwrap());
        }
    };
    assert_eq!(names(solve(main, &["aa"], exclude)), ["aa 1", "cc 1"]);
    assert!(matches!(
        solve(main, &["adduser"], exclude),
        Err(ResolveError::Excluded(name)) if name.as_str() == "adduser"
    ));
}

#[test]
fn what_cannot_be_met_is_named() {
    let main = index("trixie", "aa 1 | Depends: bb (>= 2)\nbb 1");
    let main = std::slice::from_ref(&main);
    let Err(ResolveError::Conflict(words)) = solve(main, &["aa"], NOTHING) else {
        panic!("a conflict")
    };
    assert!(words.contains("bb (>= 2)"), "{words}");
    let error = solve(main, &["typo"], NOTHING).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no package is or provides \"typo\" in trixie: is the name right, and the architecture?"
    );
}

#[test]
fn malformed_indexes_name_the_line() {
    let error = |text: &str| {
        raw("trixie", text)
            .unwrap()
            .parse()
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error("Package: a\nVersion: 1\nArchitecture: all\nFilename: x\nSize: big\n"),
        "main/binary-amd64/Packages.xz, line 1: the field Size is \"big\""
    );
    assert_eq!(
        error("\nPackage: a\nbroken\n"),
        "main/binary-amd64/Packages.xz: line 3 of the control file is \"broken\": expected \"Name: value\""
    );
}
