//! Calls of Technitium's API (`/api/zones/records/…`, version 15). Bad news comes with HTTP status 200 as well.

use std::sync::Arc;

use domain::{
    clock::Clock,
    edge::{DnsName, DnsRecord, Mark, TechnitiumZone},
};
use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{
    super::{EdgeError, http::Http},
    PART,
    record::{self, Parameters, Record},
};
use crate::answer::on_one_line;

/// Largest answer that is read, in bytes: a zone comes in one piece, and a record has about 400 bytes.
const MAX_ANSWER: usize = 32 << 20;

/// The zone's API.
#[derive(Debug)]
pub(super) struct Api {
    http: Http,
    zone: DnsName,
    token: SecretString,
}

/// The envelope around every answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status: String,
    #[serde(default)]
    error_message: Option<String>,
    #[serde(default)]
    response: Option<Response>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    records: Option<Vec<Record>>,
}

impl Api {
    pub(super) fn new(zone: &TechnitiumZone, clock: Arc<dyn Clock>) -> Result<Self, EdgeError> {
        let (http, token) = (Http::new(PART, &zone.url, clock)?, zone.token.clone());
        Ok(Self { http, zone: zone.zone.clone(), token })
    }

    /// Every record of the zone.
    pub(super) async fn all(&self) -> Result<Vec<Record>, EdgeError> {
        self.get(&self.zone, true).await
    }

    /// Every record of one name.
    pub(super) async fn of_name(&self, name: &DnsName) -> Result<Vec<Record>, EdgeError> {
        self.get(name, false).await
    }

    async fn get(&self, name: &DnsName, whole_zone: bool) -> Result<Vec<Record>, EdgeError> {
        let whole_zone = whole_zone.to_string();
        let query = [("domain", name.as_str()), ("zone", self.zone.as_str()), ("listZone", &whole_zone)];
        let request = self.http.request(Method::GET, "/api/zones/records/get").query(&query);
        let answer = self.call(request).await?;
        answer.response.and_then(|it| it.records).ok_or_else(|| EdgeError::Incomplete {
            part: PART,
            reason: "the answer has no list of records".to_owned(),
        })
    }

    /// Makes a record. That it is there already is fine: what is there is looked at afterwards.
    pub(super) async fn add(
        &self,
        record: &DnsRecord,
        mark: &Mark,
        overwrite: bool,
    ) -> Result<(), EdgeError> {
        match self.post("add", record::to_add(record, mark, overwrite)).await {
            Err(EdgeError::Refused { message, .. }) if message.contains("already exists") => Ok(()),
            outcome => outcome,
        }
    }

    /// Deletes a record; deleting what is not there is fine to the server as well.
    pub(super) async fn delete(&self, record: &Record) -> Result<(), EdgeError> {
        match record.to_delete() {
            Some(parameters) => self.post("delete", parameters).await,
            None => Ok(()),
        }
    }

    async fn post(&self, what: &str, mut parameters: Parameters) -> Result<(), EdgeError> {
        parameters.push(("zone", self.zone.to_string()));
        let request = self.http.request(Method::POST, &format!("/api/zones/records/{what}"));
        self.call(request.form(&parameters)).await.map(drop)
    }

    /// The token is in the header alone: an address ends up in logs.
    async fn call(&self, request: RequestBuilder) -> Result<Answer, EdgeError> {
        let request = request.bearer_auth(self.token.expose_secret());
        let (status, body) = self.http.send(request, MAX_ANSWER).await?;
        if !status.is_success() {
            return Err(self.http.refused(status, &String::from_utf8_lossy(&body)));
        }
        understand(status, &body)
    }
}

fn understand(status: StatusCode, body: &[u8]) -> Result<Answer, EdgeError> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| EdgeError::Incomplete { part: PART, reason: error.to_string() })?;
    if answer.status == "ok" {
        return Ok(answer);
    }
    let message = format!("{} {}", answer.status, answer.error_message.unwrap_or_default());
    Err(EdgeError::Refused { part: PART, status: status.as_u16(), message: on_one_line(message.trim_end()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_good_only_if_it_says_so() {
        let understand = |body: &str| understand(StatusCode::OK, body.as_bytes());
        let list = r#"{"response":{"zone":{"name":"example"},"records":[{"name":"example","type":"SOA","rData":{"serial":7}}]},"status":"ok"}"#;
        assert_eq!(understand(list).unwrap().response.unwrap().records.unwrap().len(), 1);
        assert!(understand(r#"{"status":"ok"}"#).unwrap().response.is_none());
        for (bad, said) in [
            (
                r#"{"status":"invalid-token","errorMessage":"Invalid token or session expired."}"#,
                "invalid-token",
            ),
            (
                r#"{"status":"error","errorMessage":"No such zone was found:\n example","stackTrace":"at x"}"#,
                "No such zone was found: example",
            ),
        ] {
            let refused = understand(bad).err().unwrap();
            assert!(!refused.is_transient() && refused.to_string().contains(said), "{refused}");
        }
        for broken in
            ["", "<html>", r#"{"response":{"records":[]}}"#, r#"{"status":"ok","response":{"records":[{}]}}"#]
        {
            assert!(understand(broken).is_err_and(|error| error.is_transient()), "{broken}");
        }
    }
}
