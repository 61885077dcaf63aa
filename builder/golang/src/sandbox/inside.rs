//! What happens in the second process. It has one thread, so that every system call below
//! acts on all of it.

use super::{Access, Confinement, MARK, Mount, Namespaces, Order, Report, Sandbox, expand};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, path_beneath_rules,
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{chdir, getegid, geteuid, getppid, pivot_root};
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The user and group the program runs as inside its namespaces.
const INSIDE_ID: u32 = 1000;

/// The devices every program sees.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/urandom"];

/// Returns at once in a process that was started in the ordinary way; never returns in the
/// one that is the sandbox. Call it first in `main`, before any thread exists.
pub fn sandbox_main() {
    if std::env::args_os().nth(1).is_none_or(|arg| arg != MARK) {
        return;
    }
    let code = match serve() {
        Ok(code) => code,
        Err(why) => {
            // Nobody is left to tell when the parent is gone.
            let _ = report(&Report::Failed(why));
            1
        }
    };
    std::process::exit(code);
}

/// Reads the order, confines this process, runs the program, returns its exit code.
fn serve() -> Result<i32, String> {
    let mut text = Vec::new();
    io::stdin()
        .read_to_end(&mut text)
        .map_err(|error| format!("reading the order: {error}"))?;
    let Order { sandbox, parent } =
        serde_json::from_slice(&text).map_err(|error| format!("reading the order: {error}"))?;
    die_with(parent)?;

    let inside = match sandbox.namespaces {
        Namespaces::Try => enter_namespaces(),
        Namespaces::Avoid => false,
    };
    if inside {
        // Gaining capabilities in the new user namespace forgets the wish (prctl(2)).
        die_with(parent)?;
        build_root(&sandbox)?;
    }
    let path = |mount: &Mount| {
        if inside {
            mount.inside.clone()
        } else {
            mount.host.clone()
        }
    };
    let confinement = match (inside, restrict(&sandbox.mounts, path)) {
        (true, restricted) => Confinement::Namespaces {
            landlock: restricted.is_ok(),
        },
        (false, Ok(tcp_denied)) => Confinement::Landlock { tcp_denied },
        (false, Err(why)) => {
            return Err(format!(
                "this host denies user namespaces, and landlock too ({why}); allow one of \
                 them (kernel.unprivileged_userns_clone, user.max_user_namespaces, lsm=landlock)"
            ));
        }
    };

    let expand = |text: &str| {
        expand(text, &sandbox.mounts, |mount| {
            if inside { &mount.inside } else { &mount.host }
        })
    };
    let (program, arguments) = sandbox
        .argv
        .split_first()
        .ok_or("there is no program to run")?;
    let mut command = Command::new(expand(program));
    command
        .args(arguments.iter().map(|text| expand(text)))
        .env_clear()
        .envs(
            sandbox
                .env
                .iter()
                .map(|(name, value)| (name, expand(value))),
        )
        .current_dir(expand(&sandbox.cwd))
        .stdin(std::process::Stdio::null());
    die_with_this_process(&mut command);
    let mut child = command
        .spawn()
        .map_err(|error| format!("starting {}: {error}", expand(program)))?;
    let status = child
        .wait()
        .map_err(|error| format!("waiting for {program}: {error}"))?;
    report(&Report::Confined(confinement)).map_err(|error| format!("reporting: {error}"))?;
    Ok(status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

/// Writes the line the parent reads, after all that the program wrote.
fn report(report: &Report) -> io::Result<()> {
    let mut line = vec![b'\n'];
    line.extend(serde_json::to_vec(report)?);
    let mut stdout = io::stdout();
    stdout.write_all(&line)?;
    stdout.flush()
}

/// Asks for death when the parent dies, and checks that it has not done so already.
fn die_with(parent: u32) -> Result<(), String> {
    set_pdeathsig(Signal::SIGKILL).map_err(|error| format!("PR_SET_PDEATHSIG: {error}"))?;
    if u32::try_from(getppid().as_raw()) == Ok(parent) {
        Ok(())
    } else {
        Err("the parent process is gone".to_owned())
    }
}

/// The same for the program, set between fork and exec since a fork forgets it.
#[allow(unsafe_code)]
fn die_with_this_process(command: &mut Command) {
    // SAFETY: this process has one thread, so the child after fork may do anything; it makes
    // one prctl system call.
    unsafe {
        command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from));
    }
}

/// Enters new namespaces; false when the host does not allow it. Then at most a user namespace
/// was gained in which nothing can be done; landlock works there as well.
fn enter_namespaces() -> bool {
    let (user, group) = (geteuid(), getegid());
    let flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    if unshare(flags).is_err() {
        return false;
    }
    // Some systems allow the namespaces but give no capability in them (AppArmor's
    // restriction of unprivileged user namespaces): the maps or the first mount then fail.
    fs_err::write("/proc/self/setgroups", "deny").is_ok()
        && fs_err::write("/proc/self/uid_map", format!("{INSIDE_ID} {user} 1")).is_ok()
        && fs_err::write("/proc/self/gid_map", format!("{INSIDE_ID} {group} 1")).is_ok()
        && mount(
            None::<&str>,
            "/",
            None::<&str>,
            MsFlags::MS_REC | MsFlags::MS_PRIVATE,
            None::<&str>,
        )
        .is_ok()
}

