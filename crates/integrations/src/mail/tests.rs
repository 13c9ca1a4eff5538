//! Headers, words and blame.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    enforcement::Stage as PaymentStage,
    mail::{Class, Envelope, LinkToken, Mail, OpenPayment, SecurityEvent},
};

use super::{Blame, Mailer, Outgoing, Settings, Stage, Tls, error::classify, message::headers};

fn settings() -> Settings {
    Settings {
        host: "smtp.example.com".into(),
        port: 587,
        tls: Tls::StartTls,
        roots: None,
        username: "zlh".into(),
        password: "secret".into(),
        from: "ZLH <noreply@example.com>".into(),
        reply_to: "Support <help@example.com>".into(),
        public_url: "https://portal.example.com/".into(),
    }
}

fn at() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn message(to: &str, to_name: Option<&str>, mail: Mail, key: &str) -> String {
    let envelope = Envelope { to: to.into(), to_name: to_name.map(Into::into), mail };
    let mailer = Mailer::open(&settings()).unwrap();
    let message = mailer.compose(&Outgoing { envelope: &envelope, key, at: at() }).unwrap();
    assert_eq!(message.envelope().to().len(), 1);
    String::from_utf8(message.formatted()).unwrap()
}

fn payment() -> OpenPayment {
    OpenPayment {
        since: at(),
        next_stage: Some(PaymentStage::Suspended),
        next_at: Some(at() + TimeDelta::days(8)),
    }
}

/// One of each.
fn all() -> Vec<Mail> {
    let token = || LinkToken::try_from("t0ken-_".to_owned()).unwrap();
    let (subject, number) = ("<b>Help</b> & \"more\"".to_owned(), "K7QD".to_owned());
    vec![
        Mail::BillingPaymentFailed(payment()),
        Mail::BillingFinalWarning(payment()),
        Mail::BillingSuspended(payment()),
        Mail::BillingRestored(payment()),
        Mail::Test { asked_at: at() },
        Mail::VerifyEmail { token: token(), expires_at: at() },
        Mail::PasswordReset { token: token(), expires_at: at() },
        Mail::SecurityNotice {
            event: SecurityEvent::PasswordReset,
            at: at(),
            from: Some("192.0.2.7".into()),
            api_keys: vec!["<script>ci</script>".into()],
        },
        Mail::TicketReceived { number: number.clone(), subject: subject.clone() },
        Mail::TicketReply { number, subject, text: "<img src=x onerror=alert(1)>\nSecond line".into() },
        Mail::Maintenance {
            title: "New disks".into(),
            text: "Servers restart once.".into(),
            starts_at: at(),
            ends_at: at(),
            servers: vec!["a\r\nBcc: x@evil.example".into()],
        },
    ]
}

#[test]
fn every_mail_says_the_same_as_text_and_as_html_with_links_of_ours_only_and_no_markup_of_others() {
    for mail in all() {
        let letter = super::words::letter(&mail, "https://portal.example.com");
        let (text, html) = super::render::render(&letter, "https://portal.example.com").unwrap();
        for link in html.split("href=\"").skip(1).chain(text.split("http").skip(1)) {
            let link = link.strip_prefix("http").unwrap_or(link).trim_start_matches("s://");
            assert!(link.starts_with("portal.example.com"), "{}: {link}", mail.template());
        }
        for markup in ["<b>", "<script", "<img", "onerror=alert(1)>"] {
            assert!(!html.contains(markup), "{}: {markup} in {html}", mail.template());
        }
        assert!(
            html.contains("color-scheme") && html.contains(&format!("{}</h1>", letter.heading)),
            "{html}"
        );
        assert!(text.starts_with(&letter.heading) && text.contains(letter.why), "{text}");
        assert!(!text.contains("\n\n\n") && !text.contains("&#"), "{}: {text}", mail.template());
        assert!(!letter.subject.is_empty() && !letter.subject.contains('\n'));
    }
}

#[test]
fn a_billing_mail_says_what_happened_what_was_not_lost_and_what_to_do() {
    let letter = super::words::letter(&Mail::BillingSuspended(payment()), "https://portal.example.com");
    let (text, html) = super::render::render(&letter, "https://portal.example.com").unwrap();
    for part in [&text, &html] {
        for words in
            ["open since 4 October 2024", "Nothing was deleted", "https://portal.example.com/billing"]
        {
            assert!(part.contains(words), "{words}: {part}");
        }
    }
}

