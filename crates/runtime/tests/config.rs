//! Where configuration comes from, what wins, and what a wrong one is told.

use std::{cell::Cell, fs, path::PathBuf};

use runtime::config::{
    Config, DaemonConfig, Invalid, Key, Kind, Section, Source, Sources, assert_described, load,
    load_with_sources, markdown, reference,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct TestConfig {
    greeter: GreeterSection,
}

impl Config for TestConfig {
    fn sections(&self) -> Vec<&dyn Section> {
        vec![&self.greeter]
    }
}

/// A daemon's own section.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GreeterSection {
    greeting: String,
    names: Vec<String>,
    loud: bool,
    #[serde(skip_serializing)]
    key: Option<SecretString>,
}

impl Section for GreeterSection {
    fn name(&self) -> &'static str {
        "greeter"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[
            Key::new("greeting", Kind::Text, "What is said."),
            Key::new("names", Kind::List, "To whom."),
            Key::new("loud", Kind::Boolean, "Whether it is shouted."),
            Key::new("key", Kind::Secret, "Signs the greeting."),
        ];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }
}

struct Place(TempDir, Cell<u32>);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap(), Cell::new(0))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Sources that read `text` as the file, a new one each time.
    fn with_file(&self, text: &str) -> Sources {
        Sources::none("zpack-test")
            .with_file(self.write(&format!("{}/zlh.toml", self.1.replace(self.1.get() + 1)), text))
    }
}

const URL: &str =
    "[redis]\nurl = \"redis://localhost\"\n[database]\nurl = \"postgres://api:hunter2@localhost/zlh\"\n";

fn problems(sources: &Sources) -> String {
    load::<TestConfig>(sources).unwrap_err().to_string()
}

#[test]
fn the_environment_wins_over_the_file_and_a_credential_over_both() {
    let place = Place::new();
    place.write("credentials/database.url", "postgres://credential/zlh\n");
    let mut sources = place
        .with_file(&format!("{URL}max_connections = 3\nacquire_timeout_ms = 700\n"))
        .with_env("ZLH_DATABASE__MAX_CONNECTIONS", "5")
        .with_env("ZLH_DATABASE__URL", "postgres://environment/zlh");
    sources.credentials = Some(place.0.path().join("credentials"));

    let loaded = load_with_sources::<TestConfig>(&sources).unwrap();

    let database = &loaded.config.common.database;
    assert_eq!(database.url.expose_secret(), "postgres://credential/zlh");
    assert_eq!(database.max_connections, 5);
    assert_eq!(database.acquire_timeout_ms, 700);
    assert_eq!(loaded.config.common.process.worker_threads, 2);
    let source = |key| &loaded.values.iter().find(|value| value.key == key).unwrap().source;
    assert!(matches!(source("url"), Source::Credential(_)));
    assert_eq!(source("max_connections"), &Source::Environment("ZLH_DATABASE__MAX_CONNECTIONS".to_owned()));
    assert!(matches!(source("acquire_timeout_ms"), Source::File(_)));
    assert_eq!(source("worker_threads"), &Source::Default);
}

#[test]
fn a_daemons_own_table_overrides_the_shared_section_for_it_alone() {
    let place = Place::new();
    let text = format!(
        "{URL}max_connections = 3\n[health]\nlisten = '127.0.0.1:1'\n\
         [zpack-test.health]\nlisten = '127.0.0.1:2'\n[zpack-other.health]\nlisten = '127.0.0.1:3'\n"
    );

    let config: DaemonConfig<TestConfig> = load(&place.with_file(&text)).unwrap();

    assert_eq!(config.common.health.listen.to_string(), "127.0.0.1:2");
    assert_eq!(config.common.database.max_connections, 3);
}

#[test]
fn a_misspelt_section_below_the_daemons_own_name_is_an_error() {
    let place = Place::new();
    let message = problems(&place.with_file(&format!("{URL}[zpack-test.helth]\nlisten = '127.0.0.1:2'\n")));
    assert!(message.contains("zpack-test.helth: unknown section"), "{message}");
}

#[test]
fn a_default_file_may_be_missing_but_a_named_one_may_not() {
    let place = Place::new();
    let missing = place.0.path().join("absent.toml");
    let mut sources = Sources::none("zpack-test")
        .with_file(&missing)
        .with_env("ZLH_DATABASE__URL", "postgres://localhost/zlh")
        .with_env("ZLH_REDIS__URL", "redis://localhost");

    let message = problems(&sources);
    assert!(message.contains("absent.toml") && message.contains("No such file"), "{message}");

    sources.file.as_mut().unwrap().required = false;
    assert!(load::<TestConfig>(&sources).is_ok());
}

#[test]
fn a_wrong_value_names_its_key_and_its_source() {
    let place = Place::new();
    let file = problems(&place.with_file(&format!("{URL}max_connections = \"many\"\n")));
    assert!(file.contains("database.max_connections"), "{file}");
    assert!(file.contains("zlh.toml"), "{file}");
    assert!(file.contains("many"), "{file}");

    let environment = problems(&place.with_file(URL).with_env("ZLH_PROCESS__WORKER_THREADS", "two"));
    assert!(environment.contains("process.worker_threads"), "{environment}");
    assert!(environment.contains("environment variable ZLH_PROCESS__WORKER_THREADS"), "{environment}");
}

