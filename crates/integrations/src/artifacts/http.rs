//! The artifact source behind an http or https address (wire facts, "Artifacts").

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use reqwest::{Client, StatusCode, Url, redirect};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::{ArtifactError, ArtifactSource, Catalog, Manifest, path::checked};
use crate::body::{BodyError, read_bounded};

const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// For a whole answer; both documents are small.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// A catalogue of 100,000 versions of ten letters is under 2 MiB.
const CATALOG_LIMIT: usize = 4 << 20;
/// A manifest of 10,000 files is about 1.5 MiB.
const MANIFEST_LIMIT: usize = 2 << 20;

/// Asks an artifact source, and remembers its catalogue for a while.
pub struct HttpArtifacts {
    http: Client,
    base: Url,
    catalog_ttl: Duration,
    /// Held while fetching, so that many callers make one request.
    cached: Mutex<Option<(Instant, Arc<Catalog>)>>,
}

impl fmt::Debug for HttpArtifacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpArtifacts").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl HttpArtifacts {
    /// The source at `base` (http or https). Its catalogue is asked for again once it is older than `catalog_ttl`.
    pub fn new(base: &str, catalog_ttl: Duration) -> Result<Self, ArtifactError> {
        let bad = || ArtifactError::BadBase(base.to_owned());
        let base_url = Url::parse(base).map_err(|_| bad())?;
        let plain = base_url.query().is_none() && base_url.fragment().is_none() && base_url.has_host();
        if !matches!(base_url.scheme(), "http" | "https") || !plain {
            return Err(bad());
        }
        let http = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(CALL_DEADLINE)
            .build()
            .map_err(|error| ArtifactError::Invalid(error.to_string()))?;
        Ok(Self { http, base: base_url, catalog_ttl, cached: Mutex::new(None) })
    }

    fn address(&self, parts: &[&str]) -> Result<Url, ArtifactError> {
        let mut url = self.base.clone();
        let mut path = url.path_segments_mut().map_err(|()| ArtifactError::BadBase(self.base.to_string()))?;
        path.pop_if_empty();
        for part in parts {
            path.push(checked(part)?);
        }
        drop(path);
        Ok(url)
    }

    /// A document, or `None` on 404.
    async fn fetch<T: DeserializeOwned>(&self, url: Url, limit: usize) -> Result<Option<T>, ArtifactError> {
        let response = self.http.get(url.clone()).send().await.map_err(|error| unreachable(&error))?;
        match response.status() {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::OK => {}
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(ArtifactError::Unreachable(format!("{url} answered {status}")));
            }
            status => return Err(ArtifactError::Invalid(format!("{url} answered {status}"))),
        }
        let bytes = read_bounded(response, limit).await.map_err(|error| match error {
            BodyError::TooLong(_) => ArtifactError::Invalid(format!("{url}: {error}")),
            BodyError::Broken(error) => unreachable(&error),
        })?;
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| ArtifactError::Invalid(format!("{url}: {error}")))
    }
}

fn unreachable(error: &reqwest::Error) -> ArtifactError {
    ArtifactError::Unreachable(crate::chain(error))
}

#[async_trait]
impl ArtifactSource for HttpArtifacts {
    async fn catalog(&self) -> Result<Arc<Catalog>, ArtifactError> {
        let mut cached = self.cached.lock().await;
        if let Some((fetched, catalog)) = cached.as_ref()
            && fetched.elapsed() < self.catalog_ttl
        {
            return Ok(Arc::clone(catalog));
        }
        let url = self.address(&["_catalog.json"])?;
        let missing = || ArtifactError::Invalid(format!("{url} is missing"));
        let catalog = Arc::new(self.fetch::<Catalog>(url.clone(), CATALOG_LIMIT).await?.ok_or_else(missing)?);
        *cached = Some((Instant::now(), Arc::clone(&catalog)));
        Ok(catalog)
    }

    async fn manifest(
        &self,
        game: &str,
        variant: &str,
        version: &str,
    ) -> Result<Option<Manifest>, ArtifactError> {
        let url = self.address(&[game, variant, version, "manifest.json"])?;
        let manifest: Option<Manifest> = self.fetch(url.clone(), MANIFEST_LIMIT).await?;
        if let Some(manifest) = &manifest {
            check(manifest).map_err(|fault| ArtifactError::Invalid(format!("{url}: {fault}")))?;
        }
        Ok(manifest)
    }

    fn url(&self, game: &str, variant: &str, version: &str, file: &str) -> Result<String, ArtifactError> {
        self.address(&[game, variant, version, file]).map(Into::into)
    }
}

fn check(manifest: &Manifest) -> Result<(), String> {
    for (n, file) in manifest.files.iter().enumerate() {
        checked(&file.name).map_err(|error| error.to_string())?;
        let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if file.sha256.len() != 64 || !file.sha256.bytes().all(hex) {
            return Err(format!("the sha256 of {:?} is not 64 lower-case hex digits", file.name));
        }
        if manifest.files[..n].iter().any(|earlier| earlier.name == file.name) {
            return Err(format!("{:?} is there twice", file.name));
        }
    }
    Ok(())
}
