//! Text from outside: what people may call things, and what strangers' programs say.

use std::borrow::Cow;

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, Emoji, EmojiModifier, ExtendedPictographic, GeneralCategory},
};
use serde::{Deserialize, Deserializer};

/// Longest text of a stranger's program that is kept, in characters: some lines for a person to read.
pub const MAX_FOREIGN_CHARS: usize = 2_000;

const JOINER: char = '\u{200D}';
const AS_EMOJI: char = '\u{FE0F}';
const KEYCAP: char = '\u{20E3}';
const FLAG: char = '\u{1F3F4}';
const TAGS: std::ops::RangeInclusive<char> = '\u{E0020}'..='\u{E007E}';
const END_OF_TAGS: char = '\u{E007F}';

/// Whether a text has something that nobody sees: control and format characters, line ends, and everything that Unicode
/// calls ignorable by default (fillers, selectors, tags). With them one text would pass for another. What belongs to an
/// emoji is seen.
pub fn has_hidden(text: &str) -> bool {
    let chars = text.chars().collect::<Vec<_>>();
    (0..chars.len()).any(|at| is_hidden(chars[at]) && !belongs_to_emoji(&chars, at))
}

fn is_hidden(c: char) -> bool {
    use GeneralCategory as G;
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    matches!(category, G::Control | G::Format | G::LineSeparator | G::ParagraphSeparator | G::Unassigned)
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// Whether the character at this place makes one emoji with its neighbours (Unicode Technical Standard 51).
fn belongs_to_emoji(chars: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| chars[before]);
    let after = chars.get(at + 1).copied();
    match chars[at] {
        // A digit is an emoji only as a keycap.
        AS_EMOJI => before.is_some_and(|c| is_emoji(c) && (!c.is_ascii() || after == Some(KEYCAP))),
        JOINER => {
            let joins = |c: char| is_pictographic(c) || is_modifier(c) || c == AS_EMOJI;
            before.is_some_and(joins) && after.is_some_and(is_pictographic)
        }
        c if TAGS.contains(&c) || c == END_OF_TAGS => is_in_flag(chars, at),
        _ => false,
    }
}

/// A region's flag: a black flag, tags, and their end.
fn is_in_flag(chars: &[char], at: usize) -> bool {
    let begins = chars[..at].iter().copied().rev().find(|c| !TAGS.contains(c)) == Some(FLAG);
    let ends = chars[at..].iter().copied().find(|c| !TAGS.contains(c)) == Some(END_OF_TAGS);
    begins && ends
}

fn is_emoji(c: char) -> bool {
    CodePointSetData::new::<Emoji>().contains(c)
}

fn is_modifier(c: char) -> bool {
    CodePointSetData::new::<EmojiModifier>().contains(c)
}

fn is_pictographic(c: char) -> bool {
    CodePointSetData::new::<ExtendedPictographic>().contains(c)
}

/// What a stranger's program said, as it may be stored and shown: line ends and tabs stay, everything else that nobody
/// sees becomes U+FFFD (PostgreSQL cannot store U+0000, and an escape sequence would reach a terminal), and what is
/// beyond [`MAX_FOREIGN_CHARS`] is cut, with an ellipsis for it.
pub fn foreign(text: &str) -> String {
    let plain = |c: char| match c {
        '\n' | '\t' | JOINER | AS_EMOJI => c,
        c if is_hidden(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    let mut cleaned = text.chars().take(MAX_FOREIGN_CHARS).map(plain).collect::<String>();
    if text.chars().nth(MAX_FOREIGN_CHARS).is_some() {
        cleaned.pop();
        cleaned.push('…');
    }
    cleaned
}

/// Most lines of a stranger's output that are kept at once.
const MAX_FOREIGN_LINES: usize = 20;

/// For serde: text as [`foreign`] leaves it, wherever it is read.
pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(foreign(&Cow::<str>::deserialize(from)?))
}

/// As [`read`], of text that may be missing.
pub(crate) fn read_option<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(|text| foreign(&text)))
}

/// As [`read`], of the last lines of an output.
pub(crate) fn read_lines<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let lines = Vec::<String>::deserialize(from)?;
    let last = lines.len().saturating_sub(MAX_FOREIGN_LINES);
    Ok(lines[last..].iter().map(|line| foreign(line)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_found_wherever_it_hides() {
        for text in [
            "a\0",
            "a\nb",
            "ad\u{AD}min",
            "ad\u{34F}min",
            "ad\u{3164}min",
            "ad\u{115F}min",
            "admin\u{E0041}",
            "ad\u{FE0F}min",
            "ad\u{180E}min",
            "ad\u{17B4}min",
            "ad\u{206A}min",
            "a\u{FFF9}b",
            "ad\u{200B}min",
            "ad\u{202E}min",
            "a\u{61C}",
            "a\u{2028}b",
            "1\u{FE0F}a",
            "a\u{200D}b",
            "\u{1F468}\u{200D}a",
            "\u{1F3F4}\u{E0067}",
            "\u{1F3F4}\u{E0067}x\u{E007F}",
            "\u{E0067}\u{E007F}",
            "a\u{FFA0}b",
        ] {
            assert!(has_hidden(text), "{text:?}");
        }
    }

    #[test]
    fn letters_of_all_scripts_and_emoji_are_seen() {
        for text in [
            "Mum's server",
            "Überwelt №1",
            "日本",
            "हिन्दी",
            "עברית",
            "❤\u{FE0F}",
            "1\u{FE0F}\u{20E3}",
            // A family, a farmer of some skin, a rainbow flag, and the flag of Scotland.
            "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}",
            "\u{1F9D1}\u{1F3FD}\u{200D}\u{1F33E}",
            "\u{1F3F3}\u{FE0F}\u{200D}\u{1F308}",
            "\u{1F3F4}\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}",
        ] {
            assert!(!has_hidden(text), "{text:?}");
        }
    }

    #[test]
    fn a_strangers_text_is_cleaned_and_cut() {
        assert_eq!(
            foreign("by\0e\n\u{1b}[31mred\ttab \u{202E}x"),
            "by\u{FFFD}e\n\u{FFFD}[31mred\ttab \u{FFFD}x"
        );
        assert_eq!(foreign("ok ❤\u{FE0F}"), "ok ❤\u{FE0F}");
        let long = foreign(&"ä".repeat(5_000));
        assert!(long.chars().count() == MAX_FOREIGN_CHARS && long.ends_with('…'), "{}", long.len());
    }

    #[test]
    fn what_an_agent_says_is_cleaned_and_bounded_where_it_is_read() {
        let long = "x".repeat(1 << 20);
        let said = serde_json::json!({
            "code": "crashed_at_start",
            "message": format!("bad\0\u{1b}[2J{long}"),
            "last_output": vec![long; 50],
        });
        let fault: crate::agent::AgentFault = serde_json::from_value(said).unwrap();
        assert!(fault.message.starts_with("bad\u{fffd}\u{fffd}[2Jx"));
        let lengths = fault.last_output.iter().map(|line| line.chars().count());
        assert_eq!(fault.message.chars().count(), MAX_FOREIGN_CHARS);
        assert_eq!(lengths.collect::<Vec<_>>(), [MAX_FOREIGN_CHARS; MAX_FOREIGN_LINES]);
    }
}
