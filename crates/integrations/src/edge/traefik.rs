//! What Traefik has taken up of our routes, by its own API. It is looked at only: Traefik fetches the routes itself.
//!
//! API: <https://doc.traefik.io/traefik/operations/api/#endpoints>.

use std::{collections::HashMap, sync::Arc};

use domain::clock::Clock;
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::{EdgeError, http::Http};

/// What this part is called.
const PART: &str = "traefik";
/// Routers in one page.
const PER_PAGE: usize = 5_000;
/// Most pages of one kind.
const MAX_PAGES: usize = 100;
/// Largest answer that is read, in bytes: a router has about 500 bytes.
const MAX_ANSWER: usize = 8 << 20;
/// What Traefik appends to the name of what came by its HTTP provider.
const PROVIDER: &str = "@http";

/// The API of a Traefik.
#[derive(Debug)]
pub struct TraefikApi {
    http: Http,
}

#[derive(Deserialize)]
struct Router {
    name: String,
    #[serde(default)]
    status: String,
}

impl TraefikApi {
    /// At this base address, for example `http://10.0.0.4:8080`.
    pub fn new(url: &str, clock: Arc<dyn Clock>) -> Result<Self, EdgeError> {
        Ok(Self { http: Http::new(PART, url, clock)? })
    }

    /// Every router that came by the HTTP provider, by its name there, with its status: `enabled`, `disabled` or `warning`.
    /// Whole, or an error.
    pub async fn routers(&self) -> Result<HashMap<String, String>, EdgeError> {
        let mut all = HashMap::new();
        for kind in ["http", "tcp", "udp"] {
            for page in 1..=MAX_PAGES {
                let routers = self.page(kind, page).await?;
                let last = routers.len() < PER_PAGE;
                all.extend(routers.into_iter().filter_map(|router| {
                    let name = router.name.strip_suffix(PROVIDER)?.to_owned();
                    Some((name, router.status))
                }));
                if last {
                    break;
                }
            }
        }
        Ok(all)
    }

    async fn page(&self, kind: &str, page: usize) -> Result<Vec<Router>, EdgeError> {
        let request = self.http.request(Method::GET, &format!("/api/{kind}/routers"));
        let request = request.query(&[("page", page), ("per_page", PER_PAGE)]);
        let (status, body) = self.http.send(request, MAX_ANSWER).await?;
        // A page behind the last one, when the last one was full.
        if status == StatusCode::BAD_REQUEST && page > 1 {
            return Ok(Vec::new());
        }
        if !status.is_success() {
            return Err(self.http.refused(status, &String::from_utf8_lossy(&body)));
        }
        serde_json::from_slice(&body).map_err(|error| EdgeError::Incomplete {
            part: PART,
            reason: format!("its {kind} routers cannot be read: {error}"),
        })
    }
}
