//! `/problems/{code}`: where a problem's `type` leads.

use axum::{extract::Path, response::Html};

use super::{Code, Problem};

/// What a code means.
pub async fn page(Path(code): Path<String>) -> Result<Html<String>, Problem> {
    let code = Code::ALL.iter().find(|known| known.as_str() == code).ok_or_else(Problem::not_found)?;
    // Both texts are constants of ours: nothing to escape.
    let (code, title, status) = (code.as_str(), code.title(), code.status());
    Ok(Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <link rel=\"stylesheet\" href=\"/style.css\"><main><h1>{title}</h1>\
         <p>Code <code>{code}</code>, status {status}.</p>\
         <p><a href=\"/api/docs/\">The API's description</a></p></main></html>"
    )))
}
