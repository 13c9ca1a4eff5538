//! The only way to make a route: method, path, scope, handler. The check is wrapped around the handler here, so a
//! route without one cannot be written, and tests can enumerate what there is. So are the limits: a route has a bound
//! on its time and its body, unless it streams; then it has one on standing still.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request},
    handler::Handler,
    http::{Method, StatusCode},
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
    routing::{MethodFilter, MethodRouter, on},
};
use domain::agent::Scope;
use tokio_stream::StreamExt as _;
use tower_http::timeout::TimeoutLayer;

use super::{App, auth};

/// Largest request body of a route that does not stream, in bytes: a service spec with its configuration files.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Longest request of a route that does not stream: the longest status wait, and some.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// A streamed body may stand still for so long. What leaves is watched at the connection (`server::limit`).
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// One route, as tests enumerate it.
#[derive(Clone, Debug)]
pub struct RouteInfo {
    /// Its method.
    pub method: Method,
    /// Its path; none has parameters.
    pub path: &'static str,
    /// What a token must allow.
    pub scope: Scope,
}

/// Routes before they are bound to an [`App`].
#[derive(Default)]
pub struct RouteTable {
    infos: Vec<RouteInfo>,
    routes: Vec<(&'static str, Scope, MethodRouter<App>)>,
}

impl RouteTable {
    /// Adds a route that answers only to a token with `scope`.
    #[must_use]
    pub fn route<H, T>(self, method: Method, path: &'static str, scope: Scope, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT);
        self.add(method, path, scope, |filter| {
            on(filter, handler).layer::<_, Infallible>(timeout).layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        })
    }

    /// Adds a route whose request or answer may be long: it has all the time it needs while bytes come.
    #[must_use]
    pub fn streaming_route<H, T>(self, method: Method, path: &'static str, scope: Scope, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(method, path, scope, |filter| {
            on(filter, handler)
                .layer::<_, Infallible>(from_fn(unless_idle))
                .layer(DefaultBodyLimit::disable())
        })
    }

    fn add(
        mut self,
        method: Method,
        path: &'static str,
        scope: Scope,
        make: impl FnOnce(MethodFilter) -> MethodRouter<App>,
    ) -> Self {
        let filter = MethodFilter::try_from(method.clone()).expect("a standard method");
        self.infos.push(RouteInfo { method, path, scope });
        self.routes.push((path, scope, make(filter)));
        self
    }

    /// Every route.
    pub fn infos(&self) -> &[RouteInfo] {
        &self.infos
    }

    /// The router; what is not in the table is behind a token as well.
    pub fn into_router(self, app: App) -> Router {
        let mut router = Router::new();
        for (path, scope, handler) in self.routes {
            let guard = from_fn_with_state((app.clone(), scope), auth::require_scope);
            router = router.route(path, handler.route_layer(guard));
        }
        router.fallback(auth::unknown_route).method_not_allowed_fallback(auth::unknown_method).with_state(app)
    }
}

/// The same request, with a body that ends with an error when it stands still.
async fn unless_idle(request: Request, next: Next) -> Response {
    let request = request.map(|body| {
        let frames = body.into_data_stream().timeout(IDLE_TIMEOUT);
        Body::from_stream(frames.map(|frame| match frame {
            Ok(frame) => frame.map_err(std::io::Error::other),
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        }))
    });
    next.run(request).await
}
