//! Plain HTTP to our own daemons on loopback.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use ureq::{Agent, http::Response};

/// For a whole answer: everything asked here is answered from this machine.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A client of one daemon.
#[derive(Clone, Debug)]
pub struct Http {
    agent: Agent,
    base: String,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Body, `null` where it is not JSON.
    pub body: Value,
    /// The session cookie that it sets, as `name=value`.
    pub cookie: Option<String>,
    /// Its `Location`.
    pub location: Option<String>,
}

impl Http {
    /// The daemon at `base` (`http://127.0.0.1:PORT`).
    pub fn new(base: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .build();
        Self { agent: config.into(), base: base.to_owned() }
    }

    /// GET.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.call().with_context(|| format!("GET {path}"))?)
    }

    /// POST with a JSON body.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<Answer> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.send_json(body).with_context(|| format!("POST {path}"))?)
    }

    /// Sends a body as it is.
    pub fn post_text(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.send(body).with_context(|| format!("POST {path}"))?)
    }

    /// Presses the button of a form at the base address, as a browser does.
    pub fn press(&self, button: &str) -> Result<()> {
        let answer = self.agent.post(&self.base).send_form([("do", button)]);
        let status = answer.with_context(|| format!("cannot press {button}"))?.status();
        if !(status.is_success() || status.is_redirection()) {
            bail!("pressing {button} was answered with {status}");
        }
        Ok(())
    }

    /// PUT.
    pub fn put(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<Answer> {
        let mut request = self.agent.put(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.send_json(body).with_context(|| format!("PUT {path}"))?)
    }

    /// PUT with a body that is no JSON.
    pub fn put_text(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
        let mut request = self.agent.put(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.send(body).with_context(|| format!("PUT {path}"))?)
    }

    /// DELETE.
    pub fn delete(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let mut request = self.agent.delete(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.call().with_context(|| format!("DELETE {path}"))?)
    }

    /// Whether a GET is answered with 200.
    pub fn is_ok(&self, path: &str) -> bool {
        self.get(path, &[]).is_ok_and(|answer| answer.status == 200)
    }
}

fn read(mut response: Response<ureq::Body>) -> Result<Answer> {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let cookie = header("set-cookie").and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
    let location = header("location").map(str::to_owned);
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string()?;
    Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or_default(), cookie, location })
}

impl Answer {
    /// The body of a 2xx answer; else an error with what the problem says.
    pub fn expect(self, what: &str) -> Result<Value> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let said =
            ["detail", "title"].iter().find_map(|key| self.body[key].as_str()).unwrap_or("no reason given");
        bail!("{what}: {} {said}", self.status)
    }
}

/// Repeats a GET that may be refused for a moment (429, 503), as a polite client does.
pub fn patiently(mut call: impl FnMut() -> Result<Answer>) -> Result<Answer> {
    for pause in [100, 400, 1_600] {
        match call()? {
            answer if matches!(answer.status, 429 | 503) => thread::sleep(Duration::from_millis(pause)),
            answer => return Ok(answer),
        }
    }
    call()
}
