//! What rows have in common that differ in nothing that a rule can tell.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use siphasher::sip::SipHasher13;

use crate::domain::delivery::Row;
use crate::domain::reason::Reason;
use crate::domain::rules::Label;
use crate::domain::suspect;
use crate::domain::time::Timestamp;

/// What a rule can tell of a row's labels and texts, and one row that has them.
pub struct Shape {
    pub row: Row<'static>,
    pub host: String,
    pub reason: Option<Reason>,
    pub is_suspect: bool,
}

impl Shape {
    pub fn new(row: &Row<'_>, host: String, reason: Option<Reason>, is_suspect: bool) -> Shape {
        Shape { row: owned(row), host, reason, is_suspect }
    }

    pub fn hash(&self) -> u64 {
        hash(&self.row, &self.host, self.reason, self.is_suspect)
    }

    /// Whether a rule tells nothing of a row with these labels that it does not tell of this one.
    pub fn is_of(
        &self,
        row: &Row<'_>,
        host: &str,
        reason: Option<Reason>,
        is_suspect: bool,
    ) -> bool {
        self.host == host
            && self.reason == reason
            && self.is_suspect == is_suspect
            && has_same_labels(&self.row, row)
    }

    /// Of several names the newest is kept.
    pub fn rename(&mut self, row: &Row<'_>) {
        fn names<'n>(row: &'n Row<'_>) -> (bool, Timestamp, &'n str, &'n str) {
            let has_names = !(row.offer_name.is_empty() && row.affiliate_name.is_empty());
            (has_names, row.timestamp, &row.offer_name, &row.affiliate_name)
        }
        if names(row) <= names(&self.row) {
            return;
        }
        self.row.timestamp = row.timestamp;
        for (known, new) in [
            (&mut self.row.offer_name, &row.offer_name),
            (&mut self.row.affiliate_name, &row.affiliate_name),
        ] {
            if known != new {
                *known = Cow::Owned(new.clone().into_owned());
            }
        }
    }

    pub fn fits(&self, labels: &[(Label, String)]) -> bool {
        let row = &self.row;
        labels.iter().all(|(label, value)| match label {
            Label::Offer => row.offer.to_string() == *value,
            Label::Affiliate => row.affiliate.to_string() == *value,
            Label::Postback => row.postback.to_string() == *value,
            Label::Event => row.event.to_string() == *value,
            Label::Host => self.host == *value,
            Label::DeliveryMethod => row.delivery_method == *value,
            Label::PostbackLevel => row.postback_level == *value,
            Label::PostbackType => row.postback_type == *value,
            Label::Reason => self.reason.unwrap_or(Reason::Unseen).to_string() == *value,
            Label::Source => true,
        })
    }
}

/// Whether the payload holds an unreplaced macro. That of a row that is fine must not
/// stand for it.
pub fn is_suspect(payload: &str) -> bool {
    let may_be = payload.bytes().any(|byte| matches!(byte, b'{' | b'%'));
    may_be && suspect::is_suspect(payload, &[])
}

/// Of what makes rows one shape.
pub fn hash(row: &Row<'_>, host: &str, reason: Option<Reason>, is_suspect: bool) -> u64 {
    let mut hasher = SipHasher13::new();
    (row.offer, row.affiliate, row.postback, row.event).hash(&mut hasher);
    (host, reason, is_suspect, &*row.delivery_method).hash(&mut hasher);
    (&*row.postback_level, &*row.postback_type).hash(&mut hasher);
    hasher.finish()
}

fn has_same_labels(one: &Row<'_>, other: &Row<'_>) -> bool {
    (one.offer, one.affiliate, one.postback, one.event)
        == (other.offer, other.affiliate, other.postback, other.event)
        && one.delivery_method == other.delivery_method
        && one.postback_level == other.postback_level
        && one.postback_type == other.postback_type
}

fn owned(row: &Row<'_>) -> Row<'static> {
    let own = |text: &Cow<'_, str>| Cow::<'static, str>::Owned(text.clone().into_owned());
    Row {
        offer_name: own(&row.offer_name),
        affiliate_name: own(&row.affiliate_name),
        conversion_id: Cow::Borrowed(""),
        transaction_id: Cow::Borrowed(""),
        delivery_method: own(&row.delivery_method),
        postback_level: own(&row.postback_level),
        postback_type: own(&row.postback_type),
        postback_status: Cow::Borrowed(""),
        payload: own(&row.payload),
        debug_information: own(&row.debug_information),
        ..*row
    }
}
