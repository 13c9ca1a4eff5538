//! The sections that several daemons share.

mod agent;
mod artifacts;
mod catalogue;
mod database;
mod discord;
mod edge;
mod health;
mod logging;
mod mail;
mod objects;
mod process;
mod redis;
mod stripe;

pub use agent::AgentSection;
pub use artifacts::ArtifactsSection;
pub use catalogue::CatalogueSection;
pub use database::DatabaseSection;
pub use discord::DiscordSection;
pub use edge::EdgeSection;
pub use health::HealthSection;
pub use logging::{LogFormat, LoggingSection};
pub use mail::{MailSection, MailTls};
pub use objects::{ObjectsKind, ObjectsSection};
pub use process::ProcessSection;
pub use redis::RedisSection;
pub use stripe::StripeSection;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::assert_described;

    #[test]
    fn every_shared_section_is_described_as_it_is() {
        assert_described::<AgentSection>();
        assert_described::<ArtifactsSection>();
        assert_described::<DatabaseSection>();
        assert_described::<DiscordSection>();
        assert_described::<EdgeSection>();
        assert_described::<RedisSection>();
        assert_described::<LoggingSection>();
        assert_described::<HealthSection>();
        assert_described::<MailSection>();
        assert_described::<ObjectsSection>();
        assert_described::<ProcessSection>();
        assert_described::<CatalogueSection>();
        assert_described::<StripeSection>();
    }
}
