//! Statements of agents in the log, from attestation.

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use poa_chassis::client::PeerChannel;
use poa_proto::attestation::v1::attestation_internal_service_client::AttestationInternalServiceClient;
use poa_proto::attestation::v1::watch_attestation_events_response::Update;
use poa_proto::attestation::v1::{
    AttestationEvent, WatchAttestationEventsRequest, WatchAttestationEventsResponse,
};
use tonic::Status;

use super::{context, time};
use crate::domain::{Change, Source, Statement};
use crate::worker::follower::{Feed, News, Told};

/// Attestation's stream.
#[derive(Debug)]
pub(crate) struct StatementFeed {
    client: AttestationInternalServiceClient<PeerChannel>,
}

// === impl StatementFeed ===

impl StatementFeed {
    pub(crate) fn new(channel: PeerChannel) -> Self {
        Self { client: AttestationInternalServiceClient::new(channel) }
    }
}

#[tonic::async_trait]
impl Feed for StatementFeed {
    const SOURCE: Source = Source::Attestation;

    async fn open(&mut self, cursor: String) -> Result<BoxStream<'static, Result<Told, Status>>, Status> {
        let request = WatchAttestationEventsRequest { cursor };
        let stream =
            context("attestation-events").scope(self.client.watch_attestation_events(request)).await?;
        Ok(stream.into_inner().map(|message| message.map(told)).boxed())
    }
}

fn told(message: WatchAttestationEventsResponse) -> Told {
    let news = match &message.update {
        Some(Update::Event(event)) => read(event).unwrap_or_else(News::Malformed),
        Some(Update::Heartbeat(_)) | None => News::Heartbeat,
    };
    Told { cursor: message.cursor, news }
}

fn read(event: &AttestationEvent) -> Result<News, &'static str> {
    let happened = time(event.event_time.as_ref()).ok_or("no time")?;
    let logged = event.attestation.as_ref().ok_or("no attestation")?;
    // The platform's own count for nobody.
    if event.agent_id.is_empty() {
        return Ok(News::Other(happened));
    }
    let agent = event.agent_id.parse().map_err(|_| "a malformed agent_id")?;
    if logged.log_index < 0 {
        return Err("a negative log_index");
    }
    Ok(News::Change(Change::Statement(Statement { log_index: logged.log_index, agent }), happened))
}