#[test]
fn line_breaks_in_names_and_subjects_make_no_header() {
    let subject = "Hi\r\nBcc: a@evil.example\r\n\r\nbody\0 \u{2028}X-Evil: 1";
    let mail = Mail::TicketReply { number: "A\r\nB".into(), subject: subject.into(), text: "x".into() };
    let text = message("bob@example.com", Some("Bob\r\nBcc: x@evil.example\0"), mail, "key");
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    // A line that begins with a space goes on with the header before.
    let names: Vec<_> = head
        .split("\r\n")
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split_once(':').map_or(line, |(name, _)| name))
        .collect();
    let expected = [
        "From",
        "To",
        "Subject",
        "Message-ID",
        "Date",
        "Reply-To",
        "Auto-Submitted",
        "X-Auto-Response-Suppress",
        "MIME-Version",
        "Content-Type",
    ];
    assert_eq!(names, expected, "{head}");
    for bad in ["bob@example.com\r\nBcc: x@evil.example", "bob", "", "a@b@c", "bob@exam ple.com"] {
        let envelope = Envelope { to: bad.into(), to_name: None, mail: Mail::Test { asked_at: at() } };
        let mailer = Mailer::open(&settings()).unwrap();
        let refused = mailer.compose(&Outgoing { envelope: &envelope, key: "k", at: at() }).unwrap_err();
        assert_eq!((refused.stage, refused.blame), (Stage::Message, Blame::Mail), "{bad}");
    }
}

#[test]
fn the_same_key_is_the_same_message_and_no_machine_is_to_answer_it() {
    let sent = |key| message("bob@example.com", None, Mail::Test { asked_at: at() }, key);
    let id = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("Message-ID: ")).unwrap();
        line.trim_end().to_owned()
    };
    assert_eq!(id(&sent("one")), id(&sent("one")));
    assert_ne!(id(&sent("one")), id(&sent("two")));
    assert!(id(&sent("one")).ends_with("@example.com>"), "{}", sent("one"));
    let text = sent("one");
    for header in ["Auto-Submitted: auto-generated\r\n", "X-Auto-Response-Suppress: All\r\n"] {
        assert!(text.contains(header), "{text}");
    }
    assert!(!text.contains("List-Unsubscribe"), "nobody unsubscribes from what is their own");
    let subscribed =
        headers(Class::Subscribed { unsubscribe: "/unsubscribe/x" }, "https://portal.example.com");
    assert!(
        subscribed.contains(&("List-Unsubscribe", "<https://portal.example.com/unsubscribe/x>".to_owned()))
    );
    assert!(subscribed.contains(&("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned())));
}

#[test]
fn what_the_relay_has_against_us_is_not_held_against_the_recipient() {
    let ours = [
        (Stage::Connect, None),
        (Stage::Connect, Some(554)),
        (Stage::Tls, None),
        (Stage::SignIn, Some(535)),
        (Stage::SignIn, Some(454)),
        (Stage::Sender, Some(550)),
        (Stage::Sender, Some(530)),
        (Stage::Sender, Some(451)),
        (Stage::Recipient, Some(530)),
        (Stage::Recipient, Some(421)),
        (Stage::Recipient, None),
        (Stage::Content, None),
    ];
    for (stage, code) in ours {
        assert_eq!(classify(stage, code), Blame::Ours, "{stage:?} {code:?}");
    }
    for (stage, code) in [(Stage::Recipient, 450), (Stage::Recipient, 451), (Stage::Content, 452)] {
        assert_eq!(classify(stage, Some(code)), Blame::Nobody, "{stage:?} {code}");
    }
    for (stage, code) in
        [(Stage::Recipient, 550), (Stage::Recipient, 501), (Stage::Content, 552), (Stage::Content, 554)]
    {
        assert_eq!(classify(stage, Some(code)), Blame::Mail, "{stage:?} {code}");
    }
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let key = |settings: Settings| Mailer::open(&settings).unwrap_err().key;
    assert_eq!(key(Settings { from: "nobody".into(), ..settings() }), "from");
    assert_eq!(key(Settings { reply_to: "no body".into(), ..settings() }), "reply_to");
    assert_eq!(key(Settings { roots: Some(b"no certificate".to_vec()), ..settings() }), "ca_file");
    let route = Mailer::open(&settings()).unwrap().route();
    assert_eq!(route, "smtp.example.com:587 (STARTTLS) as noreply@example.com");
}
