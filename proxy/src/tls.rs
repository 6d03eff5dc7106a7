//! Mutual TLS between sidecars: TLS 1.3 only, both sides prove a SPIFFE ID, nothing is resumed.

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use tokio::net::TcpStream;
use webpki::{EndEntityCert, KeyUsage};

use crate::certificate::{Term, der_item};
use crate::standing::{Anchor, Live, LiveConnections, Proof, Revoked, Side};

/// What is inside a connection between two sidecars, agreed by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// HTTP/1.1 requests.
    Http1,
    /// HTTP/2 streams.
    Http2,
    /// Bytes.
    Tcp,
}

impl Inside {
    const ALL: [Inside; 3] = [Inside::Http1, Inside::Http2, Inside::Tcp];

    /// The ALPN protocol name.
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Inside::Http1 => b"weft-h1/1",
            Inside::Http2 => b"weft-h2/1",
            Inside::Tcp => b"weft-tcp/1",
        }
    }

    /// The meaning of an agreed ALPN name.
    pub fn from_alpn(name: Option<&[u8]>) -> Option<Inside> {
        Inside::ALL.into_iter().find(|inside| name == Some(inside.alpn()))
    }
}

/// The TLS settings made from one certificate and one trust bundle.
#[derive(Debug)]
pub struct Tls {
    /// For connections from peers.
    pub server: Arc<ServerConfig>,
    clients: [Arc<ClientConfig>; 3],
    verifier: Arc<MeshVerifier>,
    anchors: Vec<Anchor>,
    own: Proof,
    live: Rc<LiveConnections>,
}

