//! Downloads: bounded in size, checked while they arrive, repeated when the source breaks off (a GET changes nothing).

use std::{error::Error, time::Duration};

use reqwest::{Client, Response, StatusCode, redirect::Policy};
use tokio::{
    fs::File,
    io::{AsyncSeekExt, AsyncWriteExt, BufWriter},
    time::sleep,
};
use tracing::warn;

use super::{error::InstallError, hash::Sha256, progress::Meter};

/// Longest time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence of a source.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Redirects followed.
const REDIRECTS: usize = 5;
/// Pauses before the second try and those after it.
const PAUSES: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3)];
/// Bytes collected before they are written.
const BUFFER: usize = 256 * 1024;

/// What to download, and what it has to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'w> {
    pub(super) url: &'w str,
    /// For messages.
    pub(super) file: &'w str,
    /// Lower-case hex.
    pub(super) sha256: &'w str,
    pub(super) size: u64,
}

/// A client for one installation; none is kept in idle agents.
pub(super) fn client() -> Result<Client, InstallError> {
    let builder = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(IDLE_TIMEOUT)
        .redirect(Policy::limited(REDIRECTS))
        .user_agent("zlh-agent");
    builder
        .build()
        .map_err(|error| InstallError::Unreachable { file: "source".to_owned(), reason: brief(&error) })
}

/// Fills `file` with exactly what is wanted, or fails.
pub(super) async fn fetch(
    client: &Client,
    wanted: Wanted<'_>,
    file: File,
    meter: &Meter<'_>,
) -> Result<File, InstallError> {
    let mut file = BufWriter::with_capacity(BUFFER, file);
    for pause in PAUSES.map(Some).into_iter().chain([None]) {
        let failure = match attempt(client, wanted, &mut file, meter).await {
            Ok(()) => return Ok(file.into_inner()),
            Err(failure) => failure,
        };
        match (failure, pause) {
            (Failure::Passing(reason), Some(pause)) => {
                warn!(
                    file = wanted.file,
                    reason,
                    ?pause,
                    "a download broke off ({reason}); it goes on in {pause:?}"
                );
                sleep(pause).await;
            }
            (failure, _) => return Err(failure.into_error(wanted.file)),
        }
    }
    unreachable!("the last try has no pause")
}

enum Failure {
    /// May pass: the source did not answer, broke off or is overloaded.
    Passing(String),
    Final(InstallError),
}

impl Failure {
    fn into_error(self, file: &str) -> InstallError {
        match self {
            Self::Passing(reason) => InstallError::Unreachable { file: file.to_owned(), reason },
            Self::Final(error) => error,
        }
    }
}

async fn attempt(
    client: &Client,
    wanted: Wanted<'_>,
    file: &mut BufWriter<File>,
    meter: &Meter<'_>,
) -> Result<(), Failure> {
    let disk = |error| Failure::Final(InstallError::at(wanted.file, error));
    file.rewind().await.map_err(disk)?;
    file.get_mut().set_len(0).await.map_err(disk)?;
    let mut response = ask(client, wanted).await?;
    let (mut hash, mut length) = (Sha256::new(), 0);
    while let Some(chunk) = response.chunk().await.map_err(|error| Failure::Passing(brief(&error)))? {
        length += chunk.len() as u64;
        if length > wanted.size {
            return Err(corrupt(wanted, format!("it is longer than {} bytes", wanted.size)));
        }
        hash.update(&chunk);
        file.write_all(&chunk).await.map_err(disk)?;
        meter.downloaded(length);
    }
    meter.verifying();
    file.flush().await.map_err(disk)?;
    file.get_mut().sync_all().await.map_err(disk)?;
    if length != wanted.size {
        return Err(corrupt(wanted, format!("it has {length} bytes instead of {}", wanted.size)));
    }
    if hash.finish() != wanted.sha256 {
        return Err(corrupt(wanted, "its checksum is wrong".to_owned()));
    }
    Ok(())
}

async fn ask(client: &Client, wanted: Wanted<'_>) -> Result<Response, Failure> {
    let file = || wanted.file.to_owned();
    let response = client.get(wanted.url).send().await.map_err(|error| {
        let reason = brief(&error);
        // The same redirects would come again.
        if error.is_redirect() || error.is_builder() {
            Failure::Final(InstallError::Unreachable { file: file(), reason })
        } else {
            Failure::Passing(reason)
        }
    })?;
    let status = response.status();
    let passing = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            Err(Failure::Final(InstallError::Missing { file: file() }))
        }
        _ if passing => Err(Failure::Passing(format!("its source answered {status}"))),
        StatusCode::OK => announced(response, wanted),
        _ => {
            let reason = format!("its source answered {status}");
            Err(Failure::Final(InstallError::Unreachable { file: file(), reason }))
        }
    }
}

/// A source that announces another length need not be listened to.
fn announced(response: Response, wanted: Wanted<'_>) -> Result<Response, Failure> {
    match response.content_length().filter(|length| *length != wanted.size) {
        Some(length) => Err(corrupt(wanted, format!("it has {length} bytes instead of {}", wanted.size))),
        None => Ok(response),
    }
}

fn corrupt(wanted: Wanted<'_>, reason: String) -> Failure {
    Failure::Final(InstallError::Corrupt { file: wanted.file.to_owned(), reason })
}

/// In a few words and without the address, which may hold a signature.
fn brief(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let kind = if error.is_timeout() {
        "its source did not answer in time"
    } else if error.is_connect() {
        "its source could not be reached"
    } else if error.is_redirect() {
        return "its source redirects too often".to_owned();
    } else {
        "its source broke off"
    };
    // Without a source the innermost error is reqwest's own, which names the address.
    if error.source().is_some() { format!("{kind} ({innermost})") } else { kind.to_owned() }
}
