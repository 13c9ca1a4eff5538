//! The customer's files over the agent's real interface.

mod archives;
mod attacks;
mod content;
mod hostile_archives;
mod jobs;
mod limits;
mod listing;
mod uploads;

use std::path::Path;

use domain::agent::{
    AgentProblem, FileChange, FileInfo, FileJob, FileJobSpec, FileJobState, FileList, FilesUsage, Scope,
    ServiceSpec,
};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};

use crate::support::{TestAgent, eventually, script};

/// A refusal: status and code.
pub type Refused = (u16, String);

impl TestAgent {
    pub fn files(&self, method: Method, route: &str, query: &[(&str, &str)]) -> RequestBuilder {
        let url = format!("{}/v1/files/{route}", self.url);
        self.client.request(method, url).query(query).bearer_auth(self.token(Scope::Files))
    }

    pub async fn get_file(&self, path: &str) -> Result<Vec<u8>, Refused> {
        let response = self.files(Method::GET, "content", &[("path", path)]).send().await.unwrap();
        Ok(checked(response).await?.bytes().await.unwrap().to_vec())
    }

    pub async fn put_file(&self, path: &str, body: impl Into<Body>) -> Result<FileInfo, Refused> {
        self.put_with(&[("path", path)], &[], body).await
    }

    pub async fn put_with(
        &self,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Result<FileInfo, Refused> {
        let mut request = self.files(Method::PUT, "content", query).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(checked(request.send().await.unwrap()).await?.json().await.unwrap())
    }

    pub async fn stat_file(&self, path: &str) -> Result<FileInfo, Refused> {
        let response = self.files(Method::GET, "stat", &[("path", path)]).send().await.unwrap();
        Ok(checked(response).await?.json().await.unwrap())
    }

    pub async fn list(&self, path: &str) -> Result<FileList, Refused> {
        let response = self.files(Method::GET, "list", &[("path", path)]).send().await.unwrap();
        Ok(checked(response).await?.json().await.unwrap())
    }

    pub async fn change(&self, change: FileChange) -> Result<(), Refused> {
        let response = self.files(Method::POST, "change", &[]).json(&change).send().await.unwrap();
        checked(response).await.map(drop)
    }

    pub async fn usage(&self) -> FilesUsage {
        let response = self.files(Method::GET, "usage", &[]).send().await.unwrap();
        checked(response).await.unwrap().json().await.unwrap()
    }

    pub async fn begin_job(&self, spec: &FileJobSpec) -> Result<FileJob, Refused> {
        let response = self.files(Method::POST, "jobs", &[]).json(spec).send().await.unwrap();
        Ok(checked(response).await?.json().await.unwrap())
    }

    pub async fn see_job(&self, id: &str, wait_ms: &str) -> Result<FileJob, Refused> {
        let query = [("id", id), ("wait_ms", wait_ms)];
        let response = self.files(Method::GET, "jobs", &query).send().await.unwrap();
        Ok(checked(response).await?.json().await.unwrap())
    }

    /// Runs a job to its end.
    pub async fn job(&self, spec: FileJobSpec) -> FileJob {
        let mut job = self.begin_job(&spec).await.unwrap();
        for _ in 0..6 {
            if job.state != FileJobState::Running {
                return job;
            }
            job = self.see_job(&job.id.to_string(), "10000").await.unwrap();
        }
        panic!("the job does not end: {job:?}")
    }

    /// Runs a job that fails; its code.
    pub async fn failed_job(&self, spec: FileJobSpec) -> String {
        let job = self.job(spec).await;
        assert_eq!(job.state, FileJobState::Failed, "{job:?}");
        job.error.unwrap().code
    }

    /// Runs a job that does not fail.
    pub async fn done_job(&self, spec: FileJobSpec) -> FileJob {
        let job = self.job(spec).await;
        assert_eq!(job.state, FileJobState::Succeeded, "{job:?}");
        job
    }

    /// Sets the plan's disk space.
    pub async fn limit_disk(&self, bytes: u64) {
        let spec = ServiceSpec { disk_limit_bytes: Some(bytes), ..script("exit 0") };
        self.put(&spec).await.unwrap();
        self.until_installed().await;
        assert_eq!(self.usage().await.limit_bytes, Some(bytes));
    }

    /// The most memory that the agent ever had, in KiB (`VmHWM` of proc(5)).
    pub fn memory_peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Nothing unfinished lies about. Looks again: what a caller gave up is removed a moment later.
    pub fn assert_nothing_unfinished(&self) {
        let scratch = self.data().join(".zlh-files");
        eventually("an empty scratch folder", || names(&scratch).is_empty());
    }
}

pub async fn checked(response: Response) -> Result<Response, Refused> {
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    Err((status.as_u16(), response.json::<AgentProblem>().await.unwrap().code))
}

pub fn refused<T>(status: u16, code: &str) -> Result<T, Refused> {
    Err((status, code.to_owned()))
}

/// Bytes that do not shrink.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// Sorted names in a folder; none if it is not there.
pub fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A tree as text: paths, kinds, modes, times and contents of everything in a folder.
pub fn picture(folder: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut lines = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let found = path.symlink_metadata().unwrap();
            let content = if found.is_file() { std::fs::read(&path).unwrap_or_default() } else { Vec::new() };
            lines.push(format!("{} {:o} {} {content:?}", path.display(), found.mode(), found.mtime()));
            if found.is_dir() {
                folders.push(path);
            }
        }
    }
    lines.sort();
    lines
}
