//! Certificates are verified, and there is no way around it.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

#[path = "../../../dlq/tests/serve/mod.rs"]
mod serve;

use seawall_dlq::{DlqError, Queue};
use serve::Server;

fn put(url: &str) -> Result<String, DlqError> {
    Queue::on(seawall_store_postgres::open(url)?, "q", || 0).put("{}")
}

#[test]
fn a_certificate_is_verified() {
    let Some(server) = Server::start(&["postgres", "tls"]) else { return };
    let (url, authorities) = (&server.url, &server.authorities);
    put(&format!("{url}?sslmode=verify-full&sslrootcert={authorities}")).unwrap();
    put(&format!("{url}?sslmode=require&sslrootcert={}", authorities.replace('/', "%2F"))).unwrap();
    let elsewhere = url.replace("localhost", "127.0.0.1");
    for (case, url) in [
        ("an unknown authority", format!("{url}?sslmode=require")),
        ("another host's name", format!("{elsewhere}?sslmode=require&sslrootcert={authorities}")),
    ] {
        let error = put(&url).unwrap_err();
        let told = error.message.to_lowercase();
        assert!(matches!(error.code, "store.failed" | "config.invalid") && told.contains("certificate"), "{case}: {error}");
        assert!(!told.contains("hunter2"), "{case}: {error}");
    }
}

#[test]
fn a_server_without_tls_is_not_spoken_to() {
    let Some(server) = Server::start(&["postgres"]).filter(|server| server.own) else { return };
    let error = put(&format!("{}?sslmode=require&sslrootcert={}", server.url, "/etc/ssl/certs/ca-certificates.crt")).unwrap_err();
    assert!(error.message.contains("TLS"), "{error}");
    put(&server.url).unwrap();
}
