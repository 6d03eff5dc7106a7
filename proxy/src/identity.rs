//! The workload's certificate: asked for, kept in memory, renewed.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::control::grpc::{Channel, Status};
use crate::proto::{self, CertifyRequest, CertifyResponse, certify_request::Proof};
use crate::standing::{LiveConnections, Trust};
use crate::tls::Tls;

/// Longest time between two looks at whether a certificate is to be renewed.
const LOOK: Duration = Duration::from_secs(60);

/// A certificate and what it lets the sidecar do.
#[derive(Debug)]
pub struct Certified {
    /// TLS settings made from it.
    pub tls: Tls,
    /// The workload's SPIFFE ID.
    pub id: String,
    /// Proof to the controller.
    pub credential: String,
    /// End of its validity, seconds since 1970.
    pub not_after: i64,
    not_before: i64,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// The certificate in force.
#[derive(Debug, Default)]
pub struct Identity {
    current: RefCell<Option<Rc<Certified>>>,
    /// The connections that stand on it, and whom to trust.
    pub live: Rc<LiveConnections>,
}

impl Identity {
    /// The certificate in force; None before the first.
    pub fn current(&self) -> Option<Rc<Certified>> {
        self.current.borrow().clone()
    }

    /// Gets a certificate for a key made now and puts it in force. One that is not valid now is never the first, nor replaces one that is.
    pub async fn certify(&self, channel: &Channel, proof: Proof) -> Result<(), CertifyError> {
        // The key never leaves this process; only the request that it signs does.
        let key = KeyPair::generate().map_err(|error| CertifyError::Local(format!("no key could be made: {error}")))?;
        let request = CertificateParams::default()
            .serialize_request(&key)
            .map_err(|error| CertifyError::Local(format!("no certificate request could be made: {error}")))?;
        let anew = matches!(proof, Proof::OneTimeToken(_));
        let request = CertifyRequest {
            csr: request.der().to_vec().into(),
            proof: Some(proof),
        };
        let response: CertifyResponse = channel
            .unary("/weft.v1.Identity/Certify", None, &request)
            .await
            .map_err(CertifyError::Refused)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        self.take(response, key, anew)
    }

    /// Puts an answer in force. The trust bundle that came while the certificate was asked for may be newer than the one that comes with it. `anew`: the workload was
    /// registered anew, perhaps by a controller that knows nothing of the one before, so that revisions begin anew, too.
    fn take(&self, response: CertifyResponse, key: PrivateKeyDer<'static>, anew: bool) -> Result<(), CertifyError> {
        let bundle = response.trust_bundle.as_ref();
        let offered = Trust::from_proto(bundle.ok_or_else(|| CertifyError::Local("the controller sent no trust bundle".into()))?);
        let held = self.live.trust();
        let is_newer = anew || offered.revision > held.revision;
        let trust = if is_newer { &offered } else { &*held };
        let fresh = Certified::new(response, key, trust, &self.live).map_err(CertifyError::Local)?;
        let mut current = self.current.borrow_mut();
        if let Some(reason) = unfit(fresh.validity(), current.as_deref().map(Certified::validity), seconds_now()) {
            return Err(CertifyError::NotValid(reason));
        }
        *current = Some(Rc::new(fresh));
        if is_newer {
            self.live.replace(offered);
        }
        Ok(())
    }

    /// Puts another trust bundle in force with the certificate that is held, unless what is held is newer. The revision that is in force then.
    pub fn trust(&self, bundle: &proto::TrustBundle) -> Result<u64, String> {
        let mut current = self.current.borrow_mut();
        let (offered, held) = (Trust::from_proto(bundle), self.live.trust());
        let Some(certified) = current.as_ref() else {
            return Err("there is no certificate yet".into());
        };
        if offered.revision <= held.revision {
            return Ok(held.revision);
        }
        if offered.anchors != held.anchors {
            let tls = Tls::new(certified.chain.clone(), certified.key.clone_key(), &offered.anchors, &self.live);
            let fresh = Certified {
                tls: tls.map_err(|error| error.to_string())?,
                id: certified.id.clone(),
                credential: certified.credential.clone(),
                not_before: certified.not_before,
                not_after: certified.not_after,
                chain: certified.chain.clone(),
                key: certified.key.clone_key(),
            };
            *current = Some(Rc::new(fresh));
        }
        self.live.replace(offered);
        Ok(bundle.revision)
    }
}

impl Certified {
    fn new(response: CertifyResponse, key: PrivateKeyDer<'static>, trust: &Trust, live: &Rc<LiveConnections>) -> Result<Certified, String> {
        let chain: Vec<_> = response
            .certificate_chain
            .iter()
            .map(|der| CertificateDer::from(der.to_vec()))
            .collect();
        let tls = Tls::new(chain.clone(), key.clone_key(), &trust.anchors, live).map_err(|error| error.to_string())?;
        let CertifyResponse {
            identity: id,
            credential,
            not_before,
            not_after,
            ..
        } = response;
        Ok(Certified {
            tls,
            id,
            credential,
            not_before,
            not_after,
            chain,
            key,
        })
    }

