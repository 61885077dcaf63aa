//! From a recipe to its images: the list of verbs.

use crate::authority;
use crate::cli::args::{AuthorityArgs, BuildArgs, GlobalArgs};
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::image::{self, Disk, Layer};
use crate::lock::Lock;
use crate::means::Means;
use crate::output::OutDir;
use crate::overlay;
use crate::passphrase;
use crate::plan::{self, Plan};
use crate::project::{self, Project};
use crate::realise::{self, Shared};
use crate::summary;
use imgbuild_base::event::{Task, Unit};
use imgbuild_base::{Digest, Epoch, Events, Hasher, NodeName, Tree};
use imgbuild_cluster::{Composer, Facts, Passphrases, Sources};
use imgbuild_formats::disk::{self, Head};
use imgbuild_formats::squashfs;
use imgbuild_pki::{ClusterSecret, KeyLabel};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{Format, Node};
use imgbuild_system::check;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::Cursor;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What is to be built, and with what.
#[derive(Debug)]
pub(crate) struct Request {
    /// The recipe.
    pub(crate) project: Project,
    /// Its lock, made for it.
    pub(crate) lock: Lock,
    /// The nodes wanted, by place in the recipe.
    wanted: Vec<usize>,
    /// What is written for each of them.
    pub(crate) formats: BTreeSet<Format>,
    /// Where the images go.
    pub(crate) out: PathBuf,
    /// The files beside the recipe that it names.
    sources: Sources,
    secret: PathBuf,
    authority: AuthorityArgs,
    /// Store, mirrors, threads.
    pub(crate) means: Means,
    /// Where work reports.
    pub(crate) events: Events,
}

impl Request {
    /// Settles every option; nothing is built or written yet.
    pub(crate) fn new(
        project: Project,
        global: &GlobalArgs,
        args: &BuildArgs,
        events: Events,
    ) -> Result<Self> {
        let lock = project.matching_lock()?;
        let wanted = wanted(&project.recipe, &args.node)?;
        let snapshot = Some(lock.debian.snapshot.as_str());
        let formats = match &args.format[..] {
            [] => &project.recipe.image.formats[..],
            given => given,
        };
        let means = Means::new(global, &project.recipe, snapshot, &events)?;
        Ok(Self {
            sources: project.sources()?,
            out: args.out.clone().unwrap_or_else(|| project.out_path()),
            secret: args.secret.clone().unwrap_or_else(|| project.secret_path()),
            authority: args.authority.clone(),
            wanted,
            formats: formats.iter().copied().collect(),
            means,
            events,
            lock,
            project,
        })
    }

    /// The time that stands for "now": the lock's, unless the environment sets another
    /// (reproducible-builds.org's SOURCE_DATE_EPOCH).
    pub(crate) fn epoch(&self) -> Result<Epoch> {
        Ok(source_date_epoch()?.unwrap_or(self.lock.epoch))
    }

    /// The nodes wanted.
    pub(crate) fn nodes(&self) -> Vec<&Node> {
        let nodes = &self.project.recipe.nodes;
        self.wanted.iter().map(|&at| &nodes[at]).collect()
    }

    /// What has to be made.
    pub(crate) fn plan(&self) -> Result<Plan> {
        let epoch = self.epoch()?;
        let nodes = self.nodes();
        plan::plan(
            self.project.name(),
            &self.project.recipe,
            &self.lock,
            epoch,
            &nodes,
            &self.formats,
            &self.sources,
        )
    }
}

/// The time the environment sets for every output, if it does (reproducible-builds.org).
pub(crate) fn source_date_epoch() -> Result<Option<Epoch>> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else {
        return Ok(None);
    };
    let text = text.to_string_lossy();
    let seconds: u64 = text.trim().parse().map_err(|_| {
        let text = format!("SOURCE_DATE_EPOCH is {text:?}: expected seconds since 1970");
        CommandError::msg(Failure::Other, text)
    })?;
    Epoch::try_from(seconds).or_fail(Failure::Other).map(Some)
}

fn wanted(recipe: &Recipe, names: &[String]) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Ok((0..recipe.nodes.len()).collect());
    }
    names
        .iter()
        .map(|name| {
            let found = recipe
                .nodes
                .iter()
                .position(|node| node.name.as_str() == name);
            found.ok_or_else(|| {
                let known: Vec<&str> = recipe.nodes.iter().map(|node| node.name.as_str()).collect();
                CommandError::msg(Failure::Recipe, format!("the recipe has no node {name:?}"))
                    .hint(format!("its nodes are {}", known.join(", ")))
            })
        })
        .collect()
}

/// A finished image.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BuiltImage {
    /// Whose it is.
    pub(crate) node: NodeName,
    /// The node's address.
    pub(crate) address: IpAddr,
    /// What it is written as.
    pub(crate) format: Format,
    /// The file.
    pub(crate) path: PathBuf,
    /// Its SHA-256.
    pub(crate) sha256: Digest,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// How much of it is not a hole, in bytes.
    pub(crate) content: u64,
    /// Whether it was there already.
    pub(crate) unchanged: bool,
}

