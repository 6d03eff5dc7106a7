//! The stable codes of everything that the sidecar refuses or cannot do. `docs/errors.md` explains each.

/// No endpoint of the service can be called now.
pub const NO_ENDPOINT: &str = "WEFT-P-NO-ENDPOINT";
/// The routes of a port of a service have no match for a request.
pub const NO_ROUTE: &str = "WEFT-P-NO-ROUTE";
/// A request's path can be read in different ways, which lead to different rules of the routes.
pub const AMBIGUOUS_PATH: &str = "WEFT-P-AMBIGUOUS-PATH";
/// A route sends a request to no service.
pub const NO_BACKEND: &str = "WEFT-P-NO-BACKEND";
/// The endpoint, or the program behind this sidecar, accepts no connection.
pub const CONNECT_FAILED: &str = "WEFT-P-CONNECT-FAILED";
/// TLS with the endpoint's sidecar failed.
pub const HANDSHAKE_FAILED: &str = "WEFT-P-HANDSHAKE-FAILED";
/// The endpoint proved another identity than the one that was meant.
pub const WRONG_IDENTITY: &str = "WEFT-P-WRONG-IDENTITY";
/// The sidecar has no certificate yet.
pub const NOT_CERTIFIED: &str = "WEFT-P-NOT-CERTIFIED";
/// The controller does not want this workload: it was forgotten, or its proof is not accepted.
pub const REFUSED_BY_CONTROLLER: &str = "WEFT-P-REFUSED-BY-CONTROLLER";
/// The first certificate that the controller gave is not valid now.
pub const CERTIFICATE_NOT_VALID: &str = "WEFT-P-CERTIFICATE-NOT-VALID";
/// The connection to the endpoint or the program ended before its answer was complete.
pub const UPSTREAM_CLOSED: &str = "WEFT-P-UPSTREAM-CLOSED";
/// The program, or its sidecar, reset the request's HTTP/2 stream and lives on: it does not take what it was asked.
pub const STREAM_RESET: &str = "WEFT-P-STREAM-RESET";
/// A client resets most of its HTTP/2 requests before they can be answered.
pub const RESET_FLOOD: &str = "WEFT-P-RESET-FLOOD";
/// What the sidecar keeps for its connections has reached its bound, so that it takes no more, or lets go of what stands still.
pub const OUT_OF_MEMORY: &str = "WEFT-P-OUT-OF-MEMORY";
/// An HTTP/2 stream was not read while memory was short.
pub const SLOW_READER: &str = "WEFT-P-SLOW-READER";
/// The called program takes no extended CONNECT.
pub const NO_EXTENDED_CONNECT: &str = "WEFT-P-NO-EXTENDED-CONNECT";
/// A listener for the program's calls was dialled by another user, by a sidecar for another program, or by who cannot be told.
pub const FOREIGN_CALLER: &str = "WEFT-P-FOREIGN-CALLER";
/// A connection would have led the sidecar to itself.
pub const LOOP: &str = "WEFT-P-LOOP";
/// More connections are open than there is room for: the idlest end, or a new one is turned away.
pub const TOO_MANY_CONNECTIONS: &str = "WEFT-P-TOO-MANY-CONNECTIONS";
/// The kernel gives no more sockets, or what is left is for the sidecar's own.
pub const OUT_OF_DESCRIPTORS: &str = "WEFT-P-OUT-OF-DESCRIPTORS";
/// The explicit proxy was asked for a name that has no address.
pub const UNKNOWN_HOST: &str = "WEFT-P-UNKNOWN-HOST";

/// The explicit proxy was asked for a name that only the mesh can know, and the controller does not answer.
pub const NAME_UNANSWERED: &str = "WEFT-P-NAME-UNANSWERED";

/// A tap more than a sidecar serves at a time.
pub const TOO_MANY_TAPS: &str = "WEFT-P-TOO-MANY-TAPS";

/// A peer showed no certificate.
pub const PEER_NO_CERTIFICATE: &str = "WEFT-P-PEER-NO-CERTIFICATE";
/// A peer's certificate is expired or not valid yet.
pub const PEER_EXPIRED: &str = "WEFT-P-PEER-EXPIRED";
/// A peer's certificate comes from another root.
pub const PEER_UNKNOWN_ROOT: &str = "WEFT-P-PEER-UNKNOWN-ROOT";
/// A peer's certificate cannot be used for another reason, or names nobody.
pub const PEER_BAD_CERTIFICATE: &str = "WEFT-P-PEER-BAD-CERTIFICATE";
/// A peer's certificate was revoked: a person removed its workload.
pub const PEER_REVOKED: &str = "WEFT-P-PEER-REVOKED";
/// What came in on the inbound port is no TLS 1.3.
pub const PEER_NOT_TLS: &str = "WEFT-P-PEER-NOT-TLS";
/// A peer did not finish its handshake in time.
pub const PEER_TOO_SLOW: &str = "WEFT-P-PEER-TOO-SLOW";
/// A peer asked for a service or port that this workload does not serve.
pub const PEER_WRONG_DESTINATION: &str = "WEFT-P-PEER-WRONG-DESTINATION";
/// A peer wants to send another protocol to a port than it is declared to speak.
pub const PEER_WRONG_PROTOCOL: &str = "WEFT-P-PEER-WRONG-PROTOCOL";
/// A peer sent HTTP as if it were bytes of another protocol, which would keep the caller's identity from being proven.
pub const PEER_HIDDEN_HTTP: &str = "WEFT-P-PEER-HIDDEN-HTTP";
