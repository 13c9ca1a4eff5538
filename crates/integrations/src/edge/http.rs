//! Calls of a service of the edge that is our own: with deadlines, and what every such service may answer.

use std::{sync::Arc, time::Duration};

use domain::clock::Clock;
use reqwest::{Client, Method, RequestBuilder, StatusCode};

use super::{EdgeError, quiet::Quiet};
use crate::{
    answer::{on_one_line, retry_after},
    body::read_bounded,
    chain,
};

/// Longest call.
const DEADLINE: Duration = Duration::from_secs(20);
/// Longest that connecting may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// A client of one service.
#[derive(Debug)]
pub(super) struct Http {
    part: &'static str,
    base: String,
    client: Client,
    quiet: Quiet,
}

impl Http {
    /// Of the service at this base address.
    pub(super) fn new(part: &'static str, base: &str, clock: Arc<dyn Clock>) -> Result<Self, EdgeError> {
        let client = Client::builder()
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(DEADLINE)
            .build()
            .map_err(|error| EdgeError::Unreachable(chain(&error)))?;
        Ok(Self { part, base: base.trim_end_matches('/').to_owned(), client, quiet: Quiet::new(part, clock) })
    }

    /// A call that is still to be sent.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Sends it and reads at most `limit` bytes. Whatever may pass by itself is an error here; the service's own answers, good
    /// and bad, are given.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        limit: usize,
    ) -> Result<(StatusCode, Vec<u8>), EdgeError> {
        self.quiet.check()?;
        let away = |reason: String| EdgeError::Unreachable(format!("{}: {reason}", self.part));
        let response = request.send().await.map_err(|error| away(chain(&error)))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(self.quiet.keep(retry_after));
        }
        let body = read_bounded(response, limit).await.map_err(|error| away(error.to_string()))?;
        Ok((status, body))
    }

    /// What an answer means that is no success: the service, or what stands before it, is not well, or it refuses us.
    pub(super) fn refused(&self, status: StatusCode, message: &str) -> EdgeError {
        let (part, message) = (self.part, on_one_line(message));
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            return EdgeError::Unreachable(format!("{part} answered {status} {message}"));
        }
        EdgeError::Refused { part, status: status.as_u16(), message }
    }
}
