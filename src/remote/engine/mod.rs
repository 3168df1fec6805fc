//! A Docker or podman engine behind a socket: images go out of its store and into it as
//! docker-archives, the one form that every engine has had since 2014.
//!
//! Docker Engine API, `GET /images/NAME/get` and `POST /images/load`, without a version in the path:
//! an engine then takes its own. Both ways are streams; nothing is held but a few pieces. Any call
//! blocks, and may come from any thread that is not itself driving async work.

pub mod address;
mod answer;
mod context;
mod load;
mod save;
mod sink;
#[cfg(test)]
mod tests;

pub use answer::Version;
pub use load::Load;
pub use sink::EngineSink;

use crate::error::Error;
use crate::error::Result;
use crate::fs::SharedFile;
use crate::oci::docker_archive;
use crate::oci::source::Source;
use crate::path::shown;
use crate::remote::call;
use crate::remote::engine::address::Address;
use crate::remote::engine::save::Save;
use crate::remote::runtime::Runtime;
use reqwest::Client;
use reqwest::Method;
use reqwest::RequestBuilder;
use reqwest::Response;
use reqwest::StatusCode;
use std::io;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

const CONNECT_PATIENCE: Duration = Duration::from_secs(15);
/// An engine writes a whole image to its own disk before the first byte of an answer, or unpacks
/// it before the last: it may be silent for long and be well.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
const NAME_BYTES_MAX: usize = 512;

/// One engine. A clone is the same one.
#[derive(Clone)]
pub struct Engine {
    /// "the engine at unix:///run/docker.sock", for errors.
    name: String,
    base: Url,
    client: Client,
    runtime: Arc<Runtime>,
    patience: Duration,
}

impl Engine {
    /// Makes ready to ask; asks nobody yet.
    pub fn at(address: &Address) -> Result<Engine> {
        let name = format!("the engine at {address}");
        let (base, builder) = address.client()?;
        let client = builder.connect_timeout(CONNECT_PATIENCE).build();
        let client = client.map_err(|err| Error::invalid(&name, call::causes(&err)))?;
        Ok(Engine { name, base, client, runtime: Arc::new(Runtime::start()?), patience: PATIENCE })
    }

    /// Who is there. A first call that costs little.
    pub fn version(&self) -> Result<Version> {
        let request = self.request(Method::GET, &["version"], None);
        self.runtime.run(async {
            let response = self.send(request, "version", None).await?;
            Version::parse(&answer::read(response, &self.name, self.patience).await?)
        })
    }

    /// Streams an image as a docker-archive. `reference` is a name as the engine knows it, or an id.
    ///
    /// An engine that fails in the middle makes the stream fail, in its own words.
    pub fn save(&self, reference: &str) -> Result<Box<dyn Read + Send>> {
        check_reference(reference)?;
        let path: Vec<&str> = ["images"].into_iter().chain(reference.split('/')).chain(["get"]).collect();
        let thing = format!("image {reference}");
        let request = self.request(Method::GET, &path, None);
        let response = self.runtime.run(self.send(request, &thing, Some(("image", reference))))?;
        let thing = format!("{thing} from {}", self.name);
        Ok(Box::new(Save::new(self.runtime.clone(), response, thing, self.patience)))
    }

    /// Gives the engine a docker-archive, and returns what it says it has loaded: names, or the id
    /// of an image without one.
    pub fn load(&self, archive: &mut dyn Read) -> Result<Vec<String>> {
        let mut load = self.open_load();
        io::copy(archive, &mut load).map_err(|err| crate::error::from_stream("the docker-archive", err))?;
        load.finish()
    }

    /// Like [`Engine::load`], for who writes the archive. Dropped before [`Load::finish`], the engine
    /// sees a broken request and loads nothing.
    pub fn open_load(&self) -> Load {
        Load::open(self.clone())
    }

    /// Spools the image into a nameless file in `scratch`, which stays as long as the source: what
    /// lists the layers comes last in an archive.
    pub fn source(&self, reference: &str, scratch: &Path) -> Result<Box<dyn Source>> {
        let name = format!("image {reference} from {}", self.name);
        let file = crate::fs::spool_in(scratch, &mut self.save(reference)?, &name)?;
        docker_archive::open(SharedFile::new(file, name)?)
    }

    /// Puts images into the engine's store.
    pub fn sink(&self) -> Result<EngineSink> {
        EngineSink::open(self)
    }

    /// Ends what runs, and whatever is asked later, with [`Error::Interrupted`].
    pub fn interrupt(&self) {
        self.runtime.interrupt();
    }

    fn request(&self, method: Method, path: &[&str], query: Option<&str>) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_query(query);
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        self.client.request(method, url)
    }

    /// A good answer, or the error that it is. `wanted` is what a 404 says is not there.
    async fn send(
        &self,
        request: RequestBuilder,
        thing: &str,
        wanted: Option<(&'static str, &str)>,
    ) -> Result<Response> {
        let asked = tokio::time::timeout(self.patience, request.send()).await;
        let silent = |_| call::silent(format!("hear from {}", self.name), self.patience).error;
        let response = asked.map_err(silent)?.map_err(|err| self.unreachable(err))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let words = answer::words(response, self.patience).await;
        let thing = format!("{thing}, {}", self.name);
        Err(match (status, wanted) {
            // Docker says it by the status, podman of 2022 in places by its words alone.
            (status, Some((kind, name)))
                if status == StatusCode::NOT_FOUND || words.contains("image not known") =>
            {
                Error::not_found(kind, format!("{name} in {}", self.name))
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Error::Denied { thing, words },
            (status, _) => Error::Server { thing, status: status.as_u16(), words },
        })
    }

    fn unreachable(&self, err: reqwest::Error) -> Error {
        let could_not_connect = err.is_connect();
        let error = call::broken(format!("reach {}", self.name), err).error;
        match could_not_connect {
            true => error.with_hint("is it running, and may you use its socket? `DOCKER_HOST` names another"),
            false => error,
        }
    }
}

/// A name or an id, which is to be a part of a path: nothing in it may lead elsewhere.
fn check_reference(reference: &str) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+:@".contains(&byte);
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_plain);
    if reference.len() > NAME_BYTES_MAX || !reference.split('/').all(is_part) {
        let thing =
            format!("image `{}`", shown(&reference.as_bytes()[..reference.len().min(NAME_BYTES_MAX)]));
        return Err(Error::invalid(thing, "expected a name or an id as the engine shows it"));
    }
    Ok(())
}