/// A finished build.
#[derive(Debug)]
pub(crate) struct Built {
    /// The recipe's name.
    pub(crate) name: String,
    /// The recipe.
    pub(crate) recipe: Recipe,
    /// The output directory.
    pub(crate) out: PathBuf,
    /// The images and archives: by format, in the order of the recipe.
    pub(crate) images: Vec<BuiltImage>,
    /// The admin bundle.
    pub(crate) admin: PathBuf,
    /// The secret's file, and whether this build made it.
    pub(crate) secret: (PathBuf, bool),
    /// About the cluster.
    pub(crate) facts: Facts,
    /// How many steps were done, and how many found.
    pub(crate) steps: realise::Count,
    /// How long it took.
    pub(crate) took: Duration,
}

/// Builds the images of a request.
pub(crate) fn build(request: &Request) -> Result<Built> {
    let started = Instant::now();
    let plan = request.plan()?;
    let passphrases = match request.formats.contains(&Format::Img) {
        true => passphrase::read(&request.project, &request.nodes())?,
        false => Passphrases::new(),
    };
    let mut out = OutDir::open(&request.out)?;
    let (secret, new_secret) = project::secret(&request.secret)?;
    let (shared, steps) = realise::shared(&plan, &request.lock, &request.means, &request.events)?;
    let recipe = &request.project.recipe;
    let composer = authority::composer(
        &request.project,
        &request.authority,
        &secret,
        plan.epoch,
        &request.sources,
    )?
    .with_passphrases(passphrases);
    let mut images = Vec::new();
    if request.formats.contains(&Format::Img) {
        let layers = node_layers(request, &composer, &plan, &shared)?;
        images = write_images(request, &plan, &shared, &layers, &secret, &mut out)?;
    }
    if request.formats.contains(&Format::Overlay) {
        images.extend(overlay::write(
            request,
            &composer,
            &shared.etcd,
            &secret,
            &mut out,
        )?);
    }
    out.retain(&files(recipe)).or_fail(Failure::Storage)?;
    let admin = composer.admin().or_fail(Failure::Other)?;
    let admin = out.put_tree("admin", &admin).or_fail(Failure::Storage)?;
    summary::write(request, &plan, &shared, &mut out).or_fail(Failure::Storage)?;
    let path = out.path().to_owned();
    out.finish()?;
    Ok(Built {
        name: request.project.name().to_owned(),
        recipe: recipe.clone(),
        out: path,
        images,
        admin,
        secret: (request.secret.clone(), new_secret),
        facts: composer.facts().or_fail(Failure::Other)?,
        steps,
        took: started.elapsed(),
    })
}

/// The names of everything that may be written for a recipe.
fn files(recipe: &Recipe) -> Vec<String> {
    let names = recipe.nodes.iter().map(|node| &node.name);
    names
        .flat_map(|name| Format::ALL.map(|format| format!("{name}{}", format.suffix())))
        .collect()
}

/// A node's layer, in memory only.
struct NodeLayer<'a> {
    node: &'a Node,
    layer: Layer,
    /// Keyed digest of its content.
    seal: Digest,
    /// What lies below it, by its place in the plan.
    platform: usize,
}

fn node_layers<'a>(
    request: &'a Request,
    composer: &Composer<'_>,
    plan: &Plan,
    shared: &Shared,
) -> Result<Vec<NodeLayer<'a>>> {
    request
        .nodes()
        .into_par_iter()
        .map(|node| {
            let (platform, below) = shared.of(plan, &node.name)?;
            let about = |error: CommandError| error.context(format!("the layer of {}", node.name));
            let tree = composer.node(node, &below.below);
            let tree = tree.or_fail(Failure::Recipe).map_err(about)?;
            check::check_node(&below.outline, &tree)
                .or_fail(Failure::Recipe)
                .map_err(about)?;
            imgbuild_cluster::check_clock(&tree).or_fail(Failure::Other)?;
            let seal = composer.seal(&tree);
            let name = format!("20-{}-{}.squashfs", node.name, seal.short());
            Ok(NodeLayer {
                node,
                layer: Layer::own(name, squash(&tree, plan.epoch)?),
                seal,
                platform,
            })
        })
        .collect()
}

fn squash(tree: &Tree, epoch: Epoch) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    squashfs::write(tree, &squashfs::Options::new(epoch), &mut bytes).or_fail(Failure::Other)?;
    Ok(bytes.into_inner())
}

