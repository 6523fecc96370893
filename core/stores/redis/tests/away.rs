//! A server that is killed, restarted or stands still, between and in the middle of writes and redrives.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

#[path = "../../../dlq/tests/serve/away.rs"]
mod away;
#[path = "../../../dlq/tests/serve/mod.rs"]
mod serve;

use serve::Server;

#[test]
fn nothing_acknowledged_is_lost_when_the_server_goes() {
    let Some(mut server) = Server::start(&["redis"]).filter(|server| server.own) else { return };
    let store = seawall_store_redis::open(&server.url).unwrap();
    away::is_told_and_found_again(&mut server, &(store.clone() as _));
    away::campaign(&mut server, &(store as _));
}
