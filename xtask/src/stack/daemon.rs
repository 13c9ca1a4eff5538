//! The daemons of a stack: what they are called, how they are started, and where they say that they are ready.

use super::{
    Places,
    config::{
        Ports, SMTP_PASSWORD, SMTP_USERNAME, STRIPE_KEY, STRIPE_WEBHOOK_SECRET, ZONE, smtp_certificate,
    },
};

/// A daemon of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// Stands in for outside services.
    Sandbox,
    /// The HTTP API.
    Api,
    /// The sagas.
    Worker,
    /// What compares what should be with what is.
    Controller,
    /// Level 1 repairs.
    Repair,
    /// Enforcement of payment.
    Billing,
}

impl Daemon {
    /// In the order in which they are started.
    pub const ALL: &'static [Self] =
        &[Self::Sandbox, Self::Api, Self::Worker, Self::Controller, Self::Repair, Self::Billing];

    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "zlh-sandbox",
            Self::Api => "zpack-api",
            Self::Worker => "zpack-provision-worker",
            Self::Controller => "zlh-controller",
            Self::Repair => "zpack-repair-worker",
            Self::Billing => "zpack-billing-worker",
        }
    }

    pub(super) fn arguments(self, places: &Places, ports: &Ports) -> Vec<String> {
        match self {
            Self::Sandbox => vec![
                "serve".into(),
                "--artifacts".into(),
                places.artifacts.to_string_lossy().into_owned(),
                "--listen".into(),
                format!("127.0.0.1:{}", ports.sandbox()),
                "--dns".into(),
                format!("127.0.0.1:{}", ports.names()),
                "--zone-file".into(),
                places.home.join("zone.json").to_string_lossy().into_owned(),
                "--zone-id".into(),
                ZONE.into(),
                "--zone-token".into(),
                ZONE.into(),
                "--smtp".into(),
                format!("127.0.0.1:{}", ports.smtp()),
                "--smtp-username".into(),
                SMTP_USERNAME.into(),
                "--smtp-password".into(),
                SMTP_PASSWORD.into(),
                "--smtp-certificate".into(),
                smtp_certificate(places).to_string_lossy().into_owned(),
                "--stripe-file".into(),
                places.home.join("stripe.json").to_string_lossy().into_owned(),
                "--stripe-key".into(),
                STRIPE_KEY.into(),
                "--stripe-webhook-secret".into(),
                STRIPE_WEBHOOK_SECRET.into(),
                "--stripe-webhook".into(),
                format!("http://127.0.0.1:{}/webhooks/stripe", ports.api()),
            ]
            .into_iter()
            .chain(prices(places))
            .collect(),
            Self::Api | Self::Worker | Self::Controller | Self::Repair | Self::Billing => Vec::new(),
        }
    }
}

/// The plans' prices, for the stand-in for Stripe. A catalogue that cannot be read is told of by the daemons.
fn prices(places: &Places) -> Vec<String> {
    let text = std::fs::read_to_string(places.catalogue.join("plans.toml")).unwrap_or_default();
    let plans = domain::plan::parse_plans(&text).unwrap_or_default();
    let price = |plan: &domain::plan::Plan| {
        let each = plan.stripe_prices.iter();
        each.map(|(currency, id)| format!("{id}={}:{}:{currency}", plan.id, plan.price_minor))
            .collect::<Vec<_>>()
    };
    plans.iter().flat_map(price).flat_map(|price| ["--stripe-price".to_owned(), price]).collect()
}
