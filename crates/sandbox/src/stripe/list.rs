//! Pages of lists: newest first, with cursors that are ids.

use serde_json::{Value, json};

use super::{
    api::Call,
    failure::{Failure, Outcome},
    value::{int, text},
};

/// Parameters of every list.
const KNOWN: &[&str] = &["limit", "starting_after", "ending_before", "created"];

/// Parameters of a list that has these besides.
pub(super) fn with<'a>(own: &[&'a str]) -> Vec<&'a str> {
    [own, KNOWN].concat()
}

/// The page of these objects, newest first, that a call asks for.
pub(super) fn page<'a>(call: &Call, objects: impl Iterator<Item = &'a Value>) -> Outcome {
    let created = range(call)?;
    let objects: Vec<&Value> =
        objects.filter(|it| created.iter().all(|holds| holds(int(it, "created")))).collect();
    let limit = call.params.int("limit")?.unwrap_or(10);
    let limit = usize::try_from(limit)
        .ok()
        .filter(|limit| (1..=100).contains(limit))
        .ok_or_else(|| Failure::invalid("limit", "This value must be between 1 and 100 (inclusive)."))?;
    let place = |param: &'static str| {
        let Some(id) = call.params.text(param) else { return Ok(None) };
        let at = objects.iter().position(|it| text(it, "id") == id);
        at.map(Some).ok_or_else(|| Failure::missing_in(param, "object", id))
    };
    let (after, before) = (place("starting_after")?, place("ending_before")?);
    let (data, has_more) = match (after, before) {
        (Some(_), Some(_)) => {
            let message = "You cannot use both starting_after and ending_before.";
            return Err(Failure::invalid("ending_before", message));
        }
        (_, Some(end)) => (&objects[end.saturating_sub(limit)..end], end > limit),
        (after, None) => {
            let start = after.map_or(0, |at| at + 1);
            let end = (start + limit).min(objects.len());
            (&objects[start..end], end < objects.len())
        }
    };
    Ok(json!({ "object": "list", "url": call.path, "has_more": has_more, "data": data }))
}

type Holds = Box<dyn Fn(i64) -> bool>;

fn range(call: &Call) -> Result<Vec<Holds>, Failure> {
    let mut holds: Vec<Holds> = Vec::new();
    if let Some(exact) = call.params.int("created")? {
        holds.push(Box::new(move |at| at == exact));
    }
    for (name, compare) in [
        ("created.gt", i64::gt as fn(&i64, &i64) -> bool),
        ("created.gte", i64::ge),
        ("created.lt", i64::lt),
        ("created.lte", i64::le),
    ] {
        if let Some(bound) = call.params.int(name)? {
            holds.push(Box::new(move |at| compare(&at, &bound)));
        }
    }
    Ok(holds)
}

/// A whole list inside another object.
pub(super) fn whole(url: &str, data: &[Value]) -> Value {
    json!({ "object": "list", "data": data, "has_more": false, "url": url })
}

/// The same, with how many there are: so are items and lines shown.
pub(super) fn counted(url: &str, data: &[Value]) -> Value {
    let mut list = whole(url, data);
    list["total_count"] = data.len().into();
    list
}
