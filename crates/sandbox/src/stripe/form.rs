//! Parameters as Stripe takes them: forms with brackets, `items[0][price]=…`.

use serde_json::{Map, Value};

use super::failure::Failure;

/// The parameters of a call: objects, arrays and texts.
#[derive(Debug, Default)]
pub(super) struct Params(Value);

impl Params {
    /// From a query or a body.
    pub(super) fn parse(form: &[u8]) -> Self {
        let mut root = Value::Object(Map::new());
        for (name, value) in form_urlencoded::parse(form) {
            let (first, rest) = name.split_once('[').unwrap_or((&name, ""));
            let mut path = vec![first];
            path.extend(rest.split('[').filter(|_| !rest.is_empty()).map(|part| part.trim_end_matches(']')));
            put(&mut root, &path, value.into_owned());
        }
        Self(arrays(root))
    }

    /// These and no others; `expand` always.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Failure> {
        let mut given = self.0.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        match given.find(|key| *key != "expand" && !known.contains(key)) {
            Some(unknown) => Err(Failure::unknown(unknown)),
            None => Ok(()),
        }
    }

    /// What is at a path, with dots for brackets.
    pub(super) fn at(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.0, |at, key| match at {
            Value::Array(all) => all.get(key.parse::<usize>().ok()?),
            other => other.get(key),
        })
    }

    /// A text that is not empty.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.at(path)?.as_str().filter(|it| !it.is_empty())
    }

    /// Such a text, or the refusal that asks for it.
    pub(super) fn required(&self, path: &str) -> Result<&str, Failure> {
        self.text(path).ok_or_else(|| Failure::required(&bracketed(path)))
    }

    /// One of these texts.
    pub(super) fn one_of(&self, path: &str, known: &[&'static str]) -> Result<Option<&'static str>, Failure> {
        let Some(given) = self.text(path) else { return Ok(None) };
        let found = known.iter().find(|it| **it == given);
        found.map(|it| Some(*it)).ok_or_else(|| {
            let choices = known.join(", ");
            Failure::invalid(&bracketed(path), &format!("Invalid {path}: must be one of {choices}"))
        })
    }

    /// Whether it is there to be removed: an empty text.
    pub(super) fn is_unset(&self, path: &str) -> bool {
        self.at(path).and_then(Value::as_str) == Some("")
    }

    /// A whole number.
    pub(super) fn int(&self, path: &str) -> Result<Option<i64>, Failure> {
        let Some(given) = self.text(path) else { return Ok(None) };
        let parsed = given.parse().map(Some);
        parsed.map_err(|_| Failure::invalid(&bracketed(path), &format!("Invalid integer: {given}")))
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, path: &str) -> Result<Option<bool>, Failure> {
        match self.text(path) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(Failure::invalid(&bracketed(path), &format!("Invalid boolean: {other}"))),
        }
    }

    /// The texts of an array.
    pub(super) fn texts(&self, path: &str) -> Vec<&str> {
        match self.at(path) {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) if !one.is_empty() => vec![one],
            _ => Vec::new(),
        }
    }

    /// How many elements an array has.
    pub(super) fn count(&self, path: &str) -> usize {
        self.at(path).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// An object of texts, such as metadata; empty if there is none.
    pub(super) fn object(&self, path: &str) -> Value {
        self.at(path).filter(|it| it.is_object()).cloned().unwrap_or_else(|| Value::Object(Map::new()))
    }
}

/// `items.0.price` as callers write it: `items[0][price]`.
fn bracketed(path: &str) -> String {
    let mut parts = path.split('.');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| format!("{name}[{part}]"))
}

fn put(at: &mut Value, path: &[&str], value: String) {
    let Value::Object(fields) = at else { return };
    let [key, rest @ ..] = path else { return };
    // `expand[]` has no number: the next one.
    let key = if key.is_empty() { fields.len().to_string() } else { (*key).to_owned() };
    if rest.is_empty() {
        fields.insert(key, Value::String(value));
    } else {
        let inner = fields.entry(key).or_insert_with(|| Value::Object(Map::new()));
        if !inner.is_object() {
            *inner = Value::Object(Map::new());
        }
        put(inner, rest, value);
    }
}

/// Objects whose keys are all numbers are arrays, in the order of the numbers. Metadata stays what it is.
fn arrays(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let numbers: Option<Vec<usize>> = fields.keys().map(|key| key.parse().ok()).collect();
    let inner = fields.into_iter().map(|(key, value)| {
        let value = if key == "metadata" { value } else { arrays(value) };
        (key, value)
    });
    match numbers.filter(|it| !it.is_empty()) {
        Some(_) => {
            let mut all: Vec<(usize, Value)> =
                inner.filter_map(|(key, value)| Some((key.parse().ok()?, value))).collect();
            all.sort_by_key(|(number, _)| *number);
            Value::Array(all.into_iter().map(|(_, value)| value).collect())
        }
        None => Value::Object(inner.collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn brackets_become_objects_and_arrays() {
        let params = Params::parse(
            b"items[0][price]=p1&items[1][price]=p%202&expand[]=a&expand[]=b.c&metadata[1]=x&metadata[k]=&email=a%2Bb%40c",
        );
        assert_eq!(
            params.0,
            json!({
                "items": [{ "price": "p1" }, { "price": "p 2" }], "expand": ["a", "b.c"],
                "metadata": { "1": "x", "k": "" }, "email": "a+b@c",
            })
        );
        assert_eq!(params.text("items.1.price"), Some("p 2"));
        assert_eq!(params.texts("expand"), ["a", "b.c"]);
        assert!(params.only(&["items", "metadata"]).is_err());
        assert_eq!(bracketed("items.0.price"), "items[0][price]");
    }
}
