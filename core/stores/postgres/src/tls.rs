//! TLS by rustls. Certificates are always verified; there is no way to leave that out.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use seawall_dlq::DlqError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as Inner;

/// What every connection of one store uses.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Option<Arc<ClientConfig>>,
}

impl Tls {
    pub(crate) fn none() -> Self {
        Self { config: None }
    }
}

/// TLS with the authorities in a PEM file, or the system's.
pub(crate) fn verified(authorities: Option<&Path>) -> Result<Tls, DlqError> {
    let found = match authorities {
        Some(path) => rustls_native_certs::load_certs_from_paths(Some(path), None),
        None => rustls_native_certs::load_native_certs(),
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let what = authorities.map_or_else(
            || "this system trusts no certificate authority; name a file of them by 'sslrootcert'".to_owned(),
            |path| format!("sslrootcert: no certificate in '{}'", path.display()),
        );
        return Err(DlqError::invalid(format!("store: {what}")));
    }
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(|why| DlqError::failed(format!("store: no TLS: {why}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Tls { config: Some(Arc::new(config)) })
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Stream;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Handshake> {
        // Without TLS the client asks for this too, and never uses it.
        let Some(config) = &self.config else { return Ok(Handshake(None)) };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::other("the host's name is none that a certificate could be for"))?;
        Ok(Handshake(Some((TlsConnector::from(config.clone()), name))))
    }
}

/// A handshake to come.
pub(crate) struct Handshake(Option<(TlsConnector, ServerName<'static>)>);

impl TlsConnect<Socket> for Handshake {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let Some((connector, name)) = self.0 else { return Err(io::Error::other("no TLS was asked for")) };
            connector.connect(name, socket).await.map(|inner| Stream(Box::new(inner)))
        })
    }
}

/// An encrypted stream.
pub(crate) struct Stream(Box<Inner<Socket>>);

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(context)
    }
}
