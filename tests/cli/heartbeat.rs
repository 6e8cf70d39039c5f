//! The heartbeat: heard while postwatch lives and sees, and not otherwise.

use postwatch::simulate::{Fault, FaultKind};

use crate::program::{Place, becomes, network, rules};
use crate::support::sink::{Meets, Sink};

fn beating(base_url: &str, url: &str) -> String {
    rules(base_url, &format!("heartbeat: {{ url: \"{url}/hunter2\", every: 1s }}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_follows_each_whole_poll_and_a_reload() {
    let (network, one, other) = (network(10, 1).await, Sink::start().await, Sink::start().await);
    one.then([Meets::Answer("500 Oh"), Meets::ResetAfterAccepting]);
    let place = Place::new(&beating(&network.base_url(), &one.url));
    let program = place.serve();
    assert!(becomes(|| one.requests().len() >= 4).await, "{}", program.err());
    assert!(one.requests().iter().all(|request| request.line == "GET /hunter2"));
    program.says("the heartbeat is not heard").await;
    program.says("the heartbeat is heard again").await;
    assert_eq!(program.err().matches("is not heard").count(), 1, "{}", program.err());
    program.shows("metrics", "postwatch_heartbeats_total{outcome=\"http_5xx\"} 1").await;
    place.write(&beating(&network.base_url(), &other.url));
    program.signal("-HUP");
    assert!(becomes(|| other.requests().len() >= 2).await, "{}", program.err());
    // Nothing is read whole any more: nobody may believe that it is.
    network.faults().add(Fault::always(FaultKind::Status(500)));
    program.says("this poll was not whole").await;
    let (heard, polls) = (other.requests().len(), program.metric("postwatch_polls_total").await);
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(200));
    while program.metric("postwatch_polls_total").await < polls + 2.0 {
        looks.tick().await;
    }
    // One may have been under way.
    assert!(other.requests().len() <= heard + 1, "{}", program.err());
    program.terminate().await;
}
