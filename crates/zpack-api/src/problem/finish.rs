//! The last word on errors: every response that is one leaves as problem+json.

use std::any::Any;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, Response, StatusCode, header},
    middleware::Next,
    response::IntoResponse,
};

use super::{Code, Problem};
use crate::request_id::RequestId;

/// Writes the problem that a handler left behind, and makes one of any other error: a wrong method, a body that is too
/// large, an asset that is not there.
pub async fn finish(request: Request, next: Next) -> Response<Body> {
    let request_id = request.extensions().get::<RequestId>().cloned().unwrap_or_default();
    let mut response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = response.extensions_mut().remove::<Problem>();
    let problem = problem.unwrap_or_else(|| of_status(status));
    let (mut parts, _) = response.into_parts();
    let body = serde_json::to_vec(&problem.body(&request_id.0)).unwrap_or_default();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    Response::from_parts(parts, Body::from(body))
}

fn of_status(status: StatusCode) -> Problem {
    let code = Code::of_status(status);
    let mut problem = match code {
        Code::NotFound => Problem::not_found(),
        _ => Problem::new(code, code.title()),
    };
    problem.status = status;
    problem
}

/// What a panic is answered with: nothing of what it said. The panic hook has logged it.
pub fn on_panic(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    tracing::error!("a handler panicked (see the message before); the request was answered with internal");
    Problem::new(Code::Internal, "Nothing that you did. It is in our log under this request's id.")
        .into_response()
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::to_bytes, middleware::from_fn, routing::get};
    use tower::ServiceExt as _;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;
    use crate::http::observe;

    #[tokio::test]
    async fn a_panic_is_answered_without_what_it_said() {
        let app = Router::new()
            .route("/", get(async || -> StatusCode { panic!("the secret is a walnut") }))
            .layer(CatchPanicLayer::custom(on_panic))
            .layer(from_fn(finish))
            .layer(from_fn(observe));
        let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let request_id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("\"code\":\"internal\"") && text.contains(&request_id), "{text}");
        assert!(!text.contains("walnut"), "{text}");
    }
}
