//! One run: ask, fetch what moved, mark what is gone.

use super::config::Config;
use super::config::Repository;
use super::gone;
use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::history::commit::Commit;
use crate::history::commit::GONE;
use crate::history::refs::Ref;
use crate::history::refs::RefName;
use crate::id::CommitId;
use crate::import;
use crate::import::ImportOptions;
use crate::oci::digest::Digest;
use crate::oci::location::Location;
use crate::oci::name::ImageName;
use crate::oci::outside::Outside;
use crate::progress::Progress;
use crate::repo::Repo;
use crate::repo::Signature;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;

/// Threads in all, however many hosts there are: each import has buffers of its own.
const JOBS_MAX: usize = 6;

/// What a run asks of registries besides images.
pub trait Upstream: Sync {
    fn repositories(&self, host: &str) -> Result<Vec<String>>;
    fn tags(&self, repository: &ImageName) -> Result<Vec<String>>;
    /// What a tag stands for now; `None` if it is not there.
    fn digest(&self, image: &ImageName) -> Result<Option<Digest>>;
    fn outside(&self) -> Arc<dyn Outside>;
}

pub struct RunOptions {
    /// Say what would be done; write nothing.
    pub dry_run: bool,
    /// One failure does not end the run.
    pub keep_going: bool,
    /// Move what is gone out of sight.
    pub prune: bool,
    pub signature: Signature,
}

/// What became of one tag, or of a repository that could not be listed.
#[derive(Debug)]
pub enum Outcome {
    Unmoved,
    Fetched {
        commit: CommitId,
        stored_bytes: u64,
    },
    /// Of a dry run.
    WouldFetch,
    /// Found gone in this run.
    Gone,
    Pruned,
    Failed(Error),
}

pub struct Report {
    /// Where from, where to, what became of it, in the order of the names.
    pub outcomes: Vec<(ImageName, Option<RefName>, Outcome)>,
    /// The run was ended by a failure or by the person; some were not looked at.
    pub ended: bool,
}

impl Report {
    pub fn failures(&self) -> usize {
        self.outcomes.iter().filter(|(_, _, outcome)| matches!(outcome, Outcome::Failed(_))).count()
    }
}

/// One thing to see to.
enum Task<'a> {
    Tag(&'a Repository, ImageName),
    /// A branch whose tag the source no longer has.
    Gone(ImageName, Box<(Ref, Commit)>),
}

pub fn run(
    repo: &Repo,
    config: &Config,
    upstream: &dyn Upstream,
    options: &RunOptions,
    progress: &dyn Progress,
) -> Result<Report> {
    let run = Run { repo, upstream, options, progress, state: Mutex::default() };
    progress.begin("asking which tags there are", None);
    let patterns = config.repositories.iter().map(|repository| (repository.host_and_path().0, repository));
    let repositories = run.by_host(config, patterns, |repository| run.expand(repository));
    let repositories = repositories.iter().map(|(of, name)| (of.host_and_path().0, (*of, name.clone())));
    let tasks = run.by_host(config, repositories, |(of, name)| run.plan(of, &name));
    progress.begin("mirroring", None);
    let tasks = tasks.into_iter().map(|task| (task.host(), task)).collect::<Vec<_>>();
    let tasks = tasks.iter().map(|(host, task)| (host.as_str(), task));
    run.by_host(config, tasks, |task| {
        run.see_to(task);
        Vec::<()>::new()
    });
    crate::progress::check(progress)?;
    let mut state = run.state.into_inner().expect("no panic while held");
    state.outcomes.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    Ok(Report { outcomes: state.outcomes, ended: state.ended })
}

impl Task<'_> {
    fn host(&self) -> String {
        let (Task::Tag(_, name) | Task::Gone(name, _)) = self;
        name.host_and_path().0.to_string()
    }
}

#[derive(Default)]
struct State {
    outcomes: Vec<(ImageName, Option<RefName>, Outcome)>,
    ended: bool,
}

struct Run<'a> {
    repo: &'a Repo,
    upstream: &'a dyn Upstream,
    options: &'a RunOptions,
    progress: &'a dyn Progress,
    state: Mutex<State>,
}

