//! `{{placeholder}}` in blueprint texts. Single braces are left alone, since JSON and our `{java}` use them.

/// Replaces each placeholder by what `value` says; an unknown one is an error naming it.
pub(super) fn expand(text: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or_else(|| after.to_owned())?;
        out.push_str(before);
        out.push_str(&value(name.trim()).ok_or_else(|| name.trim().to_owned())?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}
