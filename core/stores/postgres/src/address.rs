//! A URL, and what it says of TLS.

use std::path::Path;

use seawall_dlq::DlqError;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::tls::{self, Tls};

/// Shorter ones would be found everywhere.
const SECRET_BYTES: usize = 4;

/// Where a store is, and how to get there.
pub(crate) struct Address {
    pub(crate) config: Config,
    pub(crate) tls: Tls,
    place: String,
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, DlqError> {
        let (plain, options) = split(url);
        // The parser's own words may repeat parts of the URL.
        let mut config: Config = plain.parse().map_err(|_| {
            DlqError::invalid("store: no PostgreSQL URL that can be read; write 'postgresql://user:password@host:port/database', with signs such as '@' in a password as '%40'")
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(DlqError::invalid(
                "store: the PostgreSQL URL names no host; write 'postgresql://host/database', or '?host=/run/postgresql' for a socket",
            ));
        }
        let mode = mode(options.mode, &config)?;
        config.ssl_mode(mode);
        if config.get_application_name().is_none() {
            config.application_name("seawall");
        }
        let tls = if mode == SslMode::Disable { Tls::none() } else { tls::verified(options.authorities.as_deref().map(Path::new))? };
        let place = config.get_hosts().iter().map(name).collect::<Vec<_>>().join(", ");
        Ok(Self { config, tls, place })
    }

    /// The server's name, for messages.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Blanks the password, should a server have repeated it.
    pub(crate) fn without_secrets(&self, text: String) -> String {
        let secret = self.config.get_password().and_then(|secret| std::str::from_utf8(secret).ok());
        match secret {
            Some(secret) if secret.len() >= SECRET_BYTES => text.replace(secret, "[redacted]"),
            _ => text,
        }
    }
}

#[derive(Default)]
struct Options<'a> {
    mode: Option<&'a str>,
    authorities: Option<String>,
}

/// Takes out what the client's own parser does not know.
fn split(url: &str) -> (String, Options<'_>) {
    let mut options = Options::default();
    let Some((base, parameters)) = url.split_once('?') else { return (url.to_owned(), options) };
    let mut rest = Vec::new();
    for parameter in parameters.split('&') {
        match parameter.split_once('=') {
            Some(("sslmode", mode)) => options.mode = Some(mode),
            Some(("sslrootcert", path)) => options.authorities = Some(decoded(path)),
            _ => rest.push(parameter),
        }
    }
    let question = if rest.is_empty() { "" } else { "?" };
    (format!("{base}{question}{}", rest.join("&")), options)
}

/// Percent signs resolved; what is none stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// TLS unless the URL says no, or the server is on this machine and the URL says nothing.
fn mode(given: Option<&str>, config: &Config) -> Result<SslMode, DlqError> {
    match given {
        Some("disable") => Ok(SslMode::Disable),
        Some("require" | "verify-full") => Ok(SslMode::Require),
        None if is_here(config) => Ok(SslMode::Disable),
        None => Ok(SslMode::Require),
        // Not repeated: a URL that is written wrongly may have anything there.
        Some(_) => Err(DlqError::invalid(
            "store: unknown sslmode; there are 'verify-full' (the default: TLS, with the certificate and the host's name verified), 'require' (the same here) and 'disable'",
        )),
    }
}

fn is_here(config: &Config) -> bool {
    let local = |host: &Host| match host {
        #[cfg(unix)]
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
    };
    config.get_hosts().iter().all(local) && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
}

fn name(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]
mod tests {
    use super::*;

    fn mode_of(url: &str) -> SslMode {
        Address::parse(url).unwrap().config.get_ssl_mode()
    }

    #[test]
    fn tls_is_the_default_beyond_this_machine() {
        for url in
            ["postgresql://db.example/x", "postgres://u:p@10.0.0.1/x?sslmode=require", "postgresql://localhost/x?sslmode=verify-full"]
        {
            assert_eq!(mode_of(url), SslMode::Require, "{url}");
        }
        for url in [
            "postgresql://db.example/x?sslmode=disable",
            "postgresql://127.0.0.1/x",
            "postgresql://[::1]:5433/x",
            "postgresql:///x?host=/run/postgresql",
        ] {
            assert_eq!(mode_of(url), SslMode::Disable, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_secrets() {
        for url in [
            "postgresql://ada:hunter2@db.example:port/x",
            "postgresql://ada:hunter2@db.example/x?sslmode=hunter2",
            "postgresql://ada:hunter2@db.example/x?hunter2=1",
            "postgresql://ada:hunter2@/x",
            "postgresql://ada:hunter2@db.example/x?sslrootcert=/no/such/file",
        ] {
            let Err(error) = Address::parse(url) else { panic!("{url} is wrong") };
            assert!(error.code == "config.invalid" && !error.message.contains("hunter2"), "{url}: {error}");
        }
        let address = Address::parse("postgresql://ada:hunter2@127.0.0.1/x").unwrap();
        assert_eq!(address.without_secrets("no hunter2 here".into()), "no [redacted] here");
        assert!(!format!("{:?}", address.config).contains("hunter2"));
        assert_eq!(decoded("%2Fa%20b%zz%"), "/a b%zz%");
    }
}
