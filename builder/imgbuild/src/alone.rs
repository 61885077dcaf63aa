//! One imgbuild at a time where two would spoil each other's work.

use imgbuild_base::Events;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::fs::File;
use std::io;

/// Waits until this process alone has the lock of `file`, by which it writes `what`; a wait is
/// told. The lock ends with the file (`flock(2)`), also when the process is killed.
pub(crate) fn alone(file: &File, what: &str, events: &Events) -> io::Result<()> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            events.note(format!("waiting for another imgbuild that writes {what}"));
            rustix::fs::flock(file, FlockOperation::LockExclusive)?;
        }
        locked => locked?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgbuild_base::event::Event;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn who_has_to_wait_says_so_and_gets_it_then() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = fs_err::File::create(&path).unwrap().into_parts().0;
        alone(&first, "it", &Events::none()).unwrap();

        let (sender, said) = mpsc::channel();
        let second = std::thread::spawn(move || {
            let events = Events::new(move |event| sender.send(event).unwrap());
            let file = fs_err::File::open(path).unwrap().into_parts().0;
            alone(&file, "it", &events).unwrap();
        });
        let event = said.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(
            matches!(&event, Event::Note(text) if text.ends_with("that writes it")),
            "{event:?}"
        );
        assert!(!second.is_finished());
        drop(first);
        second.join().unwrap();
    }
}