    /// A certificate that nobody issued, and that trusts itself.
    #[cfg(test)]
    pub fn self_signed() -> Rc<Certified> {
        Certified::self_signed_for("spiffe://weft.local/ns/default/sa/users", &Rc::default())
    }

    /// The same for this identity; it puts itself in force in `live`.
    #[cfg(test)]
    pub fn self_signed_for(id: &str, live: &Rc<LiveConnections>) -> Rc<Certified> {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![rcgen::SanType::URI(id.try_into().expect("a URI"))];
        let certificate = params.self_signed(&key).expect("a certificate");
        let response = CertifyResponse {
            certificate_chain: vec![certificate.der().to_vec().into()],
            trust_bundle: Some(proto::TrustBundle {
                anchors: vec![certificate.der().to_vec().into()],
                ..Default::default()
            }),
            ..Default::default()
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a private key");
        let trust = response.trust_bundle.as_ref().map(Trust::from_proto).unwrap_or_default();
        let certified = Certified::new(response, key, &trust, live).expect("a certificate that can be used");
        live.replace(trust);
        Rc::new(certified)
    }

    fn validity(&self) -> Validity {
        Validity {
            from: self.not_before,
            to: self.not_after,
        }
    }

    /// Resolves when the certificate should be renewed: after two thirds of its life, a tenth of that earlier or later by chance, so that a mesh does not renew
    /// all at once. It looks at the clock on the wall again and again, which goes on while the machine is suspended.
    pub async fn renewal_due(&self) {
        let life = (self.not_after - self.not_before).max(0) as f64;
        let jitter = 1.0 + 0.2 * (crate::balance::Rng::from_entropy().unit() - 0.5);
        let due = self.not_before as f64 + life * 2.0 / 3.0 * jitter;
        tokio::time::sleep(Duration::from_secs(1)).await;
        while seconds_now() < due as i64 {
            tokio::time::sleep(Duration::from_secs_f64((due - seconds_now() as f64).max(0.0)).min(LOOK)).await;
        }
    }
}

/// When a certificate is valid, seconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Validity {
    from: i64,
    to: i64,
}

impl Validity {
    fn contains(self, now: i64) -> bool {
        (self.from..self.to).contains(&now)
    }
}

/// Why a fresh certificate is not put in force: it is not valid at `now` (seconds since 1970), and the one that it would replace is, or is none.
fn unfit(fresh: Validity, current: Option<Validity>, now: i64) -> Option<String> {
    if fresh.contains(now) || current.is_some_and(|current| !current.contains(now)) {
        return None;
    }
    let (wrong, seconds) = if fresh.from > now {
        ("not valid yet", fresh.from - now)
    } else {
        ("expired", now - fresh.to)
    };
    let hours = seconds / 3600;
    Some(format!(
        "the certificate that the controller gave is {wrong}, by {hours} h: its clock and this machine's differ"
    ))
}

fn seconds_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64)
}

/// Why there is no new certificate.
#[derive(Debug)]
pub enum CertifyError {
    /// The controller said no, or could not be asked.
    Refused(Status),
    /// The certificate is not valid now.
    NotValid(String),
    /// The answer cannot be used, or the request could not be made.
    Local(String),
}

