//! The only way to make a route: method, path, scope, handler. The check is wrapped around the handler here, so a
//! route without one cannot be written, and tests can enumerate what there is.

use axum::{
    Router,
    handler::Handler,
    http::Method,
    middleware::from_fn_with_state,
    routing::{MethodFilter, MethodRouter, on},
};
use domain::agent::Scope;

use super::{App, auth};

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
    pub fn route<H, T>(mut self, method: Method, path: &'static str, scope: Scope, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("a standard method");
        self.infos.push(RouteInfo { method, path, scope });
        self.routes.push((path, scope, on(filter, handler)));
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
