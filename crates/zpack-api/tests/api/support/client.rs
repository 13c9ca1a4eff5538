//! A client: a browser with a cookie, a script with a key, or nobody.

use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use super::{PASSWORD, described};

/// Somebody who sends requests.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    pub base: String,
    /// `name=value`.
    pub cookie: Option<String>,
    pub key: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON, or null.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// A member of the body.
    pub fn at(&self, pointer: &str) -> Value {
        self.json().pointer(pointer).cloned().unwrap_or(Value::Null)
    }

    /// A problem's code.
    pub fn code(&self) -> String {
        self.at("/code").as_str().unwrap_or_default().to_owned()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Fails unless it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// Fails unless it is this problem, complete in every member.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.code().as_str()), (status, code), "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.at("/type"), format!("/problems/{code}"));
        assert_eq!(self.at("/status"), status);
        assert_eq!(self.at("/instance"), format!("urn:request:{}", self.header("x-request-id")));
        for member in ["title", "detail"] {
            assert!(
                self.json()[member].as_str().is_some_and(|text| !text.is_empty()),
                "{member}: {}",
                self.text
            );
        }
        self
    }
}

impl Client {
    /// Nobody yet.
    pub fn anonymous(base: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { http, base: base.to_owned(), cookie: None, key: None }
    }

    /// The same machine with an API key instead.
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), cookie: None, ..self.clone() }
    }

    /// A request with this client's credentials; a browser says that it comes from the same site.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie).header("sec-fetch-site", "same-origin");
        }
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Sends a request as it is. A problem has to be one that the description names.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let (http, request) = request.build_split();
        let request = request.expect("a request");
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = http.execute(request).await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = Answer { status, headers, text: response.text().await.expect("a body") };
        described::check(&method, &path, &answer);
        answer
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    /// `POST /api/instances` with a key.
    pub async fn create(&self, key: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, "/api/instances").header("idempotency-key", key).json(body);
        self.send(request).await
    }

    /// Takes over the cookie that an answer sets.
    pub fn keep_cookie(&mut self, answer: &Answer) {
        let set = answer.header("set-cookie");
        self.cookie = set.split(';').next().map(ToOwned::to_owned).filter(|pair| !pair.is_empty());
    }

    /// Signs in.
    pub async fn log_in(&mut self, email: &str, password: &str) -> Answer {
        let answer = self.post("/api/auth/login", json!({ "email": email, "password": password })).await;
        if answer.status.is_success() {
            self.keep_cookie(&answer);
        }
        answer
    }

    /// Makes an account with [`PASSWORD`] and signs in.
    pub async fn register(base: &str, email: &str) -> Self {
        let mut client = Self::anonymous(base);
        let body = json!({ "email": email, "password": PASSWORD });
        let answer = client.post("/api/auth/register", body).await.expect(201);
        client.keep_cookie(&answer);
        client
    }

    /// A client with a new key that has these scopes.
    pub async fn make_key(&self, scopes: &[&str], expires_at: &str) -> Self {
        let body = json!({ "name": "test", "scopes": scopes, "expires_at": expires_at });
        let answer = self.post("/api/api-keys", body).await.expect(201);
        self.with_key(answer.at("/key").as_str().unwrap())
    }
}
