//! Every route, and what each request passes through.

use std::time::Duration;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::header,
    middleware::{from_fn, from_fn_with_state},
    response::IntoResponse as _,
    routing::{get, post},
};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::{OpenApi as _, openapi::OpenApi};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter},
    routes,
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{
    app::App,
    handlers::{
        account, backups, billing, catalogue, console, events, files, instances, notes, operations, operator,
        portal, schedules, traefik,
    },
    http::{
        DOCS_POLICY, Load, PAGE_POLICY, bound_load, guard_against_csrf, observe, security_headers,
        with_policy,
    },
    ide, openapi,
    problem::{self, Code, Problem},
};

/// Largest body, in bytes. The largest one that makes sense is under 2 KiB.
const MAX_BODY: usize = 64 * 1024;

/// Events of Stripe that are taken at once.
const MAX_WEBHOOKS: usize = 64;

/// The API's description as it is checked in, and as a test compares it with the code. To make it again in every
/// process would take longer, and more memory, than all that the process does before its first request.
const DESCRIPTION: &str = include_str!("../../../docs/openapi.json");

/// What routes are collected into.
trait Collect {
    /// With those of one path.
    fn routes(self, routes: UtoipaMethodRouter<App>) -> Self;
}

/// To be described.
impl Collect for OpenApiRouter<App> {
    fn routes(self, routes: UtoipaMethodRouter<App>) -> Self {
        self.routes(routes)
    }
}

/// To be served.
impl Collect for Router<App> {
    fn routes(self, (_, paths, methods): UtoipaMethodRouter<App>) -> Self {
        paths.paths.keys().fold(self, |router, path| router.route(path, methods.clone()))
    }
}

/// The API's routes. A route that is not here does not exist, and one that is here is in the description, from which
/// the authorisation test is made.
fn api<C: Collect>(collected: C) -> C {
    collected
        .routes(routes!(account::register::register))
        .routes(routes!(account::login::login))
        .routes(routes!(account::login::logout))
        .routes(routes!(account::me::me))
        .routes(routes!(account::password::change_password))
        .routes(routes!(account::reset::request))
        .routes(routes!(account::reset::reset))
        .routes(routes!(account::email::request))
        .routes(routes!(account::email::verify))
        .routes(routes!(account::api_keys::list, account::api_keys::create))
        .routes(routes!(account::api_keys::revoke))
        .routes(routes!(account::signed_in::list))
        .routes(routes!(account::signed_in::end))
        .routes(routes!(catalogue::blueprints))
        .routes(routes!(catalogue::plans))
        .routes(routes!(catalogue::hostname))
        .routes(routes!(instances::read::list, instances::create::create))
        .routes(routes!(instances::read::get, instances::change::edit, instances::change::delete))
        .routes(routes!(instances::power::switch))
        .routes(routes!(instances::power::status))
        .routes(routes!(instances::read::load))
        .routes(routes!(instances::read::activity))
        .routes(routes!(instances::ide::create_ticket))
        .routes(routes!(console::open))
        .routes(routes!(console::command))
        .routes(routes!(console::history))
        .routes(routes!(files::read::list))
        .routes(routes!(files::read::stat))
        .routes(routes!(files::read::usage))
        .routes(routes!(files::change::change))
        .routes(routes!(files::uploads::begin))
        .routes(routes!(files::job::start))
        .routes(routes!(files::job::get, files::job::cancel))
        .routes(routes!(backups::read::list, backups::create::create))
        .routes(routes!(backups::read::get, backups::change::edit, backups::change::delete))
        .routes(routes!(backups::work::restore))
        .routes(routes!(backups::work::verify))
        .routes(routes!(operations::list))
        .routes(routes!(operations::get))
        .routes(routes!(operations::cancel))
        .routes(routes!(events::events))
        .routes(routes!(schedules::read::list, schedules::create::create))
        .routes(routes!(schedules::read::get, schedules::change::edit, schedules::change::delete))
        .routes(routes!(schedules::read::runs))
        .routes(routes!(schedules::read::preview))
        .routes(routes!(schedules::run::run))
        .routes(routes!(instances::plan::change, instances::plan::get))
        .routes(routes!(notes::get_own, notes::put_own))
        .routes(routes!(notes::versions_own))
        .routes(routes!(notes::get_of, notes::put_of))
        .routes(routes!(notes::versions_of))
        .routes(routes!(billing::get))
        .routes(routes!(billing::check_out))
        .routes(routes!(billing::open_portal))
        .routes(routes!(operator::billing::list))
        .routes(routes!(operator::billing::get))
        .routes(routes!(operator::billing::extend))
        .routes(routes!(operator::billing::exempt))
        .routes(routes!(operator::billing::grant))
        .routes(routes!(operator::billing::revoke))
        .routes(routes!(operator::billing::act))
        .routes(routes!(operator::holds::place))
        .routes(routes!(operator::holds::lift))
        .routes(routes!(operator::nodes))
        .routes(routes!(operator::operations))
        .routes(routes!(operator::operation))
        .routes(routes!(operator::resume))
        .routes(routes!(operator::drift::controller))
        .routes(routes!(operator::drift::set_mode))
        .routes(routes!(operator::drift::pause))
        .routes(routes!(operator::drift::look))
        .routes(routes!(operator::drift::incidents))
        .routes(routes!(operator::drift::findings))
        .routes(routes!(operator::drift::repairs))
        .routes(routes!(operator::notifications::list))
        .routes(routes!(operator::notifications::channels))
        .routes(routes!(operator::notifications::retry))
        .routes(routes!(operator::notifications::test_mail))
        .routes(routes!(operator::people::instances))
        .routes(routes!(operator::people::list))
        .routes(routes!(operator::people::view))
}