#[test]
fn a_value_that_makes_no_sense_names_its_key_and_its_source() {
    let place = Place::new();
    let message = problems(&place.with_file(URL).with_env("ZLH_HEALTH__LISTEN", "0.0.0.0:9000"));
    assert!(message.contains("health.listen: 0.0.0.0:9000 is not a loopback address"), "{message}");
    assert!(message.contains("ZLH_HEALTH__LISTEN"), "{message}");

    let missing = problems(&Sources::none("zpack-test"));
    assert!(missing.contains("database.url: required"), "{missing}");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let place = Place::new();
    let sources = place
        .with_file(&format!("{URL}max_conections = 3\n"))
        .with_env("ZLH_DATABASE__POOL", "3")
        .with_env("ZLH_LOGGING__FILTER", "zlh=loudly");

    let message = problems(&sources);

    assert!(message.contains("database.max_conections: unknown key"), "{message}");
    assert!(message.contains("database.pool: unknown key"), "{message}");
    assert!(message.contains("logging.filter"), "{message}");
}

#[test]
fn sections_of_other_daemons_are_ignored_and_listed() {
    let place = Place::new();
    let sources =
        place.with_file(&format!("{URL}[billing]\nsecret_thing = 1\n")).with_env("ZLH_BILLING__OTHER", "2");

    let loaded = load_with_sources::<TestConfig>(&sources).unwrap();

    assert_eq!(loaded.ignored, ["billing"]);
}

#[test]
fn text_from_the_environment_is_read_as_the_key_wants_it() {
    let place = Place::new();
    let sources = place
        .with_file(URL)
        .with_env("ZLH_GREETER__GREETING", "12345")
        .with_env("ZLH_GREETER__NAMES", "[\"ann\", \"bob\"]")
        .with_env("ZLH_GREETER__LOUD", "true")
        .with_env("ZLH_GREETER__KEY", "987");

    let config: DaemonConfig<TestConfig> = load(&sources).unwrap();

    assert_eq!(config.own.greeter.greeting, "12345");
    assert_eq!(config.own.greeter.names, ["ann", "bob"]);
    assert!(config.own.greeter.loud);
    assert_eq!(config.own.greeter.key.unwrap().expose_secret(), "987");
}

#[test]
fn a_secret_may_come_from_a_file_that_is_named_instead() {
    let place = Place::new();
    let secret = place.write("url", "postgres://from-a-file/zlh\n");
    let text =
        format!("[redis]\nurl = 'redis://localhost'\n[database]\nurl_file = \"{}\"\n", secret.display());

    let loaded = load_with_sources::<TestConfig>(&place.with_file(&text)).unwrap();

    assert_eq!(loaded.config.common.database.url.expose_secret(), "postgres://from-a-file/zlh");
    let url = loaded.values.iter().find(|value| value.section == "database" && value.key == "url");
    let source = url.unwrap().source.to_string();
    assert!(source.contains("url named by file") && source.contains("zlh.toml"), "{source}");
}

#[test]
fn a_secret_given_twice_in_one_place_is_refused_but_a_later_place_wins() {
    let place = Place::new();
    let secret = place.write("url", "postgres://from-a-file/zlh");
    let twice = format!("{URL}url_file = \"{}\"\n", secret.display());
    let message = problems(&place.with_file(&twice));
    assert!(message.contains("given both directly and as url_file"), "{message}");

    let by_environment = place.with_file(URL).with_env("ZLH_DATABASE__URL_FILE", secret.to_str().unwrap());
    let config: DaemonConfig<TestConfig> = load(&by_environment).unwrap();
    assert_eq!(config.common.database.url.expose_secret(), "postgres://from-a-file/zlh");
}

#[test]
fn a_secret_file_that_cannot_be_read_names_the_key_and_the_file() {
    let place = Place::new();
    let message = problems(&place.with_file("[database]\nurl_file = \"/nonexistent/url\"\n"));
    assert!(message.contains("database.url_file: cannot read /nonexistent/url"), "{message}");
}

#[test]
fn no_secret_is_ever_shown() {
    let place = Place::new();
    let good = load_with_sources::<TestConfig>(&place.with_file(URL).with_env("ZLH_GREETER__KEY", "hunter2"))
        .unwrap();
    let wrong_scheme = place.with_file("[database]\nurl = \"mysql://api:hunter2@localhost/zlh\"\n");
    let wrong_type = place.with_file("[database]\nurl = [\"hunter2\"]\n");
    let wrong_number = place.with_file("[database]\nurl = 31337\n");
    let wrong_nested = place.with_file("[database]\nurl = { a = \"hunter2\" }\n");
    let broken = place.with_file("[database]\nurl = \"postgres://api:hunter2@localhost\n");
    let doubled = place.with_file("[database]\nurl = \"hunter2\"\nurl = \"hunter2\"\n");
    let trailing = place.with_file("[database]\nurl = hunter2\n");

    let mut shown = vec![good.to_string(), format!("{:?}", good.config)];
    for sources in [wrong_scheme, wrong_type, wrong_number, wrong_nested, broken, doubled, trailing] {
        let error = load::<TestConfig>(&sources).unwrap_err();
        shown.extend([error.to_string(), format!("{error:?}")]);
    }

    for text in shown {
        assert!(!text.contains("hunter2") && !text.contains("31337"), "{text}");
    }
    assert!(good.to_string().contains("url = \"[secret]\"  # file"), "{good}");
}

#[test]
fn a_syntax_error_names_the_line() {
    let place = Place::new();
    let message = problems(&place.with_file("[database]\nmax_connections = \n"));
    assert!(message.contains("not valid TOML at line 2"), "{message}");
}

#[test]
fn the_reference_lists_every_key_with_its_default() {
    assert_described::<GreeterSection>();

    let text = markdown("zpack-test", &reference::<TestConfig>());

    assert!(text.contains("| `max_connections` | integer | `8` |"), "{text}");
    assert!(text.contains("| `url` | secret | – |"), "{text}");
    assert!(text.contains("auto \\| json"), "{text}");
}
