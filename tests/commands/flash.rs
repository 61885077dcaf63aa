//! Cards: what an image says of itself, and writing one so that it can be trusted. Everything
//! runs against files, which take the same way as devices; where the machine gives loop devices,
//! against those, too.

use crate::support::inputs::{assert_says, recipe_copy};
use crate::support::{boot_offset, imgbuild, must, must_fail, run, scratch, tool};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const NODES: [&str; 3] = ["etcd-0", "etcd-1", "etcd-2"];
const MIB: u64 = 1 << 20;

/// A recipe with its secret, and its images, built once.
struct Built {
    recipe: PathBuf,
    out: PathBuf,
}

fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let dir = scratch().keep();
        let recipe = recipe_copy(&dir.join("recipe"), "vm-3node");
        let out = dir.join("out");
        must(imgbuild().arg("build").arg(&recipe).arg("--out").arg(&out));
        Built { recipe, out }
    })
}

impl Built {
    fn image(&self) -> PathBuf {
        self.out.join("etcd-0.img")
    }

    fn flash(&self, device: &Path) -> Command {
        let mut command = imgbuild();
        command.arg("flash").arg(&self.recipe).arg("etcd-0");
        command.arg(device).arg("--yes");
        command
    }
}

/// A used card: a file of that many MiB in which nothing is zero.
fn card(dir: &Path, mib: u64) -> PathBuf {
    let path = dir.join("card");
    let mut file = fs_err::File::create(&path).unwrap();
    let piece = vec![0xEE; 1 << 20];
    (0..mib).for_each(|_| file.write_all(&piece).unwrap());
    path
}

fn bytes(path: &Path, at: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    let file = fs_err::File::open(path).unwrap();
    file.file().read_exact_at(&mut bytes, at).unwrap();
    bytes
}

fn is_zero(path: &Path, at: u64, length: u64) -> bool {
    bytes(path, at, length).iter().all(|&byte| byte == 0)
}

/// That the device begins with all of the image.
#[track_caller]
fn assert_holds(device: &Path, image: &Path) {
    let size = fs_err::metadata(image).unwrap().len().to_string();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    tool("cmp", &["-n", &size, &text(device), &text(image)]);
}

fn json(command: &mut Command, kind: &str) -> serde_json::Value {
    let printed = must(command.arg("--json"));
    let mut lines = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let line: serde_json::Value = lines
        .find(|line: &serde_json::Value| line["type"] == kind)
        .unwrap_or_else(|| panic!("no {kind} in {printed}"));
    line["data"].clone()
}

/// An image without any node's layer, as mtools leaves it.
fn blank(dir: &Path) -> PathBuf {
    let path = dir.join("blank.img");
    fs_err::copy(built().image(), &path).unwrap();
    let drive = format!("{}@@{}", path.display(), boot_offset(&path));
    tool("mdel", &["-i", &drive, "::layers/20-*"]);
    path
}

