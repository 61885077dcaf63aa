//! `imgbuild` turns one recipe into flashable images that form a TLS-secured etcd cluster.
//!
//! The way of the data, one module a station: [`cli`] reads the command line, [`project`]
//! finds recipe, lock and secret, [`plan`] says what has to be made (pure), [`realise`] makes
//! what the store does not have, [`image`] arranges the layers on disks, [`overlay`] puts them
//! into archives for machines that have an operating system already, [`output`] puts the
//! finished directory in place, [`summary`] says what was made. [`pipeline`] is that list of
//! verbs; [`means`] are what it works with. [`release`] is the list of verbs for what is published,
//! [`verify`] the one for whoever gets it, [`reproduce`] the one for whoever wants to know whether
//! upstream's programs come out of upstream's source. Only [`terminal`] prints; [`messages`] are what it
//! prints for programs. [`alone`] keeps two that write to one place apart.

mod alone;
mod archive;
mod assembly;
mod authority;
mod cli;
mod compare;
mod contents;
mod error;
mod export;
mod flash;
mod image;
mod inspect;
mod interrupt;
mod lock;
mod means;
mod medium;
mod messages;
mod opened;
mod output;
mod passphrase;
mod pipeline;
mod plan;
mod project;
mod realise;
mod release;
mod reproduce;
mod summary;
mod terminal;
mod verify;

fn main() -> std::process::ExitCode {
    imgbuild_golang::sandbox_main();
    cli::main()
}
