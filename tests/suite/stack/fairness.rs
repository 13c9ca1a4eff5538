//! Nobody waits for another customer's server: what hangs, and what only waits, holds no place.

use rustix::process::{Pid, Signal, kill_process};
use zlh_tests::{BLUEPRINT, Town, eventually, smallest};

#[test]
fn a_hung_server_that_is_deleted_holds_up_nobodys_new_one() {
    let town = Town::start(&[smallest()]);
    let (owner, other) = (town.customer("ned"), town.customer("ola"));
    let (id, _) = owner.server("Hung", BLUEPRINT, "only");
    for agent in town.agents() {
        kill_process(Pid::from_raw(agent).expect("a pid"), Signal::STOP).expect("it is ours");
    }
    let deletion = owner.delete(&format!("/api/instances/{id}"));
    let deletion = deletion.location.expect("an operation");
    eventually("the delete begins", || owner.get(&deletion).body["started_at"].is_string().then_some(()));
    let (mine, operation) = other.create("New", BLUEPRINT, "only");
    assert_eq!(other.follow(&operation)["state"], "succeeded");
    // Not a matter of speed: waiting for an agent that never answers takes as long as its deadline.
    assert_eq!(owner.get(&deletion).body["state"], "running", "the hung one is still waited for");
    assert_eq!(owner.follow(&deletion)["state"], "succeeded");
    other.remove(&mine);
    town.expect_nothing_left();
}
