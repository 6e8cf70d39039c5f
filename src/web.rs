//! stub
use std::sync::Arc;
pub struct Web {
    pub view: crate::pipeline::View,
    pub policy: Arc<crate::domain::policy::Policy>,
    pub metrics: Arc<crate::metrics::Metrics>,
    pub clock: crate::clock::Clock,
    pub config_hash: u64,
    pub is_loopback: bool,
}
pub fn router(_w: Web) -> axum::Router {
    axum::Router::new()
}
pub async fn serve(
    l: tokio::net::TcpListener,
    r: axum::Router,
    _s: impl Future<Output = ()> + Send + 'static,
) {
    axum::serve(l, r).await.ok();
}
