//! Fetches a file from an https address that a customer names: a plugin, a world, a mod pack. The address decides nothing about
//! what is reached: only public ones are, also behind a name, and behind each redirect.

use std::{
    error::Error,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use domain::agent::FilePath;
use reqwest::{
    Client, ClientBuilder, Response, StatusCode, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header,
    redirect::Policy,
};
use tokio::{runtime::Handle, time::timeout};

use super::Work;
use crate::files::{
    Conditions, Files,
    error::{FileError, Result, Why},
    write::Upload,
};

/// Longest time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence of a source.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest fetch.
const DEADLINE: Duration = Duration::from_hours(2);
/// Redirects followed.
const REDIRECTS: usize = 5;
/// Longest file, whatever room there is.
const LONGEST: u64 = 64 << 30;
/// Bytes that are written at once.
const PIECE: usize = 256 * 1024;

/// Which addresses are reached.
pub(super) type Reach = fn(IpAddr) -> bool;

/// Fetches `url` into a new file. Blocking.
pub(super) fn fetch(files: &Files, url: &str, to: &str, work: &Work) -> Result<()> {
    let builder = Client::builder().https_only(true);
    fetch_by(files, url, to, work, builder, is_public)
}

fn fetch_by(
    files: &Files,
    url: &str,
    to: &str,
    work: &Work,
    builder: ClientBuilder,
    reach: Reach,
) -> Result<()> {
    let (url, path) = (parse(url, reach)?, FilePath::parse(to)?);
    let client = builder
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(IDLE_TIMEOUT)
        // Each step is looked at before it is taken.
        .redirect(Policy::none())
        // A proxy would resolve names for us, and reach what it likes.
        .no_proxy()
        .dns_resolver(Arc::new(Checked(reach)))
        .user_agent("zlh-agent")
        .build()
        .map_err(|error| failed(&error))?;
    let fetched = async {
        tokio::select! {
            fetched = timeout(DEADLINE, all(files, &client, url, &path, work, reach)) => {
                fetched.unwrap_or_else(|_| Err(refused("it takes longer than two hours")))
            }
            () = work.cancelled.cancelled() => Err(Why::Cancelled.into()),
        }
    };
    // On this thread, which may block; the network is the runtime's.
    Handle::current().block_on(fetched)
}

async fn all(
    files: &Files,
    client: &Client,
    mut url: Url,
    path: &FilePath,
    work: &Work,
    reach: Reach,
) -> Result<()> {
    for _ in 0..=REDIRECTS {
        let response = client.get(url.clone()).send().await.map_err(|error| failed(&error))?;
        match response.status() {
            StatusCode::OK => return save(files, response, path, work).await,
            status if status.is_redirection() => {
                let next = response.headers().get(header::LOCATION).and_then(|next| next.to_str().ok());
                let next = next.and_then(|next| url.join(next).ok());
                url = parse(next.ok_or_else(|| refused("it redirects to nowhere"))?.as_str(), reach)?;
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(refused("there is no such file")),
            status => return Err(refused(&format!("it answers {status}"))),
        }
    }
    Err(refused("it redirects too often"))
}

async fn save(files: &Files, mut response: Response, path: &FilePath, work: &Work) -> Result<()> {
    let length = response.content_length();
    if length.is_some_and(|length| length > LONGEST) {
        return Err(refused("the file is longer than 64 GiB"));
    }
    let conditions = Conditions { matches: None, absent: true };
    let begun = Upload::begin(files, path, length, true, conditions, None);
    let mut upload = begun.map_err(|error| unless_it_is_there(error).at(path))?;
    let (mut batch, mut size) = (Vec::new(), 0);
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
        size += chunk.len();
        batch.push(chunk);
        if size >= PIECE {
            upload.write(&std::mem::take(&mut batch))?;
            work.handled_bytes(size as u64)?;
            size = 0;
        }
        if upload.written() > LONGEST {
            return Err(refused("the file is longer than 64 GiB"));
        }
    }
    upload.write(&batch)?;
    work.handled_bytes(size as u64)?;
    if length.is_some_and(|length| length != upload.written()) {
        return Err(refused("its source broke off"));
    }
    upload.finish().map_err(|error| unless_it_is_there(error).at(path))?;
    work.handled_entry()
}

/// What stands in the way has a name of its own, rather than that of a condition that nobody has set.
fn unless_it_is_there(error: FileError) -> FileError {
    match error.why {
        Why::PreconditionFailed => Why::AlreadyExists.into(),
        _ => error,
    }
}

/// An address that may be asked.
fn parse(url: &str, reach: Reach) -> Result<Url> {
    let invalid = |why: &str| FileError::from(Why::Invalid(format!("the address cannot be used: {why}")));
    let url = Url::parse(url).map_err(|error| invalid(&error.to_string()))?;
    if url.scheme() != "https" {
        return Err(invalid("it has to begin with https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("it must not carry a user name or a password"));
    }
    let host = url.host_str().ok_or_else(|| invalid("it names no host"))?;
    // One that is written out, in whatever way, is not asked of the resolver.
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    if literal.is_some_and(|address| !reach(address)) {
        return Err(Private.into());
    }
    Ok(url)
}

/// Names stand for what can be reached of what they stand for.
struct Checked(Reach);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public = found.filter(|address| reach(address.ip())).collect::<Vec<SocketAddr>>();
            if public.is_empty() {
                return Err(Private.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// The address is not for everybody.
#[derive(Debug)]
struct Private;

impl fmt::Display for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address is a private one; only public ones are reached")
    }
}

impl Error for Private {}

impl From<Private> for FileError {
    fn from(private: Private) -> Self {
        Why::Invalid(private.to_string()).into()
    }
}

/// Whether an address is everybody's (IANA's special-purpose address registries, RFC 6890 and its updates). Those that carry
/// an IPv4 address within are what that one is.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || address.is_broadcast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || (a == 198 && (18..20).contains(&b));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // Mapped, translated by the well-known prefix, and 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => inner(high, low),
        // Teredo and other protocols' own, and documentation.
        [0x2001, 0..0x200 | 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => false,
        // What is handed out to be reached from everywhere.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

fn refused(why: &str) -> FileError {
    Why::Invalid(format!("the file could not be fetched: {why}")).into()
}

/// In a few words and without the address, which may hold a secret.
fn failed(error: &reqwest::Error) -> FileError {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        if let Some(private) = source.downcast_ref::<Private>() {
            return Why::Invalid(private.to_string()).into();
        }
        innermost = source;
    }
    if error.is_timeout() {
        return refused("its source did not answer in time");
    }
    let what = if error.is_connect() { "its source could not be reached" } else { "its source broke off" };
    // Without a source the innermost error is reqwest's own, which names the address.
    if error.source().is_some() { refused(&format!("{what} ({innermost})")) } else { refused(what) }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, path::Path};

    use axum::{
        Router,
        http::HeaderMap,
        response::{IntoResponse, Redirect},
        routing::get,
    };
    use axum_server::tls_rustls::RustlsConfig;
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tokio::{sync::watch, task::spawn_blocking};

    use super::*;

    #[test]
    fn only_what_is_everybodys_is_public() {
        let public =
            ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00::1", "64:ff9b::101:101", "::ffff:1.1.1.1"];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn an_address_is_https_and_carries_no_secret() {
        for bad in [
            "http://example.com/x",
            "ftp://example.com",
            "file:///etc/passwd",
            "https://a:b@example.com",
            "https://",
            "example.com",
            "https://127.0.0.1/x",
            "https://[::1]/",
            "https://0x7f000001/",
            "https://2130706433/",
        ] {
            assert!(parse(bad, is_public).is_err(), "{bad}");
        }
        assert!(parse("https://example.com:8443/a%20b?c=d", is_public).is_ok());
    }

    struct Source {
        port: u16,
        certificate: reqwest::Certificate,
    }

    /// An https server on this machine.
    async fn source() -> Source {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let certificate = reqwest::Certificate::from_pem(cert.pem().as_bytes()).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls =
            RustlsConfig::from_pem(cert.pem().into(), signing_key.serialize_pem().into()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = Router::new()
            .route("/plugin.jar", get(async || vec![7_u8; 600_000]))
            .route(
                "/short",
                get(async || {
                    let mut headers = HeaderMap::new();
                    headers.insert(header::CONTENT_LENGTH, 10.into());
                    (
                        headers,
                        axum::body::Body::from_stream(tokio_stream::iter([
                            Ok("abc"),
                            Err(std::io::Error::other("cut")),
                        ])),
                    )
                        .into_response()
                }),
            )
            .route("/moved", get(async || Redirect::temporary("/plugin.jar")))
            .route("/loop", get(async || Redirect::temporary("/loop")))
            .route("/inside", get(async || Redirect::temporary("http://127.0.0.1/x")))
            .route("/inside-tls", get(async || Redirect::temporary("https://10.0.0.1/x")));
        tokio::spawn(axum_server::from_tcp_rustls(listener, tls).unwrap().serve(app.into_make_service()));
        Source { port, certificate }
    }

    async fn run(source: &Source, files: &Files, path: &str, to: &str, reach: Reach) -> Result<()> {
        let builder = Client::builder().add_root_certificate(source.certificate.clone());
        let (files, to) = (files.clone(), to.to_owned());
        let url = format!("https://localhost:{}{path}", source.port);
        spawn_blocking(move || fetch_by(&files, &url, &to, &Work::default(), builder, reach)).await.unwrap()
    }

    fn here_only(address: IpAddr) -> bool {
        address.is_loopback()
    }

    fn there(folder: &Path) -> Vec<String> {
        let names =
            std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with('.')).collect()
    }

    // With one thread, as the agent has it.
    #[tokio::test]
    async fn a_file_is_fetched_through_a_redirect_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path().to_owned(), watch::channel(None).1);
        let source = source().await;
        run(&source, &files, "/moved", "plugins/p.jar", here_only).await.unwrap();
        assert_eq!(std::fs::read(folder.path().join("plugins/p.jar")).unwrap(), vec![7; 600_000]);
        let again = run(&source, &files, "/plugin.jar", "plugins/p.jar", here_only).await.unwrap_err();
        assert_eq!(again.class().0, "already_exists");
    }

    #[tokio::test]
    async fn what_is_refused_or_breaks_off_leaves_nothing_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path().to_owned(), watch::channel(None).1);
        let source = source().await;
        for (path, reach, words) in [
            ("/plugin.jar", is_public as Reach, "private"),
            ("/inside", here_only, "https://"),
            ("/inside-tls", here_only, "private"),
            ("/loop", here_only, "too often"),
            ("/nothing", here_only, "no such file"),
            ("/short", here_only, "broke off"),
        ] {
            let error = run(&source, &files, path, "x", reach).await.unwrap_err().to_string();
            assert!(error.contains(words), "{path}: {error}");
            assert_eq!(there(folder.path()), [""; 0], "{path}");
        }
    }
}
