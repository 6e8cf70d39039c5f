//! The simulated network without its server, for tests that need weeks in seconds:
//! the same model, asked in process.

use crate::domain::time::Timestamp;

use super::network::Network;
use super::scenario::Scenario;
use super::truth::{self, Telling, TruthRow};

/// A network that nobody serves; its time is whatever it is told.
#[derive(Debug)]
pub struct Model {
    network: Network,
    now: Timestamp,
}

impl Model {
    /// The network with its history, as of `start`.
    pub fn begin(scenario: Scenario, start: Timestamp) -> Model {
        Model { network: Network::begin(scenario, start), now: start }
    }

    /// Lets everything happen up to `now`; tells the deliveries that were tried since
    /// the last call and show by now, oldest first: all of them at the first.
    pub fn pass(&mut self, now: Timestamp) -> Vec<TruthRow> {
        self.network.advance(now);
        self.now = now;
        let tried = self.network.take_tried();
        let told = tried.into_iter();
        told.filter_map(|place| truth::tell(&self.network, place, Telling::All)).collect()
    }

    /// `(id, is active)` of every postback.
    pub fn postbacks(&self) -> Vec<(u64, bool)> {
        let places = self.network.cast.postbacks.iter().enumerate();
        places.map(|(place, postback)| (postback.id, self.network.is_active(place))).collect()
    }

    /// Switches a postback on or off by hand.
    pub fn switch_postback(&mut self, id: u64, active: bool) {
        if let Some(place) = self.network.cast.place_of(id) {
            self.network.switch(place, active);
        }
    }
}
