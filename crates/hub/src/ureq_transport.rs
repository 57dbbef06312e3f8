//! [`Transport`] with ureq.

use std::time::Duration;

use crate::transport::{Request, Response, Transport, TransportError};

/// The timeout for a connection, an answer, or the next bytes of a body.
const PATIENCE: Duration = Duration::from_secs(30);

/// A blocking HTTP client (ureq), with a pool of connections. HTTPS needs the feature `tls`.
///
/// Proxies are taken from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`. With `tls`, servers are checked
/// against Mozilla's root certificates, or against those in the PEM file that `SSL_CERT_FILE` names.
#[derive(Clone, Debug)]
pub struct UreqTransport {
    agent: ureq::Agent,
}

impl UreqTransport {
    /// Makes a client with the default timeout of 30 seconds for a connection, an answer or the next bytes.
    ///
    /// # Errors
    /// If `SSL_CERT_FILE` names a file that cannot be read or has no certificate.
    pub fn new() -> Result<Self, TransportError> {
        Self::with_patience(PATIENCE)
    }

    /// Makes a client that waits at most `patience` for a connection, an answer or the next bytes.
    ///
    /// # Errors
    /// As for [`UreqTransport::new`].
    pub fn with_patience(patience: Duration) -> Result<Self, TransportError> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .accept_encoding("identity")
            .user_agent(concat!("happy-hub/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(patience))
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .max_idle_connections_per_host(8);
        #[cfg(feature = "tls")]
        let config = match roots()? {
            Some(roots) => config.tls_config(ureq::tls::TlsConfig::builder().root_certs(roots).build()),
            None => config,
        };
        Ok(Self { agent: config.build().new_agent() })
    }
}

/// Reads the certificates of `SSL_CERT_FILE`, which OpenSSL's programs also use. Companies with their own proxy set it.
#[cfg(feature = "tls")]
fn roots() -> Result<Option<ureq::tls::RootCerts>, TransportError> {
    use ureq::tls::{PemItem, RootCerts, parse_pem};
    let Some(path) = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let path = std::path::PathBuf::from(path);
    let failed = |why: String| TransportError::lasting(format!("SSL_CERT_FILE {}: {why}", path.display()));
    let pem = std::fs::read(&path).map_err(|e| failed(e.to_string()))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(failed("no certificate in it".into()));
    }
    Ok(Some(RootCerts::new_with_certs(&certificates)))
}

impl Transport for UreqTransport {
    fn send(&self, request: &Request) -> Result<Response, TransportError> {
        if cfg!(not(feature = "tls")) && request.url.starts_with("https:") {
            return Err(TransportError::lasting(
                "this program was built without HTTPS (the feature `tls` of happy-hub)",
            ));
        }
        let mut builder =
            if request.head { self.agent.head(&request.url) } else { self.agent.get(&request.url) };
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let response = builder.call().map_err(|e| failure(&e))?;
        let (parts, body) = response.into_parts();
        let headers = parts.headers.iter();
        // The hub reads no headers whose values are not text.
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        Ok(Response { status: parts.status.as_u16(), headers, body: Box::new(body.into_reader()) })
    }
}

fn failure(error: &ureq::Error) -> TransportError {
    let passing = match error {
        // rustls' errors, such as an invalid certificate, have this kind. They are permanent.
        ureq::Error::Io(error) => error.kind() != std::io::ErrorKind::InvalidData,
        ureq::Error::Timeout(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Protocol(_) => true,
        _ => false,
    };
    let message = error.to_string();
    if passing { TransportError::passing(message) } else { TransportError::lasting(message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    #[test]
    fn a_bad_certificate_is_not_tried_again() {
        let io = |kind: ErrorKind| failure(&ureq::Error::Io(kind.into())).is_passing();
        assert!(
            io(ErrorKind::ConnectionReset) && io(ErrorKind::UnexpectedEof) && !io(ErrorKind::InvalidData)
        );
        assert!(failure(&ureq::Error::HostNotFound).is_passing());
        assert!(!failure(&ureq::Error::BadUri("x".into())).is_passing());
    }
}
