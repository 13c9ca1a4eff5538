//! One connection: commands in, answers out, until it is left.

use std::{future::pending, io, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

use super::{Smtp, mailbox::Received, switches::Hang};

/// Longest command, in bytes: a login may be long (RFC 4954, section 4).
const MAX_COMMAND: u64 = 12_288;
/// Longest line of a message that is read at once.
const MAX_PIECE: u64 = 64 << 10;
/// Largest message, in bytes.
const MAX_MESSAGE: usize = 10 << 20;
/// Most recipients of one message (RFC 5321, section 4.5.3.1.8).
const MAX_RECIPIENTS: usize = 100;
/// Errors until the connection is ended.
const MAX_ERRORS: u32 = 20;
/// Longest wait for a line.
const IDLE: Duration = Duration::from_mins(2);

/// Serves a connection, in the open and then over TLS.
pub(super) async fn serve(stream: TcpStream, smtp: &Smtp) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if smtp.state().switches.hang == Some(Hang::Connect) {
        return pending().await;
    }
    let mut open = Session::new(smtp, BufReader::new(stream), false);
    open.say("220 zlh-sandbox ESMTP").await?;
    if open.run().await? == Ended::ToTls {
        // What was sent before the handshake was sent by anybody: it goes with the buffer.
        let stream = open.stream.into_inner();
        let stream = timeout(IDLE, smtp.0.acceptor.accept(stream)).await??;
        Session::new(smtp, BufReader::new(stream), true).run().await?;
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Ended {
    Left,
    ToTls,
}

struct Session<'a, S> {
    smtp: &'a Smtp,
    stream: BufReader<S>,
    secured: bool,
    signed_in: bool,
    from: Option<String>,
    to: Vec<String>,
    errors: u32,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Session<'a, S> {
    fn new(smtp: &'a Smtp, stream: BufReader<S>, secured: bool) -> Self {
        Self { smtp, stream, secured, signed_in: false, from: None, to: Vec::new(), errors: 0 }
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        if line.starts_with(['4', '5']) {
            self.errors += 1;
        }
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.stream.flush().await
    }

    /// The next line without its end; `None` when there is none any more, or it is too long.
    async fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(MAX_COMMAND);
        let read = timeout(IDLE, bounded.read_until(b'\n', &mut line)).await??;
        if read == 0 || line.pop() != Some(b'\n') {
            return Ok(None);
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }

    async fn run(&mut self) -> io::Result<Ended> {
        while let Some(line) = self.line().await? {
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => self.hello().await?,
                "HELO" => {
                    self.forget();
                    self.say("250 zlh-sandbox").await?;
                }
                "STARTTLS" if self.secured => self.say("503 5.5.1 This is TLS already").await?,
                "STARTTLS" => {
                    self.say("220 2.0.0 Ready to start TLS").await?;
                    return Ok(Ended::ToTls);
                }
                "AUTH" => self.sign_in(rest).await?,
                "MAIL" => self.sender(rest).await?,
                "RCPT" => self.recipient(rest).await?,
                "DATA" => {
                    if !self.message().await? {
                        return Ok(Ended::Left);
                    }
                }
                "RSET" => {
                    self.forget();
                    self.say("250 2.0.0 Forgotten").await?;
                }
                "NOOP" => self.say("250 2.0.0 Yes").await?,
                "VRFY" => self.say("252 2.5.2 Send a mail and see").await?,
                "HELP" => self.say("214 2.0.0 https://www.rfc-editor.org/rfc/rfc5321").await?,
                "QUIT" => {
                    self.say("221 2.0.0 Bye").await?;
                    return Ok(Ended::Left);
                }
                _ => self.say("500 5.5.2 There is no such command").await?,
            }
            if self.errors > MAX_ERRORS {
                self.say("421 4.7.0 Too many errors").await?;
                break;
            }
        }
        Ok(Ended::Left)
    }

    fn forget(&mut self) {
        self.from = None;
        self.to.clear();
    }

    async fn hello(&mut self) -> io::Result<()> {
        self.forget();
        let offered = if self.secured { "AUTH PLAIN LOGIN" } else { "STARTTLS" };
        let lines = format!(
            "250-zlh-sandbox\r\n250-PIPELINING\r\n250-SIZE {MAX_MESSAGE}\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n\
             250-{offered}\r\n250 HELP"
        );
        self.say(&lines).await
    }

    /// `AUTH` (RFC 4954) by PLAIN (RFC 4616) or LOGIN, with what is known to be said first, or without.
    async fn sign_in(&mut self, rest: &str) -> io::Result<()> {
        if !self.secured {
            return self.say("538 5.7.11 Encryption is required to sign in: say STARTTLS first").await;
        }
        if self.signed_in {
            return self.say("503 5.5.1 You are signed in already").await;
        }
        let (way, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let initial = Some(initial.to_owned()).filter(|it| !it.is_empty());
        let said = match way.to_ascii_uppercase().as_str() {
            "PLAIN" => {
                let answer = match initial {
                    Some(initial) => Some(initial),
                    None => self.ask("").await?,
                };
                answer.and_then(|it| decoded(&it)).and_then(|it| {
                    let mut parts = it.split('\0').skip(1).map(str::to_owned);
                    Some((parts.next()?, parts.next()?))
                })
            }
            "LOGIN" => {
                let username = match initial {
                    Some(initial) => Some(initial),
                    None => self.ask("Username:").await?,
                };
                let password = self.ask("Password:").await?;
                username.and_then(|it| decoded(&it)).zip(password.and_then(|it| decoded(&it)))
            }
            _ => return self.say("504 5.5.4 There are PLAIN and LOGIN").await,
        };
        let Some((username, password)) = said else {
            return self.say("501 5.5.2 That is not how one signs in").await;
        };
        let known = username == self.smtp.0.username && password == self.smtp.0.password;
        if !known || self.smtp.state().switches.refuse_login {
            return self.say("535 5.7.8 Username and password are not accepted").await;
        }
        self.signed_in = true;
        self.say("235 2.7.0 Signed in").await
    }

    async fn ask(&mut self, what: &str) -> io::Result<Option<String>> {
        self.say(&format!("334 {}", BASE64_STANDARD.encode(what))).await?;
        self.line().await
    }

    async fn sender(&mut self, rest: &str) -> io::Result<()> {
        if !self.secured {
            return self.say("530 5.7.0 Say STARTTLS first").await;
        }
        if !self.signed_in {
            return self.say("530 5.7.0 Sign in first").await;
        }
        if self.from.is_some() {
            return self.say("503 5.5.1 There is a sender already").await;
        }
        let Some((address, parameters)) = path(rest, "FROM:") else {
            return self.say("501 5.5.4 Say MAIL FROM:<address>").await;
        };
        for parameter in parameters.split_whitespace() {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name.to_ascii_uppercase().as_str() {
                "SIZE" if value.parse::<usize>().is_ok_and(|size| size > MAX_MESSAGE) => {
                    return self.say("552 5.3.4 It is too large").await;
                }
                "SIZE" | "BODY" | "AUTH" => {}
                _ => return self.say("555 5.5.4 There is no such parameter").await,
            }
        }
        if self.smtp.state().switches.refuse_sender {
            return self.say("550 5.7.1 You may not send as this sender").await;
        }
        self.from = Some(address);
        self.say("250 2.1.0 Sender taken").await
    }

    async fn recipient(&mut self, rest: &str) -> io::Result<()> {
        let Some(from) = self.from.clone() else {
            return self.say("503 5.5.1 Say MAIL FROM first").await;
        };
        let Some((address, _)) = path(rest, "TO:").filter(|(address, _)| address.contains('@')) else {
            return self.say("501 5.1.3 Say RCPT TO:<address>").await;
        };
        if self.to.len() >= MAX_RECIPIENTS {
            return self.say("452 4.5.3 Too many recipients").await;
        }
        let answer = {
            let mut state = self.smtp.state();
            let pair = (from.to_lowercase(), address.to_lowercase());
            if state.switches.refuses(&address) {
                "550 5.1.1 There is no such mailbox"
            } else if state.switches.greylist && state.greylisted.insert(pair) {
                "451 4.7.1 Greylisted: come again later"
            } else {
                "250 2.1.5 Recipient taken"
            }
        };
        if answer.starts_with("250") {
            self.to.push(address);
        }
        self.say(answer).await
    }

    /// Takes a message, whatever it is made of. `false` when the connection is to end.
    async fn message(&mut self) -> io::Result<bool> {
        if self.from.is_none() || self.to.is_empty() {
            self.say("503 5.5.1 Say MAIL FROM and RCPT TO first").await?;
            return Ok(true);
        }
        self.say("354 End with a line that is a dot").await?;
        let Some(raw) = self.read_message().await? else { return Ok(false) };
        if raw.len() > MAX_MESSAGE {
            self.forget();
            self.say("552 5.3.4 It is too large").await?;
            return Ok(true);
        }
        let hang = self.smtp.state().switches.hang == Some(Hang::Data);
        if hang {
            return pending().await;
        }
        let (id, lost) = {
            let mut state = self.smtp.state();
            let received = Received { from: self.from.take().unwrap_or_default(), to: self.to.clone(), raw };
            let lost = state.switches.lose_answers > 0;
            state.switches.lose_answers = state.switches.lose_answers.saturating_sub(1);
            (state.mailbox.keep(received), lost)
        };
        self.forget();
        if lost {
            return Ok(false);
        }
        self.say(&format!("250 2.0.0 Taken as {id}")).await?;
        Ok(true)
    }

    /// A message up to the line that is a dot, without the dots that were put before others (RFC 5321, section 4.5.2). Of one
    /// that is too large only so much is kept that it shows. `None` if it never ends.
    async fn read_message(&mut self) -> io::Result<Option<Vec<u8>>> {
        let (mut raw, mut read, mut at_start) = (Vec::new(), 0, true);
        loop {
            let mut piece = Vec::new();
            let mut bounded = (&mut self.stream).take(MAX_PIECE);
            let count = timeout(IDLE, bounded.read_until(b'\n', &mut piece)).await??;
            read += count;
            if count == 0 || read > 4 * MAX_MESSAGE {
                return Ok(None);
            }
            if at_start && (piece == b".\r\n" || piece == b".\n") {
                return Ok(Some(raw));
            }
            let kept = if at_start && piece[0] == b'.' { &piece[1..] } else { &piece[..] };
            if raw.len() <= MAX_MESSAGE {
                raw.extend_from_slice(kept);
            }
            at_start = piece.ends_with(b"\n");
        }
    }
}

fn decoded(text: &str) -> Option<String> {
    String::from_utf8(BASE64_STANDARD.decode(text.trim()).ok()?).ok()
}

/// The address in `FROM:<address> parameters`, and the parameters.
fn path(rest: &str, word: &str) -> Option<(String, String)> {
    let (said, rest) = rest.split_at_checked(word.len())?;
    let rest = rest.trim_start().strip_prefix('<').filter(|_| said.eq_ignore_ascii_case(word))?;
    let (address, parameters) = rest.split_once('>')?;
    let fits = address.len() <= 320 && !address.chars().any(|c| c.is_whitespace() || c.is_control());
    fits.then(|| (address.to_owned(), parameters.to_owned()))
}
