//! Messages to a Discord channel, by its webhook (`POST` and `PATCH` of `{webhook}`; <https://docs.discord.com/developers/resources/webhook>).
//!
//! Written on the plain HTTP client: it is two calls, and the crate `serenity` brings a second TLS library of an older line and
//! waits out a limit inside the process, where a restart forgets it. The outbox keeps it in the row.

use std::time::Duration;

use domain::text::foreign;
use reqwest::{Client, Method, Response, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use crate::{body::read_bounded, chain};

/// Longest call.
const DEADLINE: Duration = Duration::from_secs(15);
/// Longest that connecting may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 256 << 10;
/// Longest message, in characters.
pub const MAX_CHARS: usize = 2_000;
/// Discord's code of a message that is not there any more.
const UNKNOWN_MESSAGE: u32 = 10_008;

/// A channel's webhook.
#[derive(Debug)]
pub struct Webhook {
    http: Client,
    url: SecretString,
}

/// Why a message was not sent. Never has the address in it, since that is a secret.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// It may go well another time.
    #[error("{0}")]
    Away(String),
    /// Too many messages; the next one after this time.
    #[error("Discord takes no more messages for {} s", .0.as_secs_f32())]
    Limited(Duration),
    /// It never will.
    #[error("Discord refused the message ({status}, code {code}): {message}")]
    Refused {
        /// The answer's status.
        status: u16,
        /// Discord's own number for the reason; 0 if it gave none.
        code: u32,
        /// What it said.
        message: String,
    },
}

#[derive(Deserialize)]
struct Sent {
    id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    code: u32,
    message: String,
    retry_after: Option<f64>,
}

impl Webhook {
    /// A webhook by its address, as Discord shows it.
    pub fn new(url: &SecretString) -> Result<Self, WebhookError> {
        let http = Client::builder()
            .timeout(DEADLINE)
            .connect_timeout(CONNECT_DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| WebhookError::Away(chain(&error)))?;
        let url = url.expose_secret().trim().trim_end_matches('/').to_owned().into();
        Ok(Self { http, url })
    }

    /// Sends a message of at most [`MAX_CHARS`] characters, and returns its id. Nobody is mentioned by it, whatever it says.
    pub async fn send(&self, text: &str) -> Result<String, WebhookError> {
        // Without `wait` the answer has no message, and comes before Discord has taken it.
        let bytes = self.call(Method::POST, "?wait=true", text).await?;
        let sent: Sent = serde_json::from_slice(&bytes)
            .map_err(|_| WebhookError::Away("Discord's answer is not a message".to_owned()))?;
        Ok(sent.id)
    }

    /// Changes a message. `false` if somebody has deleted it: then it stays so.
    pub async fn edit(&self, message: &str, text: &str) -> Result<bool, WebhookError> {
        match self.call(Method::PATCH, &format!("/messages/{message}"), text).await {
            Ok(_) => Ok(true),
            Err(WebhookError::Refused { code: UNKNOWN_MESSAGE, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn call(&self, method: Method, path: &str, text: &str) -> Result<Vec<u8>, WebhookError> {
        let content: String = text.chars().take(MAX_CHARS).collect();
        let body = json!({ "content": content, "allowed_mentions": { "parse": [] } });
        let request = self.http.request(method, format!("{}{path}", self.url.expose_secret())).json(&body);
        let sent = request.send().await;
        let response = sent.map_err(|error| WebhookError::Away(chain(&error.without_url())))?;
        let (status, asked) = (response.status(), retry_after(&response));
        let bytes = read_bounded(response, MAX_ANSWER)
            .await
            .map_err(|error| WebhookError::Away(format!("Discord's answer: {error}")))?;
        if status.is_success() {
            return Ok(bytes);
        }
        let refusal: Refusal = serde_json::from_slice(&bytes).unwrap_or_default();
        Err(refused(status, asked, &refusal))
    }
}

fn refused(status: StatusCode, asked: Option<f64>, refusal: &Refusal) -> WebhookError {
    if status == StatusCode::TOO_MANY_REQUESTS {
        // The body counts in fractions of a second, the header in whole ones.
        let seconds = refusal.retry_after.or(asked).unwrap_or(5.0).clamp(0.0, 86_400.0);
        return WebhookError::Limited(Duration::from_secs_f64(seconds));
    }
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        return WebhookError::Away(format!("Discord answered {status}"));
    }
    let message = foreign(&refusal.message).chars().take(300).collect();
    WebhookError::Refused { status: status.as_u16(), code: refusal.code, message }
}

fn retry_after(response: &Response) -> Option<f64> {
    response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}