impl Tls {
    /// Builds the settings; connections made with them are entered in `live`. Errors: a certificate, key or root that cannot be used.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        anchors: &[Anchor],
        live: &Rc<LiveConnections>,
    ) -> Result<Tls, Error> {
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(roots(anchors)?);
        let client_verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| Error::General(format!("the trust bundle cannot be used: {error}")))?;
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(client_verifier)
            .with_single_cert(chain.clone(), key.clone_key())?;
        server.alpn_protocols = Inside::ALL.iter().map(|inside| inside.alpn().to_vec()).collect();
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;

        let verifier = Arc::new(MeshVerifier {
            roots,
            algorithms: provider.signature_verification_algorithms,
        });
        let client = |inside: Inside| -> Result<Arc<ClientConfig>, Error> {
            let mut config = ClientConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(&[&rustls::version::TLS13])?
                .dangerous()
                .with_custom_certificate_verifier(verifier.clone())
                .with_client_auth_cert(chain.clone(), key.clone_key())?;
            config.alpn_protocols = vec![inside.alpn().to_vec()];
            config.resumption = rustls::client::Resumption::disabled();
            Ok(Arc::new(config))
        };
        let clients = [client(Inside::Http1)?, client(Inside::Http2)?, client(Inside::Tcp)?];
        let mut tls = Tls {
            server: Arc::new(server),
            clients,
            verifier,
            anchors: anchors.to_vec(),
            own: Proof {
                term: chain
                    .first()
                    .and_then(|leaf| Term::of(leaf))
                    .ok_or_else(|| Error::General("the certificate cannot be read".into()))?,
                anchor: Rc::new(CertificateDer::from(Vec::new())),
            },
            live: live.clone(),
        };
        tls.own.anchor = tls.anchor_of(&chain);
        Ok(tls)
    }

    /// Takes a connection whose handshake is done among the live ones; None when there is no certificate of the peer that could be read.
    pub fn enter(&self, tcp: &TcpStream, peer: Option<&[CertificateDer<'_>]>, side: Side, inside: Inside) -> Option<Result<Live, Revoked>> {
        let chain = peer?;
        let peer = Proof {
            term: Term::of(chain.first()?)?,
            anchor: self.anchor_of(chain),
        };
        Some(self.live.enter(tcp, [self.own.clone(), peer], side, inside == Inside::Tcp))
    }

    /// The root by which a verified chain was verified. There seldom are several, of which only a second verification tells it.
    fn anchor_of(&self, chain: &[CertificateDer<'_>]) -> Anchor {
        let [leaf, intermediates @ ..] = chain else {
            return self.own.anchor.clone();
        };
        let verifies = |anchor: &&Anchor| {
            roots(std::slice::from_ref(*anchor))
                .is_ok_and(|roots| self.verifier.verify(&roots, leaf, intermediates, UnixTime::now()).is_ok())
        };
        match &self.anchors[..] {
            [only] => only.clone(),
            several => several.iter().find(verifies).unwrap_or(&self.own.anchor).clone(),
        }
    }

    /// Settings for a connection to a peer that will carry `inside`.
    pub fn client(&self, inside: Inside) -> Arc<ClientConfig> {
        self.clients[inside as usize].clone()
    }
}

fn roots(anchors: &[Anchor]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for anchor in anchors {
        roots.add(anchor.as_ref().clone())?;
    }
    Ok(roots)
}

/// Verifies that a peer's certificate chains to the trust bundle. Which identity it proves is compared by the caller, who alone knows whom it meant
/// to reach (SPIFFE X.509-SVID, section 5): names in the DNS sense play no part.
#[derive(Debug)]
struct MeshVerifier {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl MeshVerifier {
    fn verify(
        &self,
        roots: &RootCertStore,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let certificate = EndEntityCert::try_from(end_entity)?;
        let usage = KeyUsage::server_auth();
        certificate.verify_for_usage(self.algorithms.all, &roots.roots, intermediates, now, usage, None, None)?;
        Ok(())
    }
}

impl ServerCertVerifier for MeshVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(&self.roots, end_entity, intermediates, now)
            .map(|()| ServerCertVerified::assertion())
            .map_err(|error| {
                Error::InvalidCertificate(match error {
                    webpki::Error::CertExpired { .. } => CertificateError::Expired,
                    webpki::Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
                    webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
                    other => CertificateError::Other(rustls::OtherError(Arc::new(other))),
                })
            })
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("sidecars speak TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

/// Who a verified certificate belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// SPIFFE ID, for example `spiffe://weft.local/ns/default/sa/users`.
    pub id: String,
    /// The workload's own address (IP SAN), when the certificate has one.
    pub address: Option<Ipv4Addr>,
}

impl PeerIdentity {
    /// Reads the identity from a verified certificate. None when it holds no SPIFFE ID, a malformed one, or another URI beside it.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<PeerIdentity> {
        let parsed = EndEntityCert::try_from(certificate).ok()?;
        let mut uris = parsed.valid_uri_names();
        let id = uris.next().filter(|uri| is_spiffe_id(uri))?.to_owned();
        if uris.next().is_some() {
            return None;
        }
        Some(PeerIdentity {
            id,
            address: ip_san(certificate),
        })
    }

    /// The service behind the identity as `name.namespace`, or the whole ID when it has another form.
    pub fn service(&self) -> String {
        service_of(&self.id).unwrap_or_else(|| self.id.clone())
    }
}

/// What the SPIFFE ID specification allows (sections 2.1 to 2.4), so that an ID can stand in fields, labels and logs as it is.
fn is_spiffe_id(uri: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let segment = |text: &str| !matches!(text, "" | "." | "..") && text.bytes().all(allowed);
    uri.len() <= 2048 && uri.strip_prefix("spiffe://").is_some_and(|id| id.split('/').all(segment))
}

/// The trust domain of a SPIFFE ID.
pub fn trust_domain(id: &str) -> &str {
    let id = id.strip_prefix("spiffe://").unwrap_or_default();
    id.split_once('/').map_or(id, |(domain, _)| domain)
}

/// `spiffe://domain/ns/NAMESPACE/sa/NAME` as `NAME.NAMESPACE`.
fn service_of(id: &str) -> Option<String> {
    let (_, path) = id.strip_prefix("spiffe://")?.split_once('/')?;
    let (namespace, name) = path.strip_prefix("ns/")?.split_once("/sa/")?;
    Some(format!("{name}.{namespace}"))
}

/// The first IPv4 address among the subject alternative names (RFC 5280, 4.2.1.6). webpki does not hand them out, so the extension is walked here; the
/// certificate has been verified before.
fn ip_san(certificate: &[u8]) -> Option<Ipv4Addr> {
    // OBJECT IDENTIFIER 2.5.29.17, subjectAltName.
    const SUBJECT_ALT_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x1d, 0x11];
    let at = certificate
        .windows(SUBJECT_ALT_NAME.len())
        .position(|window| window == SUBJECT_ALT_NAME)?;
    let mut rest = &certificate[at + SUBJECT_ALT_NAME.len()..];
    let (mut tag, mut value) = der_item(&mut rest)?;
    if tag == 0x01 {
        (tag, value) = der_item(&mut rest)?;
    }
    if tag != 0x04 {
        return None;
    }
    let (_, mut names) = der_item(&mut { value })?;
    while let Some((tag, value)) = der_item(&mut names) {
        if tag == 0x87 {
            return Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?));
        }
    }
    None
}

/// What connections to an endpoint have in common that may carry each other's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// Port of the service.
    pub port: u16,
    /// Whether the callers are not the program, but whoever dials a published port: their calls never share a connection with the program's.
    pub anonymous: bool,
}

/// The SNI by which a caller's sidecar says which port of which service it means, and for whom: `p8080.users.default` for its program,
/// `p8080-anonymous.users.default` for callers without an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The port, and whether the caller is somebody without an identity, for whom the sidecar's certificate does not speak.
    pub lane: Lane,
    /// Name of the service.
    pub service: String,
    /// Its namespace.
    pub namespace: String,
}