impl std::fmt::Display for CertifyError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CertifyError::Refused(status) => write!(out, "the controller gave no certificate: {status}"),
            CertifyError::NotValid(reason) | CertifyError::Local(reason) => out.write_str(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;

    /// A root with a workload's certificate of it, in a bundle of this revision.
    fn answer(revision: u64, credential: &str) -> (CertifyResponse, PrivateKeyDer<'static>) {
        let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut root = CertificateParams::default();
        root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let anchor = root.self_signed(&root_key).unwrap();
        let issuer = rcgen::Issuer::new(root, root_key);
        let certificate = CertificateParams::default().signed_by(&key, &issuer).unwrap();
        let response = CertifyResponse {
            certificate_chain: vec![certificate.der().to_vec().into()],
            trust_bundle: Some(proto::TrustBundle {
                revision,
                anchors: vec![anchor.der().to_vec().into()],
                ..Default::default()
            }),
            credential: credential.into(),
            not_before: seconds_now() - 60,
            not_after: seconds_now() + DAY,
            ..Default::default()
        };
        (response, PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
    }

    fn held(identity: &Identity) -> (String, u64, Vec<u8>) {
        let (certified, trust) = (identity.current().unwrap(), identity.live.trust());
        (certified.credential.clone(), trust.revision, trust.anchors[0].to_vec())
    }

    fn anchor_of(bundle: &proto::TrustBundle) -> Vec<u8> {
        bundle.anchors[0].to_vec()
    }

    #[test]
    fn in_whatever_order_answers_and_updates_come_the_newest_trust_bundle_stays() {
        let identity = Identity::default();
        let (first, key) = answer(5, "first");
        identity.take(first, key, true).unwrap();
        // A renewal is under way when a newer bundle comes.
        let (renewed, key) = answer(6, "renewed");
        let (newer, _) = answer(7, "");
        let newer = newer.trust_bundle.unwrap();
        assert_eq!(identity.trust(&newer), Ok(7));
        identity.take(renewed.clone(), key, false).unwrap();
        assert_eq!(held(&identity), ("renewed".into(), 7, anchor_of(&newer)));
        for older in [6, 7] {
            let (older, _) = answer(older, "");
            assert_eq!(identity.trust(&older.trust_bundle.unwrap()), Ok(7), "it says what it holds");
            assert_eq!(held(&identity), ("renewed".into(), 7, anchor_of(&newer)));
        }
        let (newest, key) = answer(8, "newest");
        let anchor = anchor_of(newest.trust_bundle.as_ref().unwrap());
        identity.take(newest, key, false).unwrap();
        assert_eq!(held(&identity), ("newest".into(), 8, anchor));
    }

    #[test]
    fn after_the_workload_was_registered_anew_revisions_begin_anew() {
        let identity = Identity::default();
        let (first, key) = answer(5, "first");
        identity.take(first, key, true).unwrap();
        let (other, key) = answer(1, "of another controller");
        let anchor = anchor_of(other.trust_bundle.as_ref().unwrap());
        identity.take(other, key, true).unwrap();
        assert_eq!(held(&identity), ("of another controller".into(), 1, anchor));
    }

    #[test]
    fn a_bundle_that_cannot_be_used_leaves_the_one_that_is_held() {
        let identity = Identity::default();
        let (first, key) = answer(5, "first");
        let anchor = anchor_of(first.trust_bundle.as_ref().unwrap());
        identity.take(first, key, true).unwrap();
        let empty = proto::TrustBundle {
            revision: 6,
            ..Default::default()
        };
        assert!(identity.trust(&empty).is_err());
        assert_eq!(held(&identity), ("first".into(), 5, anchor));
    }

    fn valid(from: i64, to: i64) -> Validity {
        Validity { from, to }
    }

    #[test]
    fn a_certificate_that_is_not_valid_now_is_never_the_first_and_replaces_none_that_is() {
        let now = 100 * DAY;
        let held = valid(now - DAY / 2, now + DAY / 2);
        let ahead = valid(now + DAY, now + 2 * DAY);
        let behind = valid(now - 2 * DAY, now - DAY);
        for current in [None, Some(held)] {
            assert!(unfit(ahead, current, now).unwrap().contains("not valid yet, by 24 h"));
            assert!(unfit(behind, current, now).unwrap().contains("expired, by 24 h"));
            assert_eq!(unfit(valid(now - 60, now + DAY), current, now), None);
        }
    }

    #[test]
    fn when_the_one_that_is_held_is_of_no_use_any_other_may_replace_it() {
        let expired = valid(0, DAY);
        assert_eq!(unfit(valid(3 * DAY, 4 * DAY), Some(expired), 2 * DAY), None);
    }
}
