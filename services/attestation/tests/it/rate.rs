//! How many statements a second: `cargo test -p poa-attestation -- --ignored --nocapture rate`.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use crate::fixture::{Cast, Play};
use crate::server::Deployment;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a check"]
async fn rate_of_appends_over_the_api() {
    const CLIENTS: usize = 128;
    const TASKS: usize = 8;
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::new(&deployment);
    let first = Play::new(&deployment, replica.pipe(), &cast);
    // The agent is known before the clock starts.
    first.paid().await;
    let mut clients = JoinSet::new();
    let started = Instant::now();
    for _ in 0..CLIENTS {
        let plays: Vec<Play> = (0..TASKS).map(|_| first.next()).collect();
        clients.spawn(async move {
            for play in plays {
                play.paid().await;
            }
        });
    }
    clients.join_all().await;
    let took = started.elapsed();
    let statements = u32::try_from(CLIENTS * TASKS * 6).unwrap();
    println!("{statements} statements in {took:?}: {:.0}/s", f64::from(statements) / took.as_secs_f64());
    replica.stop().await;
}
