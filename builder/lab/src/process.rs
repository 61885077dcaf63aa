//! Child processes that cannot outlive the lab.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// A running child; dropped, it is killed and reaped.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Starts a command in its own process group, so that a Ctrl-C meant for the lab reaches
    /// the lab alone, and bound to the life of this process.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        command.process_group(0);
        die_with_parent(command);
        command.spawn().map(Self).map_err(|error| {
            let program = command.get_program().to_string_lossy();
            io::Error::new(error.kind(), format!("starting {program}: {error}"))
        })
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Ends it at once, as a power cut does.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself: then there is nothing left to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[allow(unsafe_code)]
fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    // SAFETY: between fork and exec only prctl, getppid and _exit run, all of which are
    // async-signal-safe; nothing is allocated and no lock is taken.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
            // The parent may have died before the call above.
            if u32::try_from(nix::unistd::getppid().as_raw()) != Ok(parent) {
                return Err(io::Error::from_raw_os_error(nix::libc::ESRCH));
            }
            Ok(())
        });
    }
}
