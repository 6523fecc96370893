//! One connection, with a small runtime of its own that runs while somebody waits for an answer, and never in between.

use std::collections::HashMap;
use std::future::Future;
use std::time::Instant;

use seawall_dlq::{DlqError, Durability};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use crate::address::Address;
use crate::fault::{Again, Fault};

/// Statements prepared on one connection.
const STATEMENTS: usize = 128;
/// What a session is told once. A transaction whose client is gone ends by itself; what is acknowledged is on the server's disk.
const SESSION: &str = "SET idle_in_transaction_session_timeout = '60s';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// Parameters of a statement.
pub(crate) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection in use.
pub(crate) struct Connection {
    runtime: Option<Runtime>,
    client: Client,
    statements: HashMap<String, Statement>,
    /// Until when whoever uses it waits.
    by: Instant,
}

impl Connection {
    pub(crate) fn open(address: &Address, by: Instant) -> Result<Self, Fault> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|why| DlqError::failed(format!("store: no connection to PostgreSQL can be made: {why}")))?;
        let connected = bounded(&runtime, by, address.config.connect(address.tls.clone()));
        let (client, work) = match connected {
            Ok(connected) => connected,
            Err(fault) => {
                // A name that is being looked up is not waited for.
                runtime.shutdown_background();
                return Err(unreachable(fault, address));
            }
        };
        // Its errors reach whoever waits for an answer.
        runtime.spawn(async move { work.await.ok() });
        let mut all = Self { runtime: Some(runtime), client, statements: HashMap::new(), by };
        all.batch(SESSION)?;
        Ok(all)
    }

    /// Takes it up again. False if the server has closed it meanwhile.
    pub(crate) fn wake(&mut self, by: Instant) -> bool {
        self.by = by;
        // Lets the runtime see what has come in.
        for _ in 0..2 {
            let turn = async {
                tokio::task::yield_now().await;
                Ok(())
            };
            if self.wait(turn).is_err() {
                return false;
            }
        }
        !self.client.is_closed()
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Fault> {
        match &self.runtime {
            Some(runtime) => bounded(runtime, self.by, work),
            None => Err(DlqError::failed("store: the connection is closed").into()),
        }
    }

    fn prepare(&mut self, sql: &str) -> Result<Statement, Fault> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let statement = self.wait(self.client.prepare(sql))?;
        if self.statements.len() >= STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// All rows of a statement.
    pub(crate) fn query(&mut self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Fault> {
        let statement = self.prepare(sql)?;
        self.wait(self.client.query(&statement, values))
    }

    /// The only row of a statement, if there is one.
    pub(crate) fn row(&mut self, sql: &str, values: Values<'_>) -> Result<Option<Row>, Fault> {
        Ok(self.query(sql, values)?.pop())
    }

    /// How many rows a statement changed.
    pub(crate) fn execute(&mut self, sql: &str, values: Values<'_>) -> Result<u64, Fault> {
        let statement = self.prepare(sql)?;
        self.wait(self.client.execute(&statement, values))
    }

    /// Statements without parameters.
    pub(crate) fn batch(&mut self, sql: &str) -> Result<(), Fault> {
        self.wait(self.client.batch_execute(sql))
    }

    /// Runs work in one transaction, which is as durable as asked for when this returns. `may_repeat` says that doing it once more, after a commit
    /// of which nobody knows whether it took place, does no harm.
    pub(crate) fn transact<T>(
        &mut self,
        durability: Durability,
        may_repeat: bool,
        work: impl Fn(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.batch(match durability {
            Durability::Fsync => "BEGIN",
            Durability::Os => "BEGIN; SET LOCAL synchronous_commit = off",
        })?;
        match work(self) {
            Ok(value) => self.batch("COMMIT").map(|()| value).map_err(|fault| fault.at_commit(may_repeat)),
            Err(mut fault) => {
                // The error that led here says more than one of the rollback could.
                fault.broken = fault.broken || self.batch("ROLLBACK").is_err();
                Err(fault)
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Waits for nobody, and may be called from any thread.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn bounded<T>(runtime: &Runtime, by: Instant, work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Fault> {
    match runtime.block_on(async { tokio::time::timeout_at(by.into(), work).await }) {
        Ok(done) => done.map_err(Fault::from),
        Err(_) => Err(Fault::late()),
    }
}

fn unreachable(fault: Fault, address: &Address) -> Fault {
    let Fault { why, .. } = fault;
    let message = format!("{} (connecting to {})", why.message, address.place());
    // A server that takes no connection now will take none in a moment.
    Fault { why: DlqError { message, ..why }, again: Again::Never, broken: true }
}
