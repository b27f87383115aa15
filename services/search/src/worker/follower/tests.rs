//! What a follower makes of what it hears, with an index that takes it or does not.

use std::sync::Arc;

use poa_chassis::Readiness;
use uuid::Uuid;

use super::*;
use crate::domain::{AgentHit, AgentQuery, Page, SuggestQuery, Suggestion, TaskQuery};
use crate::index::{Dropped, Health};

/// An index that is whole, and takes events or does not.
#[derive(Debug)]
struct Shelf {
    is_full: bool,
}

/// A service that is never asked.
struct Nobody;

#[tonic::async_trait]
impl Index for Shelf {
    async fn inspect(&self) -> Result<Health, Error> {
        Ok(Health::Whole(Uuid::nil()))
    }

    async fn cursor(&self, _: Source) -> Result<String, Error> {
        Ok(String::new())
    }

    async fn apply(&self, _: Batch) -> Result<Applied, Error> {
        if self.is_full { Err(Error::Failed("no space is left".into())) } else { Ok(Applied::Done) }
    }

    async fn wipe(&self, _: Option<Generation>) -> Result<Option<Dropped>, Error> {
        Ok(None)
    }

    async fn agents(&self, _: AgentQuery) -> Result<Page<AgentHit>, Error> {
        Err(Error::Place)
    }

    async fn tasks(&self, _: TaskQuery) -> Result<Page<Vec<u8>>, Error> {
        Err(Error::Place)
    }

    async fn suggest(&self, _: SuggestQuery) -> Result<Vec<Suggestion>, Error> {
        Ok(Vec::new())
    }
}

#[tonic::async_trait]
impl Feed for Nobody {
    const SOURCE: Source = Source::Auth;

    async fn open(&mut self, _: String) -> Result<BoxStream<'static, Result<Told, Status>>, Status> {
        Err(Status::unavailable("nobody is there"))
    }
}

fn follower(is_full: bool) -> Follower<Shelf, Nobody> {
    let (env, _clock) = poa_testkit::env(5);
    let latch = Readiness::default().latch("index");
    let (keeper, _keeping) = Keeper::new(Arc::new(Shelf { is_full }), Duration::from_secs(1), latch);
    Follower::new(&env, keeper, Nobody)
}

fn told(cursor: &str, news: News) -> Told {
    Told { cursor: cursor.to_owned(), news }
}

#[tokio::test]
async fn what_was_not_kept_was_not_heard() {
    let mut heard = false;
    let mut full = follower(true);
    let event = || Ok(told("1.a", News::Malformed("a test's")));
    let taken = full.take(Uuid::nil(), vec![event()], &mut heard).await;
    assert!(matches!(taken, Err(Ended::Index(Error::Failed(_)))), "{taken:?}");
    let mut whole = follower(false);
    let cut = || Err(Status::unavailable("cut off"));
    let taken = whole.take(Uuid::nil(), vec![cut()], &mut heard).await;
    assert!(matches!(taken, Err(Ended::Status(..))), "{taken:?}");
    assert!(!heard);
    // What came before the stream was cut off is kept.
    let taken = whole.take(Uuid::nil(), vec![event(), cut()], &mut heard).await;
    assert!(matches!(taken, Err(Ended::Status(..))), "{taken:?}");
    assert!(heard);
}

/// Whether a follower that was behind takes itself for as new as the service after these messages, each with how many
/// seconds ago it happened; none for a heartbeat.
async fn is_caught_up(messages: &[(&str, Option<u64>)]) -> bool {
    let mut follower = follower(false);
    let behind = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
    follower.caught_up = behind;
    for (cursor, age) in messages {
        let news =
            age.map_or(News::Heartbeat, |age| News::Other(follower.env.now() - Duration::from_secs(age)));
        follower.apply(Uuid::nil(), vec![told(cursor, news)]).await.unwrap();
    }
    follower.caught_up > behind
}

#[tokio::test]
async fn it_has_caught_up_when_the_service_says_so_and_not_before() {
    assert!(is_caught_up(&[("0", None)]).await, "there is no event at all");
    assert!(!is_caught_up(&[("1.a", Some(3_600))]).await);
    assert!(is_caught_up(&[("1.a", Some(3_600)), ("1.a", None)]).await);
    assert!(!is_caught_up(&[("1.a", Some(3_600)), ("2.b", None)]).await, "something has not reached us");
    assert!(is_caught_up(&[("1.a", Some(0))]).await);
}