#[test]
fn an_image_says_what_it_is() {
    let dir = scratch();
    let image = built().image();
    let found = json(imgbuild().arg("inspect").arg(&image), "inspect");
    assert_eq!(found["board"], "vm");
    assert_eq!(found["arch"], "amd64");
    assert_eq!(found["table"], "GPT");
    assert_eq!(found["node"]["node"], "etcd-0");
    assert_eq!(found["node"]["cluster"], "vm-3node");
    assert!(found["debian"].as_str().unwrap().starts_with("13"));
    assert!(found["etcd"].as_str().unwrap().starts_with('3'), "{found}");
    let pki = json(imgbuild().arg("pki").arg(&built().recipe), "pki");
    let rows = pki.as_array().unwrap();
    for one in found["certificates"].as_array().unwrap() {
        let same = |row: &serde_json::Value| {
            (&row["subject"], &row["until"]) == (&one["subject"], &one["until"])
        };
        assert!(rows.iter().any(same), "{one} is not in {pki}");
    }
    assert!(!found["certificates"].as_array().unwrap().is_empty());
    let layers = found["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 3);
    for layer in layers {
        let name = layer["name"].as_str().unwrap();
        let file = crate::support::extract_layer(&built().out, name, dir.path());
        assert_eq!(
            layer["sha256"],
            crate::support::inputs::sha256(&file),
            "{name}"
        );
    }
    let text = must(imgbuild().arg("inspect").arg(&image));
    assert_says(&text, &["etcd-0", "amd64", "the first ends on"]);

    // Compressed by foreign tools, it is the same.
    let path = image.to_str().unwrap();
    let (zst, xz) = (dir.path().join("a"), dir.path().join("b"));
    tool("zstd", &["-q", "-1", path, "-o", zst.to_str().unwrap()]);
    fs_err::write(&xz, run(Command::new("xz").args(["-0c", path])).stdout).unwrap();
    for packed in [zst, xz] {
        let again = json(imgbuild().arg("inspect").arg(packed), "inspect");
        assert_eq!(again, found);
    }

    // Without the node's layer it is nobody's; with a damaged layer it is refused.
    let blank = blank(dir.path());
    let found = json(imgbuild().arg("inspect").arg(&blank), "inspect");
    assert!(found["node"].is_null() && found["certificates"] == serde_json::json!([]));
    let whole = fs_err::read(&blank).unwrap();
    let base = whole.windows(4).position(|four| four == b"hsqs").unwrap();
    let file = fs_err::OpenOptions::new().write(true).open(&blank).unwrap();
    let middle = base as u64 + 5 * MIB;
    file.file().write_all_at(b"damage", middle).unwrap();
    let said = must_fail(imgbuild().arg("inspect").arg(&blank), 6);
    assert_says(&said, &["is damaged", "write the image anew"]);
    let noise = dir.path().join("noise");
    fs_err::write(&noise, vec![7; 4096]).unwrap();
    let said = must_fail(imgbuild().arg("inspect").arg(&noise), 6);
    assert_says(&said, &["holds no image of imgbuild", "55 aa"]);
}

#[test]
fn a_used_card_becomes_the_built_image() {
    let dir = scratch();
    let image = built().image();
    let size = fs_err::metadata(&image).unwrap().len();
    // What was not written before has zeros where the image has holes.
    let fresh = dir.path().join("fresh");
    fs_err::File::create(&fresh).unwrap().set_len(size).unwrap();
    must(&mut built().flash(&fresh));
    assert_holds(&fresh, &image);

    let card = card(dir.path(), 520);
    let done = json(&mut built().flash(&card), "flash");
    assert!(done["written"].as_u64().unwrap() < size);
    let found = json(imgbuild().arg("inspect").arg(&card), "inspect");
    assert_eq!(found["node"]["node"], "etcd-0");
    let drive = format!("{}@@{}", card.display(), boot_offset(&card));
    let boot = dir.path().join("boot");
    fs_err::create_dir(&boot).unwrap();
    tool(
        "mcopy",
        &[
            "-s",
            "-n",
            "-Q",
            "-i",
            &drive,
            "::*",
            boot.to_str().unwrap(),
        ],
    );
    let reference = dir.path().join("reference");
    crate::support::extract_boot(&image, &reference);
    tool(
        "diff",
        &["-r", boot.to_str().unwrap(), reference.to_str().unwrap()],
    );
    // No old table at the end, no old /var: neither its first superblock nor the spare one.
    let json = tool("sfdisk", &["--json", card.to_str().unwrap()]);
    let table: serde_json::Value = serde_json::from_str(&json).unwrap();
    let part = &table["partitiontable"]["partitions"][0];
    let end = (part["start"].as_u64().unwrap() + part["size"].as_u64().unwrap()) * 512;
    let state = end.next_multiple_of(MIB);
    assert!(is_zero(&card, 519 * MIB, MIB));
    assert!(is_zero(&card, state, MIB));
    assert!(is_zero(&card, state + 128 * MIB, MIB));

    // Straight from a compressed file: then all of the image is on it.
    let packed = dir.path().join("etcd-0.img.zst");
    let (from, to) = (image.to_str().unwrap(), packed.to_str().unwrap());
    tool("zstd", &["-q", "-1", from, "-o", to]);
    let used = self::card(dir.path(), 520);
    must(
        imgbuild()
            .args(["flash", "--image"])
            .arg(&packed)
            .arg(&used)
            .arg("--yes"),
    );
    assert_holds(&used, &image);
}

/// Runs a flash under strace, which makes a system call slow or fail.
fn traced(inject: &str, device: &Path) -> Command {
    let flash = built().flash(device);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null"]);
    command.args(["-e", &format!("inject={inject}")]);
    command.arg(flash.get_program()).args(flash.get_args());
    for (name, value) in flash.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

#[test]
fn whatever_goes_wrong_nothing_starts_from_the_card() {
    let dir = scratch();
    let card = card(dir.path(), 400);
    // Killed in the middle.
    let mut flash = traced("fdatasync:delay_enter=500000", &card)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(120);
    while bytes(&card, 4 * MIB, MIB) == vec![0xEE; 1 << 20] {
        assert!(Instant::now() < until && flash.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(50));
    }
    kill_tree(&mut flash);
    assert!(is_zero(&card, 0, MIB));
    must_fail(imgbuild().arg("inspect").arg(&card), 6);

    // Writing fails, and goes on failing: a bad block, and a card that was pulled out.
    for (error, says) in [
        ("pwrite64:error=EIO:when=12", "Input/output error"),
        ("pwrite64:error=ENODEV:when=20+", "No such device"),
        ("fdatasync:error=EIO:when=2+", "did not reach the medium"),
    ] {
        let said = must_fail(&mut traced(error, &card), 10);
        assert_says(&said, &[says, "offset", "nothing starts from it"]);
        assert!(is_zero(&card, 0, MIB), "{error}");
    }

    // And then it works.
    must(&mut built().flash(&card));
    must(imgbuild().arg("inspect").arg(&card));
}

fn kill_tree(child: &mut Child) {
    // strace's child is the flash itself; killing strace alone would let it go on.
    let children = tool("pgrep", &["-P", &child.id().to_string()]);
    for process in children.split_whitespace() {
        tool("kill", &["-9", process]);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_must_not_be_written_to_is_refused() {
    let dir = scratch();
    let small = dir.path().join("small");
    fs_err::File::create(&small)
        .unwrap()
        .set_len(20 * MIB)
        .unwrap();
    let said = must_fail(&mut built().flash(&small), 10);
    assert_says(&said, &["20 MiB", "the image needs"]);
    assert!(is_zero(&small, 0, 20 * MIB));

    let said = must_fail(&mut built().flash(&dir.path().join("none")), 10);
    assert_says(&said, &["none", "No such file"]);
    let said = must_fail(&mut built().flash(dir.path()), 10);
    assert_says(&said, &["neither a block device nor a file"]);

    // Another flash has it.
    let card = card(dir.path(), 400);
    let text = card.to_str().unwrap();
    let mut other = Command::new("flock")
        .args([text, "sleep", "60"])
        .spawn()
        .unwrap();
    while run(Command::new("flock").args(["-n", text, "true"]))
        .status
        .success()
    {
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = must_fail(&mut built().flash(&card), 10);
    assert_says(&said, &["another flash is writing to it"]);
    kill_tree(&mut other);

    // Nobody can be asked.
    let mut command = imgbuild();
    command.arg("flash").arg(&built().recipe).arg("etcd-0");
    let said = must_fail(command.arg(&card).stdin(Stdio::null()), 10);
    assert_says(&said, &["nobody can be asked", "--yes"]);
    let mut command = imgbuild();
    command.arg("flash").arg(&built().recipe).arg("etcd-0");
    let said = must_fail(command.stdin(Stdio::null()), 10);
    assert_says(&said, &["no device was given"]);
    let mut command = imgbuild();
    command.arg("flash").arg(&built().recipe).arg("--all");
    let said = must_fail(command.stdin(Stdio::null()), 10);
    assert_says(&said, &["--all", "needs a terminal"]);
    must_fail(imgbuild().args(["flash", "vm-3node"]), 2);
    assert!(!is_zero(&card, 0, MIB));
}

/// What a person at a terminal sees who gives these answers.
fn at_a_terminal(command: &Command, answers: &str) -> (bool, String) {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut script = Command::new("script");
    script.args(["-qec", &words.join(" "), "/dev/null"]);
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            script.env(name, value);
        }
    }
    script.current_dir(crate::support::repository());
    let mut child = script
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(answers.as_bytes()).unwrap();
    // The terminal stays until the program has ended.
    let output = child.wait_with_output().unwrap();
    drop(input);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text)
}

#[test]
fn a_person_is_asked_once_for_each_card() {
    let dir = scratch();
    let card = card(dir.path(), 400);
    let mut command = imgbuild();
    command
        .arg("flash")
        .arg(&built().recipe)
        .arg("etcd-1")
        .arg(&card);
    let (done, text) = at_a_terminal(&command, "n\n");
    assert!(!done && text.contains("was left as it is"), "{text}");
    assert!(!is_zero(&card, 0, MIB));
    let (done, text) = at_a_terminal(&command, "y\n");
    assert!(done, "{text}");
    assert_eq!(text.matches("[y/N]").count(), 1, "{text}");
    let found = json(imgbuild().arg("inspect").arg(&card), "inspect");
    assert_eq!(found["node"]["node"], "etcd-1");

    let mut command = imgbuild();
    command
        .arg("flash")
        .arg(&built().recipe)
        .arg("--all")
        .arg(&card);
    let (done, text) = at_a_terminal(&command, "\ny\n\ny\n\ny\n");
    assert!(done, "{text}");
    for node in NODES {
        let says = format!("Put in the card for {node}");
        assert!(text.contains(&says), "{text}");
    }
    let found = json(imgbuild().arg("inspect").arg(&card), "inspect");
    assert_eq!(found["node"]["node"], "etcd-2");
}

/// A loop device that is taken away at the end.
struct Loop(String);

impl Loop {
    /// Nothing where there is no loop device to be had: its control node is not there, as in most
    /// containers, or this user may not write to it. Anything else that goes wrong is a failure.
    #[track_caller]
    fn of(file: &Path) -> Option<Self> {
        let control = fs_err::OpenOptions::new()
            .write(true)
            .open("/dev/loop-control");
        control.ok()?;
        let attach = ["--find", "--show"];
        let name = must(Command::new("losetup").args(attach).arg(file));
        Some(Self(name.trim().to_owned()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        run(Command::new("losetup").args(["--detach", &self.0]));
    }
}

#[test]
fn a_block_device_is_written_where_there_is_one() {
    let dir = scratch();
    let card = card(dir.path(), 400);
    let Some(device) = Loop::of(&card) else {
        // The files of the other tests take the same way, but for O_EXCL and what /sys knows.
        eprintln!("this machine gives no loop devices: nothing was tested here");
        return;
    };
    let path = Path::new(&device.0);
    let said = must_fail(&mut built().flash(path), 10);
    assert_says(&said, &["not removable", "--allow-fixed"]);
    let said = must_fail(&mut built().flash(&card), 10);
    assert_says(&said, &["is made of it"]);
    assert!(!is_zero(&card, 0, MIB));
    must(built().flash(path).arg("--allow-fixed"));
    let found = json(imgbuild().arg("inspect").arg(path), "inspect");
    assert_eq!(found["node"]["node"], "etcd-0");
    let image = built().image();
    must(
        imgbuild()
            .args(["flash", "--yes", "--allow-fixed", "--image"])
            .arg(&image)
            .arg(path),
    );
    assert_holds(path, &image);

    // A file system on it, mounted: it is in use.
    tool("mkfs.ext4", &["-q", "-F", &device.0]);
    let place = dir.path().join("place");
    fs_err::create_dir(&place).unwrap();
    let place = place.to_str().unwrap();
    tool("mount", &[&device.0, place]);
    let refused = run(built().flash(path).arg("--allow-fixed"));
    tool("umount", &[place]);
    assert_eq!(refused.status.code(), Some(10));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_says(&said, &["in use", "is mounted at"]);
    tool("e2fsck", &["-fn", &device.0]);
}