impl<'a> Run<'a> {
    /// Does each host's work on as many threads as it allows; returns what came of it, in order.
    fn by_host<'h, T: Send, R: Send>(
        &self,
        config: &Config,
        work: impl Iterator<Item = (&'h str, T)>,
        each: impl Fn(T) -> Vec<R> + Sync,
    ) -> Vec<R> {
        let mut by_host: BTreeMap<&str, VecDeque<(usize, T)>> = BTreeMap::new();
        for (at, (host, task)) in work.enumerate() {
            by_host.entry(host).or_default().push_back((at, task));
        }
        let mut hosts = Vec::new();
        for (host, tasks) in by_host {
            hosts.push((config.jobs(host).min(tasks.len()), Mutex::new(tasks)));
        }
        let done = Mutex::new(Vec::new());
        let one = |queue: &Mutex<VecDeque<(usize, T)>>| {
            while !self.is_over() {
                let Some((at, task)) = queue.lock().expect("no panic while held").pop_front() else { break };
                let came = each(task);
                done.lock().expect("no panic while held").push((at, came));
            }
        };
        std::thread::scope(|scope| {
            let mut room = JOBS_MAX;
            for (jobs, queue) in &hosts {
                // Every host has one thread at least, whatever the others take.
                let jobs = (*jobs).min(room.max(1));
                room = room.saturating_sub(jobs);
                for _ in 0..jobs {
                    scope.spawn(|| one(queue));
                }
            }
        });
        let mut done = done.into_inner().expect("no panic while held");
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().flat_map(|(_, came)| came).collect()
    }

    fn is_over(&self) -> bool {
        self.progress.cancelled() || self.state.lock().expect("no panic while held").ended
    }

    /// The repositories that are meant: of a pattern, all that the registry lists and that fit.
    fn expand(&self, repository: &'a Repository) -> Vec<(&'a Repository, ImageName)> {
        let names = || -> Result<Vec<ImageName>> {
            if !repository.is_pattern() {
                return Ok(vec![ImageName::parse(&repository.from)?]);
            }
            let (host, _) = repository.host_and_path();
            let all = self.upstream.repositories(host)?;
            let all = all.iter().filter_map(|path| ImageName::parse(&format!("{host}/{path}")).ok());
            Ok(all.filter(|name| repository.fits(name)).collect())
        };
        match names() {
            Ok(names) => names.into_iter().map(|name| (repository, name)).collect(),
            Err(err) => {
                let shown = ImageName::parse(&repository.from.replace('*', "all"));
                self.tell(shown.expect("the file's names were parsed"), None, Outcome::Failed(err));
                Vec::new()
            }
        }
    }

    /// The tags that are wanted, and the branches whose tag is gone.
    fn plan(&self, repository: &'a Repository, from: &ImageName) -> Vec<Task<'a>> {
        let plan = || -> Result<Vec<Task<'a>>> {
            // A list says itself which there are: what is gone shows when it is asked for.
            if repository.tags.is_list() {
                let all = repository.tags.of(&repository.tags.list);
                let all = all.into_iter().map(|tag| Ok(Task::Tag(repository, from.with_tag(&tag)?)));
                return all.collect();
            }
            let all = self.upstream.tags(from)?;
            let mut tasks = Vec::new();
            for tag in repository.tags.of(&all) {
                tasks.push(Task::Tag(repository, from.with_tag(&tag)?));
            }
            for (branch, commit, tag) in gone::fetched_from(self.repo, from)? {
                if !all.contains(&tag) {
                    tasks.push(Task::Gone(from.with_tag(&tag)?, Box::new((branch, commit))));
                }
            }
            Ok(tasks)
        };
        plan().unwrap_or_else(|err| {
            self.tell(from.clone(), None, Outcome::Failed(err));
            Vec::new()
        })
    }

    fn see_to(&self, task: &Task) {
        match task {
            Task::Tag(repository, from) => {
                let to = repository.name_in_store(from).and_then(|to| to.with_tag(from.tag_or_default()));
                match to {
                    Ok(to) => {
                        let outcome = self.fetch(repository, from, &to).unwrap_or_else(Outcome::Failed);
                        self.tell(from.clone(), Some(RefName::of(&to)), outcome);
                    }
                    Err(err) => self.tell(from.clone(), None, Outcome::Failed(err)),
                }
            }
            Task::Gone(from, at) => {
                let (branch, commit) = &**at;
                match self.gone(branch, commit) {
                    Ok(None) => {}
                    Ok(Some(outcome)) => self.tell(from.clone(), Some(branch.name.clone()), outcome),
                    Err(err) => self.tell(from.clone(), Some(branch.name.clone()), Outcome::Failed(err)),
                }
            }
        }
    }