/// What marks the port for callers without an identity.
const ANONYMOUS_MARK: &str = "-anonymous";

impl Destination {
    /// The server name for a connection in a `lane` of `service`. None when the names are no DNS labels.
    pub fn server_name(lane: Lane, service: &str, namespace: &str) -> Option<ServerName<'static>> {
        let mark = if lane.anonymous { ANONYMOUS_MARK } else { "" };
        ServerName::try_from(format!("p{}{mark}.{service}.{namespace}", lane.port)).ok()
    }

    /// Reads a server name.
    pub fn parse(name: &str) -> Option<Destination> {
        let mut labels = name.strip_prefix('p')?.split('.');
        let port = labels.next()?;
        let unmarked = port.strip_suffix(ANONYMOUS_MARK);
        let anonymous = unmarked.is_some();
        let port = unmarked.unwrap_or(port).parse().ok().filter(|port| *port != 0)?;
        let (service, namespace) = (labels.next()?.to_owned(), labels.next()?.to_owned());
        labels.next().is_none().then_some(Destination {
            lane: Lane { port, anonymous },
            service,
            namespace,
        })
    }
}

/// The provider for everything that needs cryptography, installed once.
pub fn install_provider() {
    // Fails only when one is installed already, which is what is wanted.
    let _ = CryptoProvider::install_default(ring::default_provider());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_survives_its_server_name() {
        for (anonymous, text) in [(false, "p8080.users.default"), (true, "p8080-anonymous.users.default")] {
            let lane = Lane { port: 8080, anonymous };
            let name = Destination::server_name(lane, "users", "default").unwrap();
            let ServerName::DnsName(name) = name else { panic!("a DNS name") };
            assert_eq!(name.as_ref(), text);
            let expected = Destination {
                lane,
                service: "users".into(),
                namespace: "default".into(),
            };
            assert_eq!(Destination::parse(text), Some(expected));
        }
    }

    #[test]
    fn other_server_names_are_no_destination() {
        for name in [
            "",
            "p",
            "p0.a.b",
            "p80",
            "p80.a",
            "p80.a.b.c",
            "80.a.b",
            "p99999.a.b",
            "p80-.a.b",
            "p80-anonymous",
            "p80-anonymous-anonymous.a.b",
            "p-anonymous.a.b",
            "p80.anonymous.a.b",
            "example.com",
        ] {
            assert_eq!(Destination::parse(name), None, "{name}");
        }
    }

    #[test]
    fn identity_and_address_are_read_from_a_certificate() {
        use rcgen::{CertificateParams, KeyPair, SanType};
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![
            SanType::URI("spiffe://weft.local/ns/shop/sa/users".try_into().unwrap()),
            SanType::IpAddress("198.19.0.7".parse().unwrap()),
        ];
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let peer = PeerIdentity::of(certificate.der()).unwrap();
        assert_eq!(peer.id, "spiffe://weft.local/ns/shop/sa/users");
        assert_eq!(peer.address, Some(Ipv4Addr::new(198, 19, 0, 7)));
        assert_eq!(peer.service(), "users.shop");
    }

    #[test]
    fn only_what_the_specification_allows_is_an_identity() {
        for id in [
            "spiffe://weft.local/ns/default/sa/users",
            "spiffe://weft.local",
            "spiffe://a-b_c.d/X/y.1",
        ] {
            assert!(is_spiffe_id(id), "{id}");
        }
        let long = format!("spiffe://weft.local/{}", "x".repeat(2048));
        for id in [
            "",
            "spiffe://",
            "spiffe:///a",
            "https://weft.local/a",
            "spiffe://weft.local/",
            "spiffe://weft.local//a",
            "spiffe://weft.local/../a",
            "spiffe://weft.local/a?b",
            "spiffe://me@weft.local/a",
            "spiffe://weft.local:1/a",
            "spiffe://weft.local/a\x1b[31m",
            "spiffe://weft.local/a\r\nb",
            &long,
        ] {
            assert!(!is_spiffe_id(id), "{id:?}");
        }
        assert_eq!(trust_domain("spiffe://weft.local/ns/default/sa/users"), "weft.local");
        assert_eq!(trust_domain("spiffe://weft.local"), "weft.local");
    }

    #[test]
    fn a_certificate_with_two_identities_is_nobody() {
        use rcgen::{CertificateParams, KeyPair, SanType};
        let mut params = CertificateParams::default();
        params.subject_alt_names = ["spiffe://weft.local/ns/a/sa/b", "spiffe://weft.local/ns/a/sa/c"]
            .map(|id| SanType::URI(id.try_into().unwrap()))
            .to_vec();
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(PeerIdentity::of(certificate.der()), None);
    }
}
