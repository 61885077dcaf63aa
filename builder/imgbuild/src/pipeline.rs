//! From a recipe to its images: the list of verbs.

use crate::assembly::{Assembly, NodeLayer};
use crate::authority;
use crate::cli::args::{AuthorityArgs, BuildArgs, GlobalArgs};
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::export::os_list::BaseUrl;
use crate::export::{self, BuiltImage};
use crate::lock::Lock;
use crate::means::Means;
use crate::output::OutDir;
use crate::passphrase;
use crate::plan::{self, Plan};
use crate::project::{self, Project};
use crate::realise;
use crate::summary;
use imgbuild_base::event::Unit;
use imgbuild_base::{Epoch, Events};
use imgbuild_cluster::{Composer, Facts, Passphrases, Sources};
use imgbuild_pki::ClusterSecret;
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{Format, Node};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
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
    /// Where they will be found by others.
    pub(crate) base_url: Option<BaseUrl>,
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
        let image = &project.recipe.image;
        let formats = match &args.format[..] {
            [] => &image.formats[..],
            given => given,
        };
        let formats = export::formats(formats, image, args.base_url.as_ref())?;
        let means = Means::new(global, &project.recipe, snapshot, &events)?;
        Ok(Self {
            sources: project.sources()?,
            out: args.out.clone().unwrap_or_else(|| project.out_path()),
            secret: args.secret.clone().unwrap_or_else(|| project.secret_path()),
            authority: args.authority.clone(),
            wanted,
            formats,
            base_url: args.base_url.clone(),
            means,
            events,
            lock,
            project,
        })
    }

    /// What images without anybody's layer take: no secret is looked for, and no file beside
    /// the recipe.
    pub(crate) fn without_secrets(
        project: Project,
        global: &GlobalArgs,
        events: Events,
    ) -> Result<Self> {
        let lock = project.matching_lock()?;
        let snapshot = Some(lock.debian.snapshot.as_str());
        let means = Means::new(global, &project.recipe, snapshot, &events)?;
        Ok(Self {
            sources: Sources::default(),
            out: project.out_path(),
            secret: project.secret_path(),
            authority: AuthorityArgs::default(),
            wanted: (0..project.recipe.nodes.len()).collect(),
            formats: [Format::Img].into(),
            base_url: None,
            means,
            events,
            lock,
            project,
        })
    }

    /// Where the cluster's secret is.
    pub(crate) fn secret_path(&self) -> &Path {
        &self.secret
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

    /// Who makes the nodes' layers and signs their certificates.
    pub(crate) fn composer<'a>(&'a self, secret: &'a ClusterSecret) -> Result<Composer<'a>> {
        authority::composer(
            &self.project,
            &self.authority,
            secret,
            self.epoch()?,
            &self.sources,
        )
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

/// A finished build.
#[derive(Debug)]
pub(crate) struct Built {
    /// The recipe's name.
    pub(crate) name: String,
    /// The recipe.
    pub(crate) recipe: Recipe,
    /// The output directory.
    pub(crate) out: PathBuf,
    /// The images and other files: by format, in the order of the recipe.
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
    let passphrases = match request.formats.iter().any(|format| format.has_system()) {
        true => passphrase::read(&request.project, &request.nodes())?,
        false => Passphrases::new(),
    };
    let mut out = OutDir::open(&request.out, &request.events)?;
    let (secret, new_secret) = project::secret(&request.secret)?;
    let assembly = Assembly::realise(request, plan)?;
    let composer = request.composer(&secret)?.with_passphrases(passphrases);
    let images = export::write(&assembly, &composer, &secret, &mut out)?;
    let admin = composer.admin().or_fail(Failure::Other)?;
    let admin = out.put_tree("admin", &admin).or_fail(Failure::Storage)?;
    summary::write(&assembly, &mut out).or_fail(Failure::Storage)?;
    let path = out.path().to_owned();
    out.finish()?;
    Ok(Built {
        name: request.project.name().to_owned(),
        recipe: request.project.recipe.clone(),
        out: path,
        images,
        admin,
        secret: (request.secret.clone(), new_secret),
        facts: composer.facts().or_fail(Failure::Other)?,
        steps: assembly.steps(),
        took: started.elapsed(),
    })
}

/// Puts together the layers of the nodes wanted, of a cluster whose secret is there, and shows
/// them to `each`. Nothing but the store is written.
pub(crate) fn node_layers<T>(
    request: &Request,
    each: impl Fn(&Assembly<'_>, &NodeLayer<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let plan = request.plan()?;
    let passphrases = passphrase::read(&request.project, &request.nodes())?;
    let secret = project::existing_secret(&request.secret)?;
    let assembly = Assembly::realise(request, plan)?;
    let composer = request.composer(&secret)?.with_passphrases(passphrases);
    let layers = assembly.node_layers(&composer)?;
    layers.iter().map(|own| each(&assembly, own)).collect()
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
        base_url: request.base_url.clone(),
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
