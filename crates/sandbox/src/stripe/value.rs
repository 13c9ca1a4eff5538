//! Reading and merging JSON objects.

use serde_json::{Map, Value};

/// The text of a field; empty if it has none.
pub(super) fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_default()
}

/// The number of a field; 0 if it has none.
pub(super) fn int(of: &Value, key: &str) -> i64 {
    of[key].as_i64().unwrap_or_default()
}

/// The elements of a field; none if it is no array.
pub(super) fn array<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The elements of a field that is one of Stripe's lists.
pub(super) fn data<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    array(&of[key], "data")
}

/// Without what is ours alone: fields whose names begin with `_`.
pub(super) fn shown(of: &Value) -> Value {
    match of {
        Value::Object(fields) => {
            let seen = fields.iter().filter(|(key, _)| !key.starts_with('_'));
            Value::Object(seen.map(|(key, value)| (key.clone(), shown(value))).collect())
        }
        Value::Array(all) => Value::Array(all.iter().map(shown).collect()),
        other => other.clone(),
    }
}

/// What fields had before that are otherwise now, as `previous_attributes` tells it. `None` if nothing that is shown changed.
pub(super) fn changed(before: &Value, after: &Value) -> Option<Value> {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else {
        return (before != after).then(|| before.clone());
    };
    let mut changes = Map::new();
    for key in old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))) {
        if key.starts_with('_') {
            continue;
        }
        let (was, is) = (old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null));
        let difference = match (was, is) {
            (Value::Object(_), Value::Object(_)) => changed(was, is),
            _ => (was != is).then(|| shown(was)),
        };
        if let Some(difference) = difference {
            changes.insert(key.clone(), difference);
        }
    }
    (!changes.is_empty()).then_some(Value::Object(changes))
}

/// Metadata after a change: what is empty goes, the rest is set; an empty text instead of keys removes all.
pub(super) fn merge_metadata(metadata: &mut Value, changes: Option<&Value>) {
    match changes {
        Some(Value::Object(changes)) => {
            let Some(kept) = metadata.as_object_mut() else { return };
            for (key, value) in changes {
                if value.as_str() == Some("") {
                    kept.remove(key);
                } else {
                    kept.insert(key.clone(), value.clone());
                }
            }
        }
        Some(Value::String(all)) if all.is_empty() => *metadata = Value::Object(Map::new()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_name_what_was_there_and_hide_what_is_ours() {
        let before = json!({ "a": 1, "m": { "x": "1", "y": "2" }, "_own": 1, "same": [1] });
        let after = json!({ "a": 2, "m": { "x": "1", "z": "3" }, "_own": 2, "same": [1] });
        assert_eq!(changed(&before, &after), Some(json!({ "a": 1, "m": { "y": "2", "z": null } })));
        assert_eq!(changed(&json!({ "_own": 1 }), &json!({ "_own": 2 })), None);
    }
}
