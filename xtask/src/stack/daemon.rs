//! The daemons of a stack: what they are called, how they are started, and where they say that they are ready.

use super::{
    Places,
    config::{Ports, ZONE},
};

/// A daemon of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// Stands in for outside services; here, the artifact source.
    Sandbox,
    /// The HTTP API.
    Api,
    /// The sagas.
    Worker,
    /// What compares what should be with what is.
    Controller,
    /// Level 1 repairs.
    Repair,
}

impl Daemon {
    /// In the order in which they are started.
    pub const ALL: &'static [Self] =
        &[Self::Sandbox, Self::Api, Self::Worker, Self::Controller, Self::Repair];

    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "zlh-sandbox",
            Self::Api => "zpack-api",
            Self::Worker => "zpack-provision-worker",
            Self::Controller => "zlh-controller",
            Self::Repair => "zpack-repair-worker",
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
            ],
            Self::Api | Self::Worker | Self::Controller | Self::Repair => Vec::new(),
        }
    }
}
