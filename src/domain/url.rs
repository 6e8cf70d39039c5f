//! placeholder until merged
pub fn host(_p: &str, _m: &str) -> String {
    String::new()
}
