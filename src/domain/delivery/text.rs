//! What a row says in words: kept beside its delivery, and read when somebody asks.

use serde::{Deserialize, Serialize};

use super::{Identity, Row};

/// What a delivery's first row said in its own words. Holds personal data.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveryText {
    pub identity: Identity,
    /// One text behind the other, in the order of the methods: one allocation holds
    /// them all.
    texts: String,
    /// Where each but the last ends.
    ends: [u32; 3],
}

impl DeliveryText {
    pub fn of(identity: Identity, row: &Row<'_>) -> DeliveryText {
        let parts = [&row.conversion_id, &row.transaction_id, &row.payload, &row.debug_information];
        let mut texts = String::with_capacity(parts.iter().map(|part| part.len()).sum());
        let mut ends = [0; 4];
        for (part, end) in parts.into_iter().zip(&mut ends) {
            texts.push_str(part);
            *end = texts.len() as u32;
        }
        DeliveryText { identity, texts, ends: [ends[0], ends[1], ends[2]] }
    }

    pub fn conversion_id(&self) -> &str {
        self.part(0, self.ends[0])
    }

    pub fn transaction_id(&self) -> &str {
        self.part(self.ends[0], self.ends[1])
    }

    pub fn payload(&self) -> &str {
        self.part(self.ends[1], self.ends[2])
    }

    pub fn debug_information(&self) -> &str {
        self.part(self.ends[2], self.texts.len() as u32)
    }

    /// Empty where what the store gave back makes no sense.
    fn part(&self, from: u32, to: u32) -> &str {
        self.texts.get(from as usize..to as usize).unwrap_or_default()
    }
}

impl std::fmt::Debug for DeliveryText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeliveryText").field("identity", &self.identity).finish_non_exhaustive()
    }
}
