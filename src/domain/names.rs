//! Names of offers and affiliates, as rows tell them.

use hashbrown::HashMap;

/// By id, the name that was told last.
#[derive(Debug, Default)]
pub struct Names(HashMap<u64, String>);

impl Names {
    pub fn get(&self, id: u64) -> Option<&str> {
        self.0.get(&id).map(String::as_str)
    }

    pub fn set(&mut self, id: u64, name: String) {
        self.0.insert(id, name);
    }

    /// Whether a row with this name tells nothing new.
    pub fn knows(&self, id: u64, name: &str) -> bool {
        name.is_empty() || self.get(id) == Some(name)
    }

    /// Takes up what a row tells; gives back the name where it is new.
    pub fn learn(&mut self, id: u64, name: &str) -> Option<String> {
        if self.knows(id, name) {
            return None;
        }
        self.set(id, name.to_owned());
        Some(name.to_owned())
    }

    /// By rising id.
    pub fn in_order(&self) -> impl Iterator<Item = (u64, &str)> {
        let mut names: Vec<(u64, &str)> =
            self.0.iter().map(|(&id, name)| (id, name.as_str())).collect();
        names.sort_unstable();
        names.into_iter()
    }
}
