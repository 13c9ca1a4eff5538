//! The stand-in for a mail relay, as a mail client and as a socket see it.

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::MultiPart,
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{Certificate, Tls, TlsParameters},
    },
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::Sandbox;

struct Relay {
    sandbox: Sandbox,
    port: u16,
    certificate: Vec<u8>,
}

impl Relay {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("smtp.pem");
        let sandbox = Sandbox::start_with(&["--smtp-certificate", file.to_str().unwrap()]);
        let line = sandbox.said.iter().find_map(|line| line.strip_prefix("taking mail on 127.0.0.1:"));
        let port = line.unwrap().parse().unwrap();
        Self { sandbox, port, certificate: std::fs::read(file).unwrap() }
    }

    fn client(&self, password: &str, mechanism: Mechanism) -> AsyncSmtpTransport<Tokio1Executor> {
        let root = Certificate::from_pem(&self.certificate).unwrap();
        let tls = TlsParameters::builder("127.0.0.1".into()).add_root_certificate(root).build().unwrap();
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
            .port(self.port)
            .tls(Tls::Required(tls))
            .credentials(Credentials::new("sandbox".into(), password.into()))
            .authentication(vec![mechanism])
            .build()
    }

    async fn switch(&self, changes: Value) {
        let url = format!("{}/smtp/_switches", self.sandbox.base);
        let answer = self.sandbox.client.post(url).json(&changes).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    async fn text(&self, path: &str) -> String {
        self.sandbox.get(path).send().await.unwrap().text().await.unwrap()
    }

    async fn messages(&self) -> Vec<Value> {
        serde_json::from_str(&self.text("/smtp/messages").await).unwrap()
    }
}

fn mail(to: &str, text: &str) -> Message {
    Message::builder()
        .from("ZLH <noreply@zlh.test>".parse().unwrap())
        .to(to.parse().unwrap())
        .subject("Grüße <b>")
        .message_id(Some("<1@zlh.test>".into()))
        .multipart(MultiPart::alternative_plain_html(
            text.to_owned(),
            format!("<p>{text}</p><script>x</script>"),
        ))
        .unwrap()
}

/// The code with which it was refused.
async fn refused(client: &AsyncSmtpTransport<Tokio1Executor>, to: &str) -> u16 {
    client.send(mail(to, "x")).await.unwrap_err().status().unwrap().into()
}

#[tokio::test]
async fn a_mail_is_taken_over_starttls_by_either_login_and_shown_inert() {
    let relay = Relay::start();
    // Plain, so that it is sent as it is: dots at the beginning of lines are doubled on the way, and one alone does not end it.
    let text = "Line one\r\n.\r\n..two\r\nend";
    for mechanism in [Mechanism::Plain, Mechanism::Login] {
        relay.client("sandbox", mechanism).send(mail("ada@example.org", text)).await.unwrap();
    }
    let messages = relay.messages().await;
    assert_eq!(messages.len(), 2);
    let got = &messages[0];
    assert_eq!((&got["subject"], &got["to"]), (&json!("Grüße <b>"), &json!("ada@example.org")));
    assert_eq!(
        (&got["message_id"], &got["envelope_to"]),
        (&json!("1@zlh.test"), &json!(["ada@example.org"]))
    );
    assert_eq!(got["text"].as_str().unwrap().trim_end(), text);
    let page = relay.text("/smtp/messages/1").await;
    assert!(
        page.contains("<iframe sandbox title") && !page.contains("<script>") && !page.contains("<b>"),
        "{page}"
    );
    let html = relay.sandbox.get("/smtp/messages/1/html").send().await.unwrap();
    assert!(
        html.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("sandbox; default-src 'none'")
    );
    assert!(
        relay.text("/").await.contains("/smtp/messages/2") && relay.text("/smtp").await.contains("2 mails")
    );
    relay.sandbox.client.delete(format!("{}/smtp/messages", relay.sandbox.base)).send().await.unwrap();
    assert_eq!(relay.messages().await.len(), 0);
}

#[tokio::test]
async fn it_refuses_as_relays_do() {
    let relay = Relay::start();
    let client = relay.client("sandbox", Mechanism::Plain);
    assert_eq!(refused(&relay.client("wrong", Mechanism::Login), "ada@example.org").await, 535);
    relay.switch(json!({ "refuse_login": true })).await;
    assert_eq!(refused(&client, "ada@example.org").await, 535);
    relay.switch(json!({ "refuse_login": false, "refuse_sender": true })).await;
    assert_eq!(refused(&client, "ada@example.org").await, 550);
    relay.switch(json!({ "refuse_sender": false, "refuse": ["gone@example.org"], "greylist": true })).await;
    assert_eq!(refused(&client, "Gone@example.org").await, 550);
    assert_eq!(refused(&client, "ada@example.org").await, 451);
    client.send(mail("ada@example.org", "again")).await.unwrap();
    assert_eq!(refused(&client, "bob@example.org").await, 451);
    relay.switch(json!({ "greylist": false, "lose_answers": 1 })).await;
    assert!(client.send(mail("eve@example.org", "lost")).await.is_err());
    client.send(mail("eve@example.org", "lost")).await.unwrap();
    assert_eq!(relay.messages().await.len(), 3, "the one whose answer was lost was taken");
    let url = format!("{}/smtp/_switches", relay.sandbox.base);
    let misspelt =
        relay.sandbox.client.post(url).json(&json!({ "refuse_logins": true })).send().await.unwrap();
    assert_eq!(misspelt.status(), 422);
}

#[tokio::test]
async fn nothing_is_said_in_the_open_that_matters_and_commands_may_come_at_once() {
    let relay = Relay::start();
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", relay.port)).await.unwrap());
    let all = "EHLO me\r\nAUTH PLAIN AHNhbmRib3gAc2FuZGJveA==\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<a@b.c>\r\nDATA\r\nFLY\r\nQUIT\r\n";
    stream.write_all(all.as_bytes()).await.unwrap();
    let mut codes = Vec::new();
    let mut line = String::new();
    while stream.read_line(&mut line).await.unwrap() > 0 {
        if !line[3..].starts_with('-') {
            codes.push(line[..3].to_owned());
        }
        assert!(!line.contains("AUTH") || line.starts_with("538"), "{line}");
        line.clear();
    }
    assert_eq!(codes, ["220", "250", "538", "530", "503", "503", "500", "221"]);
}
