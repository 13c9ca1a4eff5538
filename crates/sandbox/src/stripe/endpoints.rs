//! Webhook endpoints.

use serde_json::{Value, json};

use super::{
    api::Call,
    failure::{Failure, Outcome},
    ids, list,
    store::Books,
    value::{merge_metadata, shown},
};

/// Endpoints at most.
const MOST: usize = 16;

pub(super) fn create(books: &mut Books, call: &Call) -> Outcome {
    let params = &call.params;
    params.only(&["url", "enabled_events", "api_version", "description", "metadata", "connect"])?;
    let url = checked(params.required("url")?)?;
    let events = params.texts("enabled_events");
    if events.is_empty() {
        return Err(Failure::required("enabled_events"));
    }
    if books.all("webhook_endpoint").count() >= MOST {
        let message = "You have reached the maximum of 16 test webhook endpoints.";
        return Err(Failure::refused("resource_limit_exceeded", message));
    }
    let secret = format!("whsec_{}", ids::letters(32));
    let mut endpoint = blank(books, &ids::new("we"), url, &secret);
    endpoint["enabled_events"] = json!(events);
    endpoint["api_version"] = params.text("api_version").into();
    endpoint["description"] = params.text("description").into();
    merge_metadata(&mut endpoint["metadata"], params.at("metadata"));
    books.insert(endpoint.clone());
    // The secret is shown now, and never again.
    let mut answer = shown(&endpoint);
    answer["secret"] = secret.into();
    Ok(answer)
}

fn checked(url: &str) -> Result<&str, Failure> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(url);
    }
    Err(Failure::invalid("url", "Invalid URL: An explicit scheme (such as https) must be provided."))
}

/// Makes the endpoint that the sandbox was started with, or gives it what it has now.
pub(super) fn ensure(books: &mut Books, url: &str, secret: &str) {
    let mut endpoint = blank(books, "we_sandbox", url, secret);
    if let Some(there) = books.find("we_sandbox") {
        endpoint["created"] = there["created"].clone();
        books.set("we_sandbox", |it| *it = endpoint);
    } else {
        books.insert(endpoint);
    }
}

fn blank(books: &Books, id: &str, url: &str, secret: &str) -> Value {
    json!({
        "id": id, "object": "webhook_endpoint", "api_version": null, "application": null, "created": books.now,
        "description": null, "enabled_events": ["*"], "livemode": false, "metadata": {}, "status": "enabled",
        "url": url, "_secret": secret,
    })
}

pub(super) fn change(books: &mut Books, call: &Call, id: &str) -> Outcome {
    let params = &call.params;
    params.only(&["url", "enabled_events", "disabled", "description", "metadata"])?;
    books.get("webhook_endpoint", id)?;
    let disabled = params.flag("disabled")?;
    let url = params.text("url").map(checked).transpose()?;
    let events = params.texts("enabled_events");
    books.set(id, |it| {
        if let Some(disabled) = disabled {
            it["status"] = if disabled { "disabled" } else { "enabled" }.into();
            it["_good_at"] = Value::Null;
        }
        if let Some(url) = url {
            it["url"] = url.into();
        }
        if !events.is_empty() {
            it["enabled_events"] = json!(events);
        }
        if let Some(description) = params.text("description") {
            it["description"] = description.into();
        }
        merge_metadata(&mut it["metadata"], params.at("metadata"));
    });
    books.get("webhook_endpoint", id)
}

pub(super) fn delete(books: &mut Books, id: &str) -> Outcome {
    books.get("webhook_endpoint", id)?;
    books.remove(id);
    Ok(json!({ "id": id, "object": "webhook_endpoint", "deleted": true }))
}

pub(super) fn list(books: &Books, call: &Call) -> Outcome {
    call.params.only(&list::with(&[]))?;
    list::page(call, books.all("webhook_endpoint").rev())
}