/// Routes with bodies of any length. They have a place of their own instead of the bounds on ordinary requests: a
/// number of transfers, and a deadline for standing still.
fn streams<C: Collect>(collected: C) -> C {
    collected
        .routes(routes!(files::content::get, files::content::put))
        .routes(routes!(files::uploads::get, files::uploads::send, files::uploads::cancel))
        .routes(routes!(backups::download::download))
}

/// The API's description.
pub fn description() -> OpenApi {
    let routes = streams(api(OpenApiRouter::new()));
    let document = OpenApiRouter::with_openapi(openapi::Base::openapi()).nest("/api", routes).into_openapi();
    openapi::complete(document)
}

/// The whole service. Layers: the last one added sees a request first.
pub fn router(app: App) -> Router {
    let api = Router::new().nest("/api", api(Router::new()));
    let streams = Router::new().nest("/api", streams(Router::new()));
    let settings = &app.settings;
    let places = (settings.max_requests as usize, settings.max_requests_per_address as usize);
    let longest = Duration::from_millis(settings.request_timeout_ms);
    let load = Load::new(places, app.trusted_proxies.clone(), longest, MAX_BODY);
    // Of its own, so that neither customers nor Stripe wait for the other.
    let intake = (MAX_WEBHOOKS, MAX_WEBHOOKS);
    let intake = Load::new(intake, app.trusted_proxies.clone(), longest, billing::MAX_WEBHOOK_BODY);
    let webhooks = Router::new()
        .route("/webhooks/stripe", post(billing::receive))
        .layer(DefaultBodyLimit::max(billing::MAX_WEBHOOK_BODY))
        .layer(from_fn_with_state(intake, bound_load));
    let csrf = from_fn_with_state(app.auth.clone(), guard_against_csrf);
    api.merge(pages())
        .merge(docs())
        .route("/edge/traefik", get(traefik::routes))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(csrf.clone())
        .layer(from_fn_with_state(load, bound_load))
        .merge(streams.layer(csrf))
        .merge(webhooks)
        .fallback(portal::serve)
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "The Allow header says what can be done here.")
        })
        .layer(CatchPanicLayer::custom(problem::on_panic))
        .layer(from_fn(problem::finish))
        .layer(from_fn_with_state(app.public_url.clone(), security_headers))
        .layer(from_fn(observe))
        // Before everything else: what is a workspace's passes none of it.
        .layer(from_fn_with_state(app.ide.clone(), ide::by_host))
        .with_state(app)
}

fn pages() -> Router<App> {
    Router::new()
        .route("/problems/{code}", get(problem::page))
        .route("/style.css", get(portal::style))
        .layer(from_fn_with_state(PAGE_POLICY, with_policy))
}

fn docs() -> Router<App> {
    let description = async || ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION).into_response();
    let browsable: Router<App> = SwaggerUi::new("/api/docs").config(Config::from("/api/openapi.json")).into();
    Router::new()
        .route("/api/openapi.json", get(description))
        .merge(browsable.layer(from_fn_with_state(DOCS_POLICY, with_policy)))
}
