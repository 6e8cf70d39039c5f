//! placeholder until merged
use std::collections::BTreeMap;
pub fn render_summary(_template: &str, _vars: &BTreeMap<String, String>) -> Result<String, String> {
    Err(String::new())
}
