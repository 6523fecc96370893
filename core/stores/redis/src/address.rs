//! A URL, and what it says of TLS.

use redis::{Client, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use seawall_dlq::DlqError;

/// Shorter ones would be found everywhere.
const SECRET_BYTES: usize = 4;
const FORM: &str = "store: no Redis URL that can be read; write 'redis://user:password@host:port/0', or 'rediss:' for TLS, with signs such as '@' in a password as '%40'";

/// Where a store is, and how to get there.
pub(crate) struct Address {
    pub(crate) client: Client,
    secret: Option<String>,
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, DlqError> {
        let (plain, authorities) = split(url)?;
        // The parser's own words may repeat parts of the URL.
        let info: ConnectionInfo = plain.as_str().into_connection_info().map_err(|_| DlqError::invalid(FORM))?;
        let secret = info.redis_settings().password().map(str::to_owned);
        let invalid = |_| DlqError::invalid(FORM);
        if !url.starts_with("rediss:") {
            return match authorities {
                Some(_) => Err(DlqError::invalid("store: cacert is for 'rediss:', which speaks TLS")),
                None => Ok(Self { client: Client::open(info).map_err(invalid)?, secret }),
            };
        }
        // Fails only if the process has chosen one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let root_cert = authorities.map(|path| read(&path)).transpose()?;
        let certificates = TlsCertificates { client_tls: None, root_cert };
        let client = Client::build_with_tls(info, certificates)
            .map_err(|_| DlqError::invalid("store: cacert: the file holds no certificate that can be read"))?;
        Ok(Self { client, secret })
    }

    /// Blanks the password, should a server have repeated it.
    pub(crate) fn without_secrets(&self, text: String) -> String {
        match &self.secret {
            Some(secret) if secret.len() >= SECRET_BYTES => text.replace(secret, "[redacted]"),
            _ => text,
        }
    }

    /// The server's name, for messages.
    pub(crate) fn place(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }
}

/// Takes out what the client's own parser does not know, and refuses what would turn verification off.
fn split(url: &str) -> Result<(String, Option<String>), DlqError> {
    if url.contains('#') {
        return Err(DlqError::invalid(
            "store: a Redis URL has no part behind '#'; a certificate is always verified (a '#' in a password is written '%23')",
        ));
    }
    let Some((base, parameters)) = url.split_once('?') else { return Ok((url.to_owned(), None)) };
    let (mut rest, mut authorities) = (Vec::new(), None);
    for parameter in parameters.split('&') {
        match parameter.strip_prefix("cacert=") {
            Some(path) => authorities = Some(path.replace("%2F", "/").replace("%2f", "/").replace("%20", " ")),
            None => rest.push(parameter),
        }
    }
    let question = if rest.is_empty() { "" } else { "?" };
    Ok((format!("{base}{question}{}", rest.join("&")), authorities))
}

fn read(path: &str) -> Result<Vec<u8>, DlqError> {
    let text = std::fs::read(path).map_err(|why| DlqError::invalid(format!("store: cacert: cannot read '{path}': {why}")))?;
    // The client would take a file of something else for a list of none.
    let has_one = text.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----");
    if has_one { Ok(text) } else { Err(DlqError::invalid(format!("store: cacert: no certificate in '{path}'"))) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_without_secrets() {
        for url in [
            "redis://:hunter2@cache.example:port/0",
            "rediss://:hunter2@cache.example/0#insecure",
            "redis://:hunter2@/0#x",
            "redis://:hunter2@cache.example/hunter2",
            "redis://:hunter2@cache.example/0?cacert=/etc/hosts",
            "rediss://:hunter2@cache.example/0?cacert=/no/such/file",
            "rediss://:hunter2@cache.example/0?cacert=/etc/hosts",
        ] {
            let Err(error) = Address::parse(url) else { panic!("{url} is wrong") };
            assert!(error.code == "config.invalid" && !error.message.contains("hunter2"), "{url}: {error}");
        }
        let address = Address::parse("redis://:hunter2@127.0.0.1/0").unwrap();
        assert_eq!(address.without_secrets("no hunter2 here".into()), "no [redacted] here");
        assert_eq!(address.place(), "127.0.0.1:6379");
    }
}
