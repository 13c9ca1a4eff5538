//! `/`: what a person sees who opens the address in a browser.

use axum::{
    http::header,
    response::{Html, IntoResponse},
};

const PAGE: &str = include_str!("../../assets/home.html");
const STYLE: &str = include_str!("../../assets/style.css");

/// The page.
pub async fn page() -> Html<&'static str> {
    Html(PAGE)
}

/// Its style, and that of the pages about problems.
pub async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")], STYLE)
}
