//! The commands besides serving.

use anyhow::Context as _;
use clap::Subcommand;
use domain::ids::OperationId;
use runtime::daemon::Resources;
use store::{
    audit::By,
    queue::{QueueName, notify_now},
};

use crate::config::WorkerConfig;

/// What the worker can do besides serving.
#[derive(Subcommand)]
pub enum Command {
    /// Let a stuck operation go on, once what was in its way is mended
    Resume {
        /// The operation's id
        operation: OperationId,
        /// What was mended, for the audit log
        #[arg(long, default_value = "")]
        reason: String,
    },
}

/// Runs a command.
pub async fn run(command: Command, resources: Resources, _: WorkerConfig) -> anyhow::Result<()> {
    let Command::Resume { operation, reason } = command;
    let (db, queue) = (resources.database()?, resources.queue(QueueName::Provisioning)?);
    let by = By::itself("operator:command-line");
    let resumed = store::operations::resume_stuck(&db, operation, by, &reason).await?;
    let dispatch = resumed.with_context(|| format!("operation {operation} is not stuck"))?;
    notify_now(&db, &queue, dispatch).await;
    println!("operation {operation} goes on");
    Ok(())
}