    fn fetch(&self, repository: &Repository, from: &ImageName, to: &ImageName) -> Result<Outcome> {
        let location = Location::Docker(from.clone());
        if self.options.dry_run {
            return self.would_fetch(from, to);
        }
        let options = ImportOptions {
            name: Some(to.clone()),
            platform: repository.platform.clone(),
            message: Some(format!("mirror {location}")),
            labels: BTreeMap::new(),
            signature: self.options.signature.clone(),
            scan: Default::default(),
            disk: Default::default(),
            outside: self.upstream.outside(),
            referrers: repository.referrers,
        };
        match import::import(self.repo, &location, &options, &Under(self.progress)) {
            Ok(report) => {
                let commit = report.refs.iter().find(|one| one.name == RefName::of(to) && !one.unchanged);
                Ok(match (commit, report.committed) {
                    (Some(one), Some(done)) => {
                        Outcome::Fetched { commit: one.commit, stored_bytes: done.stored_bytes }
                    }
                    _ => Outcome::Unmoved,
                })
            }
            Err(err) => self.not_there(to, err),
        }
    }

    fn would_fetch(&self, from: &ImageName, to: &ImageName) -> Result<Outcome> {
        let Some(digest) = self.upstream.digest(from)? else {
            let absent = Error::not_found("image", format!("docker://{}", from.full()));
            return self.not_there(to, absent);
        };
        let held = self.repo.reference(&RefName::of(to))?;
        let held = held.map(|held| self.repo.commit(&held.commit)).transpose()?;
        let exact = Location::Docker(from.with_digest(digest)).to_string();
        let is_held = held.is_some_and(|held| held.source == exact && !held.labels.contains_key(GONE));
        Ok(if is_held { Outcome::Unmoved } else { Outcome::WouldFetch })
    }

    /// A tag that was listed by hand and is not at the source: gone if it was mirrored once.
    fn not_there(&self, to: &ImageName, err: Error) -> Result<Outcome> {
        let held = self.repo.reference(&RefName::of(to))?;
        match (err.root(), held) {
            (Error::NotFound { .. }, Some(branch)) => {
                let commit = self.repo.commit(&branch.commit)?;
                Ok(self.gone(&branch, &commit)?.unwrap_or(Outcome::Unmoved))
            }
            _ => Err(err),
        }
    }

    /// `None`: it was known to be gone, and nothing had to be done.
    fn gone(&self, branch: &Ref, commit: &Commit) -> Result<Option<Outcome>> {
        let is_marked = commit.labels.contains_key(GONE);
        let (signature, progress) = (&self.options.signature, &Under(self.progress));
        if is_marked && !self.options.prune {
            return Ok(None);
        }
        if !is_marked && !self.options.dry_run {
            gone::mark(self.repo, branch, commit, signature, progress)
                .doing(|| format!("{}", branch.name))?;
        }
        if !self.options.prune {
            return Ok(Some(Outcome::Gone));
        }
        if !self.options.dry_run {
            let now = self.repo.existing_ref(&branch.name.to_string())?;
            gone::hide(self.repo, &now, signature, progress)?;
        }
        Ok(Some(Outcome::Pruned))
    }

    fn tell(&self, from: ImageName, to: Option<RefName>, outcome: Outcome) {
        let mut state = self.state.lock().expect("no panic while held");
        state.ended |= matches!(outcome, Outcome::Failed(_)) && !self.options.keep_going;
        state.outcomes.push((from, to, outcome));
    }
}

/// Several imports at once: their phases would only cover each other.
struct Under<'a>(&'a dyn Progress);

impl Progress for Under<'_> {
    fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
    }

    fn note(&self, text: &str) {
        self.0.note(text);
    }

    fn problem(&self, problem: &Error) {
        self.0.problem(problem);
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}