/// Makes a root that holds the mounts and the devices, read-only itself, and moves into it.
fn build_root(sandbox: &Sandbox) -> Result<(), String> {
    let root = &sandbox.root;
    let say = |what: &str, path: &Path, error: &dyn std::fmt::Display| {
        format!("{what} {}: {error}", path.display())
    };
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), root, Some("tmpfs"), plain, Some("mode=0755"))
        .map_err(|error| say("mounting a tmpfs on", root, &error))?;

    let devices = DEVICES.map(|device| (PathBuf::from(device), device.into(), Access::Write, true));
    let mounts = sandbox.mounts.iter().map(|mount| {
        let Mount {
            host,
            inside,
            access,
            ..
        } = mount;
        (host.clone(), inside.clone(), *access, false)
    });
    for (host, inside, access, device) in devices.into_iter().chain(mounts) {
        let relative = inside.strip_prefix("/").unwrap_or(&inside);
        let target = root.join(relative);
        let is_dir = fs_err::metadata(&host)
            .map_err(|error| error.to_string())?
            .is_dir();
        let dir = if is_dir {
            Some(target.as_path())
        } else {
            target.parent()
        };
        if let Some(dir) = dir {
            fs_err::create_dir_all(dir).map_err(|error| error.to_string())?;
        }
        if !is_dir {
            fs_err::write(&target, "").map_err(|error| error.to_string())?;
        }
        let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(&host), &target, None::<&str>, bind, None::<&str>)
            .map_err(|error| say("binding", &host, &error))?;
        // Flags of the host's mount are locked in a user namespace and have to be repeated.
        let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID;
        if !device {
            flags |= MsFlags::MS_NODEV;
        }
        if access == Access::Read {
            flags |= MsFlags::MS_RDONLY;
        }
        flags |= locked(&target)?;
        mount(None::<&str>, &target, None::<&str>, flags, None::<&str>)
            .map_err(|error| say("restricting", &inside, &error))?;
    }

    chdir(root).map_err(|error| say("entering", root, &error))?;
    // The old root is stacked on the new one by this form of the call, then taken away.
    pivot_root(".", ".").map_err(|error| say("changing the root to", root, &error))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(|error| format!("leaving the old root: {error}"))?;
    chdir("/").map_err(|error| format!("entering the new root: {error}"))?;
    let sealed = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | plain;
    mount(None::<&str>, "/", None::<&str>, sealed, None::<&str>)
        .map_err(|error| format!("sealing the new root: {error}"))
}

/// The flags of the mount at `path` that a remount must keep. That access times are relative is
/// kept without a flag, because a remount that names none of their kinds leaves them as they are
/// (mount(2), MS_REMOUNT).
fn locked(path: &Path) -> Result<MsFlags, String> {
    let have = statvfs(path)
        .map_err(|error| format!("asking about {}: {error}", path.display()))?
        .flags();
    let pairs = [
        (FsFlags::ST_RDONLY, MsFlags::MS_RDONLY),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
    ];
    Ok(pairs
        .into_iter()
        .filter(|(flag, _)| have.contains(*flag))
        .map(|(_, flag)| flag)
        .collect())
}

/// Confines this process and its children by landlock; true when TCP is denied too.
fn restrict(mounts: &[Mount], path: impl Fn(&Mount) -> PathBuf) -> Result<bool, String> {
    let abi = ABI::V5;
    let every = AccessFs::from_all(abi);
    let of = |wanted: Access| -> BitFlags<AccessFs> {
        match wanted {
            Access::Read => AccessFs::from_read(abi),
            Access::Write => every & !AccessFs::Execute,
        }
    };
    let paths = |wanted: Access| {
        let devices = DEVICES.iter().map(PathBuf::from);
        mounts
            .iter()
            .filter(|mount| mount.access == wanted)
            .map(&path)
            .chain(devices.filter(|_| wanted == Access::Write))
            .collect::<Vec<_>>()
    };
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(every)
        .and_then(|rules| rules.handle_access(AccessNet::from_all(abi)))
        .and_then(Ruleset::create)
        .map_err(|error| text(&error))?
        .add_rules(path_beneath_rules(paths(Access::Read), of(Access::Read)))
        .and_then(|rules| {
            rules.add_rules(path_beneath_rules(paths(Access::Write), of(Access::Write)))
        })
        .and_then(|rules| rules.restrict_self())
        .map_err(|error| text(&error))?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err("the kernel has no landlock".to_owned());
    }
    Ok(matches!(
        status.landlock,
        LandlockStatus::Available { effective_abi, .. } if effective_abi >= ABI::V4
    ))
}
