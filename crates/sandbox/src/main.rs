//! Stands in for the outside services, for development and tests. So far: the artifact server, with faults on demand.

mod artifacts;
mod body;
mod faults;

use std::{io::IsTerminal as _, net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// Stands in for the outside services of ZLH, for development and tests
#[derive(Parser)]
#[command(name = "zlh-sandbox", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a folder of artifacts, and break it on request (POST, GET, DELETE /_faults)
    Serve {
        /// Loopback address to listen on; port 0 takes a free one, which is printed
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9190")]
        listen: SocketAddr,
        /// Folder with `_catalog.json` and the artifacts
        #[arg(long, value_name = "DIR")]
        artifacts: PathBuf,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Command::Serve { listen, artifacts } = Args::parse().command;
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).init();
    serve(listen, artifacts).await
}

async fn serve(listen: SocketAddr, folder: PathBuf) -> anyhow::Result<()> {
    // Anybody who can reach it can break it.
    ensure!(listen.ip().is_loopback(), "{listen} is not a loopback address");
    ensure!(folder.is_dir(), "{} is not a folder", folder.display());
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, artifacts::router(&folder))
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await
        .context("the server ended")
}
