//! A place in a stream, as other services keep it: the cursor of their streams.

use std::fmt;

use poa_common::TypedId as _;
use uuid::Uuid;

use super::Event;
use crate::{Database, Error};

/// The place after an event, or the beginning. It names the event and not its position alone: a stream that was restored
/// from a backup gives the positions that it lost to other events, and a reader that has seen the lost ones must not go on
/// as if it had seen those. As text at most 52 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    position: i64,
    /// None at the beginning alone.
    id: Option<Uuid>,
}

// === impl Place ===

impl Place {
    /// Before the first event.
    pub const BEGINNING: Self = Self { position: 0, id: None };

    /// After the event `id`, which is the `position`th of its stream.
    pub fn after(position: i64, id: Uuid) -> Self {
        Self { position, id: Some(id) }
    }

    /// After a published event.
    pub fn of(event: &Event) -> Self {
        Self::after(event.position, event.id.uuid())
    }

    /// The place that a text names; the empty one is the beginning. `None` for any but the one spelling.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text == "0" {
            return Some(Self::BEGINNING);
        }
        let (position, id) = text.split_once('.')?;
        let place = Self::after(position.parse().ok()?, Uuid::try_parse(id).ok()?);
        (place.position > 0 && place.to_string() == text).then_some(place)
    }

    /// How many events of the stream lie before it.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// The id of the event before it; none at the beginning.
    pub fn id(&self) -> Option<Uuid> {
        self.id
    }

    /// Whether it is one of this database's stream.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn is_in(&self, db: &Database) -> Result<bool, Error> {
        let Some(id) = self.id else { return Ok(true) };
        let there: Option<Uuid> = sqlx::query_scalar("SELECT id FROM events_published WHERE position = $1")
            .bind(self.position)
            .fetch_optional(db.read())
            .await?;
        Ok(there == Some(id))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => write!(f, "{}.{}", self.position, id.simple()),
            None => f.write_str("0"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_in_its_one_spelling() {
        assert_eq!(Place::parse(""), Some(Place::BEGINNING));
        assert_eq!(Place::parse("0"), Some(Place::BEGINNING));
        let last = Place::after(i64::MAX, Uuid::from_u128(0xab));
        let text = last.to_string();
        assert_eq!(text, "9223372036854775807.000000000000000000000000000000ab");
        assert_eq!(Place::parse(&text), Some(last));
        let id = Uuid::from_u128(0xab).simple().to_string();
        for position in ["-1", "+1", "01", " 1", "0", "", "x", "9223372036854775808"] {
            assert_eq!(Place::parse(&format!("{position}.{id}")), None, "{position}");
        }
        let hyphens = Uuid::from_u128(0xab).to_string();
        for text in ["1", "1.", "x", ".", &format!("1.{}", id.to_uppercase()), &format!("1.{hyphens}")] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
