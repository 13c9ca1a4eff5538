//! Stands in for the outside services, for development and tests: the artifact server, Cloudflare's DNS API with a name server
//! that answers from its records, the bridge in a Velocity proxy, a Technitium DNS server, a Discord channel, a mail relay with
//! its mailbox, and Stripe's billing. Any of them fails on demand.

// Objects of Stripe have more fields than `json!` would take otherwise.
#![recursion_limit = "256"]

mod artifacts;
mod body;
mod calls;
mod cloudflare;
mod discord;
mod dns;
mod faults;
mod http;
mod page;
mod smtp;
mod stripe;
mod technitium;
mod velocity;

use std::{io::IsTerminal as _, net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};
use cloudflare::Zone;
use discord::Discord;
use http::Services;
use smtp::Smtp;
use stripe::Stripe;
use technitium::DnsServer;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use velocity::Proxy;

/// Stands in for the outside services of ZLH, for development and tests
#[derive(Parser)]
#[command(name = "zlh-sandbox", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a folder of artifacts and the services, and break them on request (POST, GET, DELETE /_faults)
    Serve(Serve),
}

#[derive(clap::Args)]
struct Serve {
    /// Loopback address to listen on; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9190")]
    listen: SocketAddr,
    /// Loopback address of the name server; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    dns: SocketAddr,
    /// Folder with `_catalog.json` and the artifacts
    #[arg(long, value_name = "DIR")]
    artifacts: PathBuf,
    /// File that keeps the zone's records
    #[arg(long, value_name = "FILE")]
    zone_file: Option<PathBuf>,
    /// Id of the zone at the stand-in for Cloudflare
    #[arg(long, default_value = "sandbox")]
    zone_id: String,
    /// The token that opens it; no secret, since nothing here is
    #[arg(long, default_value = "sandbox")]
    zone_token: String,
    /// When that token ends, as in `2030-01-31T00:00:00Z`; never unless told
    #[arg(long)]
    zone_token_ends_at: Option<String>,
    /// Records that the zone may have
    #[arg(long)]
    zone_quota: Option<usize>,
    /// Most records that the zone lists in one page, whatever is asked for
    #[arg(long, default_value_t = 5_000)]
    zone_page: usize,
    /// The secret that is shared with the stand-in for the bridge in a Velocity proxy
    #[arg(long, default_value = "sandbox")]
    velocity_secret: String,
    /// Have that bridge list names alone, without addresses
    #[arg(long)]
    velocity_names_only: bool,
    /// Name of the zone at the stand-in for a Technitium DNS server
    #[arg(long, default_value = "example")]
    technitium_zone: String,
    /// The token that opens it
    #[arg(long, default_value = "sandbox")]
    technitium_token: String,
    #[command(flatten)]
    smtp: smtp::Options,
    #[command(flatten)]
    stripe: stripe::Options,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Command::Serve(options) = Args::parse().command;
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).init();
    serve(options).await
}

async fn serve(options: Serve) -> anyhow::Result<()> {
    let Serve { listen, dns, artifacts, .. } = options;
    // Anybody who can reach it can break it.
    for address in [listen, dns, options.smtp.smtp] {
        ensure!(address.ip().is_loopback(), "{address} is not a loopback address");
    }
    ensure!(artifacts.is_dir(), "{} is not a folder", artifacts.display());
    let zone = Zone::open(
        &options.zone_id,
        &options.zone_token,
        options.zone_file.as_deref(),
        options.zone_quota,
        options.zone_page,
    )
    .context("the zone cannot be read")?
    .with_token_until(options.zone_token_ends_at);
    let proxy = Proxy::new(&options.velocity_secret, options.velocity_names_only);
    let dns_server = DnsServer::new(&options.technitium_zone, &options.technitium_token);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (dns, mut names) = dns::start(dns, zone.clone()).await?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let base = format!("http://{}", listener.local_addr()?);
    let stripe =
        Stripe::open(&options.stripe, &format!("{base}/stripe")).context("what Stripe has cannot be read")?;
    stripe.start();
    let smtp = Smtp::open(&options.smtp)?;
    let relay = smtp.start(options.smtp.smtp).await?;
    // In one piece: whoever wants only the first line may be gone by the second.
    let said = format!("listening on {base}\nanswering names on {dns}\ntaking mail on {relay}\n");
    print!("{said}");
    axum::serve(
        listener,
        http::router(
            &artifacts,
            Services { zone, proxy, dns_server, discord: Discord::default(), smtp, stripe: stripe.clone() },
        ),
    )
    .with_graceful_shutdown(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
    .context("the server ended")?;
    stripe.keep();
    names.shutdown_gracefully().await.context("the name server ended")
}
