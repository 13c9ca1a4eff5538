//! The Portal, as files to serve: built by Node in `web`, embedded with compressed copies that were made at build time.

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// What is served for every page's address: the application finds out itself which page it is.
const INDEX: &str = "/index.html";

/// Where names have a hash of their content in them.
const HASHED: &str = "/assets/";

/// Shown where the application was not built.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>ZLH</title>\
<link rel=\"stylesheet\" href=\"/style.css\"><main><h1>The Portal is not built in</h1>\
<p>This zpack-api was compiled without Node, which makes the web pages. Everything else works: the API is described at \
<a href=\"/api/docs\">/api/docs</a>.</p>\
<p>To have the Portal, run <code>cargo xtask up</code>: it builds the pages, and says what it lacks for that.</p></main></html>";

/// One file.
#[derive(Debug)]
struct File {
    path: &'static str,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

/// How a file's content is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// `br`.
    Brotli,
    /// `gzip`.
    Gzip,
}

impl Encoding {
    /// Its name in `Content-Encoding`, if it needs one.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
        }
    }
}

/// What is to be answered.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its media type.
    pub content_type: &'static str,
    /// How `bytes` are encoded.
    pub encoding: Encoding,
    /// The content.
    pub bytes: &'static [u8],
    /// Whether the address will never have another content, so that it may be kept for ever.
    pub immutable: bool,
}

/// The file at this path (`/assets/…`), in the best encoding that `accept_encoding` names.
pub fn file(path: &str, accept_encoding: &str) -> Option<Asset> {
    let file = FILES.iter().find(|file| file.path == path && path != INDEX)?;
    Some(asset(file, accept_encoding))
}

/// The page for every other address.
pub fn page(accept_encoding: &str) -> Asset {
    let not_built = Asset {
        content_type: "text/html; charset=utf-8",
        encoding: Encoding::Plain,
        bytes: NOT_BUILT.as_bytes(),
        immutable: false,
    };
    FILES.iter().find(|file| file.path == INDEX).map_or(not_built, |file| asset(file, accept_encoding))
}

fn asset(file: &'static File, accept_encoding: &str) -> Asset {
    let accepts = |name: &str| accept_encoding.split(',').any(|part| accepted(part) == Some(name));
    let (encoding, bytes) = match (file.brotli, file.gzip) {
        (Some(bytes), _) if accepts("br") => (Encoding::Brotli, bytes),
        (_, Some(bytes)) if accepts("gzip") => (Encoding::Gzip, bytes),
        _ => (Encoding::Plain, file.plain),
    };
    let immutable = file.path.starts_with(HASHED);
    Asset { content_type: content_type(file.path), encoding, bytes, immutable }
}

/// The name of an encoding that may be used: without a weight, or with one above zero (RFC 9110, 12.5.3).
fn accepted(part: &str) -> Option<&str> {
    let (name, weight) = part.split_once(';').unwrap_or((part, "q=1"));
    let weight: f32 = weight.trim().strip_prefix("q=")?.parse().ok()?;
    (weight > 0.0).then(|| name.trim())
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_encoding_is_chosen_that_is_accepted_and_there() {
        static ALL: File = File { path: "/assets/a.js", plain: b"p", brotli: Some(b"b"), gzip: Some(b"g") };
        static PLAIN: File = File { path: "/icon.svg", plain: b"p", brotli: None, gzip: None };
        let encoding = |file, accept| asset(file, accept).encoding;
        assert_eq!(encoding(&ALL, "gzip, deflate, br, zstd"), Encoding::Brotli);
        assert_eq!(encoding(&ALL, "gzip;q=0.8, br;q=0"), Encoding::Gzip);
        assert_eq!(encoding(&ALL, ""), Encoding::Plain);
        assert_eq!(encoding(&PLAIN, "br"), Encoding::Plain);
        assert!(asset(&ALL, "").immutable && !asset(&PLAIN, "").immutable);
    }

    #[test]
    fn there_is_always_a_page_and_it_has_no_address_of_its_own() {
        assert!(page("br").content_type.starts_with("text/html"));
        assert!(file(INDEX, "br").is_none() && file("/nothing", "br").is_none());
    }
}
