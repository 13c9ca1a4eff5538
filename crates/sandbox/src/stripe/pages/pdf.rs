//! A PDF of one page of text.

use std::fmt::Write as _;

/// Lines that fit on the page.
const FIT: usize = 44;

/// A document with these lines, one below the other. Characters that the standard fonts do not have become `?`.
pub(super) fn of(lines: &[String]) -> Vec<u8> {
    let mut text = String::from("BT /F1 11 Tf 16 TL 56 780 Td\n");
    for line in lines.iter().take(FIT) {
        let _ = writeln!(text, "({}) Tj T*", written(line));
    }
    text.push_str("ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{text}\nendstream", text.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
    ];
    let mut file = String::from("%PDF-1.4\n");
    let mut places = Vec::new();
    for (number, object) in (1..).zip(&objects) {
        places.push(file.len());
        let _ = write!(file, "{number} 0 obj\n{object}\nendobj\n");
    }
    let table = file.len();
    let _ = write!(file, "xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for place in places {
        let _ = writeln!(file, "{place:010} 00000 n ");
    }
    let _ =
        write!(file, "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n", objects.len() + 1);
    file.into_bytes()
}

/// As a string of the page's content: what is not plain ASCII as an octal number of Latin-1.
fn written(line: &str) -> String {
    let mut written = String::new();
    for character in line.chars() {
        match u32::from(character) {
            0x28 | 0x29 | 0x5c => written.extend(['\\', character]),
            0x20..0x7f => written.push(character),
            code @ 0xa0..=0xff => {
                let _ = write!(written, "\\{code:03o}");
            }
            _ => written.push('?'),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    #[test]
    fn places_of_objects_are_where_the_objects_are() {
        let file = String::from_utf8(super::of(&["1 × a (b)".to_owned()])).unwrap();
        let table: usize = file.split("startxref\n").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
        assert!(file[table..].starts_with("xref"));
        let places = file[table..].lines().skip(3).take(5);
        for (number, line) in (1..).zip(places) {
            let place: usize = line[..10].parse().unwrap();
            assert!(file[place..].starts_with(&format!("{number} 0 obj")), "{number}");
        }
        assert!(file.contains("(1 \\327 a \\(b\\)) Tj"));
    }
}
