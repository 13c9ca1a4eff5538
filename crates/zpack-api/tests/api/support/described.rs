//! The API's description as a measure: a problem that an operation answers with is one that it names.

use std::sync::LazyLock;

use reqwest::Method;
use serde_json::Value;

use super::client::Answer;

static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(zpack_api::router::description()).unwrap());

/// Fails if the answer is a problem and the operation does not name its code. What is no operation names nothing.
pub fn check(method: &Method, path: &str, answer: &Answer) {
    if answer.header("content-type") != "application/problem+json" {
        return;
    }
    let Some(operation) = operation(method, path) else { return };
    let (status, code) = (answer.status.as_str(), answer.code());
    let named = [status, "default"].iter().any(|response| {
        let codes = operation["responses"][response]["x-problem-codes"].as_array();
        codes.is_some_and(|codes| codes.iter().any(|it| *it == code))
    });
    let id = &operation["operationId"];
    assert!(named, "{id} answered {status} {code}, which its description does not name: {}", answer.text);
}

fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let (_, item) = DESCRIPTION["paths"].as_object()?.iter().find(|(template, _)| fits(template, path))?;
    item.get(method.as_str().to_ascii_lowercase())
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/').collect::<Vec<_>>(), path.split('/').collect::<Vec<_>>());
    let same = |(wanted, part): (&&str, &&str)| wanted.starts_with('{') || wanted == part;
    template.len() == path.len() && template.iter().zip(&path).all(same)
}
