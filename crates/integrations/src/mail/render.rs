//! One layout for all mails, as HTML and as text. The compiler checks both.

use askama::Template;

use super::words::{Letter, Part};

/// What we are called.
const BRAND: &str = "ZLH";

#[derive(Template)]
#[template(path = "mail.html")]
struct Html<'a> {
    brand: &'a str,
    home: &'a str,
    letter: &'a Letter,
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct Text<'a> {
    brand: &'a str,
    home: &'a str,
    letter: &'a Letter,
}

/// The letter as text and as HTML, in which nothing that it quotes is markup.
pub(super) fn render(letter: &Letter, home: &str) -> Result<(String, String), askama::Error> {
    let text = Text { brand: BRAND, home, letter }.render()?;
    Ok((text, Html { brand: BRAND, home, letter }.render()?))
}