fn write_images(
    request: &Request,
    plan: &Plan,
    shared: &Shared,
    layers: &[NodeLayer<'_>],
    secret: &ClusterSecret,
    out: &mut OutDir,
) -> Result<Vec<BuiltImage>> {
    let recipe = &request.project.recipe;
    let commons: Vec<(image::Common<'_>, Digest)> = shared
        .grounds()
        .iter()
        .map(|ground| {
            let common = image::Common {
                cluster: &recipe.cluster.name,
                image: &recipe.image,
                epoch: plan.epoch,
                boot: &ground.boot,
                shared: &ground.layers,
            };
            let key = image::common_key(&common);
            (common, key)
        })
        .collect();
    let planned: Vec<Planned<'_>> = layers
        .par_iter()
        .map(|own| {
            let Some((common, common_key)) = commons.get(own.platform) else {
                let text = format!("{} has nothing below its layer", own.node.name);
                return Err(CommandError::msg(Failure::Other, text));
            };
            let key = disk_key(secret, *common_key, own);
            let name = format!("{}.img", own.node.name);
            Ok(Planned {
                node: own.node,
                key,
                disk: image::disk(common, &own.layer)?,
                found: out.unchanged(&name, key).map(|state| state.sha256),
                name,
            })
        })
        .collect::<Result<_>>()?;
    let fresh: Vec<&Planned<'_>> = planned.iter().filter(|one| one.found.is_none()).collect();
    let task = request
        .events
        .start("writing images", Some(fresh.len() as u64), Unit::Items);
    let (digests, head) = write_and_digest(&fresh, out, request.means.jobs, &task)?;
    drop(task);
    let mut digests = digests.into_iter();
    let mut images = Vec::with_capacity(planned.len());
    for one in &planned {
        let sha256 = match one.found {
            Some(found) => found,
            None => digests.next().ok_or_else(|| {
                CommandError::msg(Failure::Other, format!("{} was not hashed", one.name))
            })?,
        };
        out.remember(&one.name, one.key, sha256)
            .or_fail(Failure::Storage)?;
        images.push(BuiltImage {
            node: one.node.name.clone(),
            address: one.node.address,
            format: Format::Img,
            path: out.path().join(&one.name),
            sha256,
            size: one.disk.image.size().get(),
            content: one.disk.image.content().get(),
            unchanged: one.found.is_some(),
        });
    }
    out.remember_head(head);
    Ok(images)
}

/// An image that is to be there in the end.
struct Planned<'a> {
    node: &'a Node,
    /// Its file's name.
    name: String,
    key: Digest,
    disk: Disk,
    /// The digest of the file, if it is there already.
    found: Option<Digest>,
}

/// Writes images and hashes them meanwhile. Each is on the disk, and moved into place, when
/// this returns; threads of their own write, because they wait for the disk at the end of each.
fn write_and_digest(
    images: &[&Planned<'_>],
    out: &OutDir,
    jobs: NonZeroUsize,
    task: &Task,
) -> Result<(Vec<Digest>, Option<Head>)> {
    let next = AtomicUsize::new(0);
    let write = || {
        while let Some(one) = images.get(next.fetch_add(1, Ordering::Relaxed)) {
            let written = out.write(&one.name, |file| one.disk.image.write_sparse(file));
            if written.is_err() {
                // The others need not begin.
                next.store(images.len(), Ordering::Relaxed);
                return written;
            }
            task.advance(1);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..jobs.get().min(images.len()))
            .map(|_| scope.spawn(write))
            .collect();
        let disks: Vec<_> = images
            .iter()
            .map(|one| (&one.disk.image, one.disk.own))
            .collect();
        let hashed = disk::digests(&disks, out.head());
        for writer in writers {
            match writer.join() {
                Ok(written) => written.or_fail(Failure::Storage)?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(hashed)
    })
}

/// What an image is made from, as a digest that only the secret's holder can compute.
fn disk_key(secret: &ClusterSecret, common: Digest, own: &NodeLayer<'_>) -> Digest {
    let mut hasher = Hasher::new();
    hasher
        .field(common.as_bytes())
        .field(own.node.name.as_str())
        .field(own.seal.as_bytes());
    secret.keyed_digest(&KeyLabel::new(["disk"]), hasher.finish().as_bytes())
}

/// Builds everything a second time from the inputs, looking nothing up, and compares.
pub(crate) fn check(request: &Request, first: &Built) -> Result<()> {
    let task = request
        .events
        .start("building a second time", None, Unit::Items);
    let scratch = tempfile::Builder::new()
        .prefix("imgbuild-check-")
        .tempdir()
        .or_fail(Failure::Storage)?;
    let second = Request {
        project: request.project.clone(),
        lock: request.lock.clone(),
        wanted: request.wanted.clone(),
        formats: request.formats.clone(),
        sources: request.sources.clone(),
        out: scratch.path().join("out"),
        secret: request.secret.clone(),
        authority: request.authority.clone(),
        means: request
            .means
            .with_empty_store(&scratch.path().join("store"), &request.events)?,
        events: Events::none(),
    };
    let again = build(&second)?;
    drop(task);
    crate::compare::images(first, &again)
}
