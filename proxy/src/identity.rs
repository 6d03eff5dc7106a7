//! The workload's certificate: asked for, kept in memory, renewed.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::control::grpc::{Channel, Status};
use crate::proto::{self, CertifyRequest, CertifyResponse, certify_request::Proof};
use crate::tls::Tls;

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
        let request = CertifyRequest {
            csr: request.der().to_vec().into(),
            proof: Some(proof),
        };
        let response: CertifyResponse = channel
            .unary("/weft.v1.Identity/Certify", None, &request)
            .await
            .map_err(CertifyError::Refused)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let fresh = Certified::new(response, key).map_err(CertifyError::Local)?;
        let mut current = self.current.borrow_mut();
        if let Some(reason) = unfit(fresh.validity(), current.as_deref().map(Certified::validity), seconds_now()) {
            return Err(CertifyError::NotValid(reason));
        }
        *current = Some(Rc::new(fresh));
        Ok(())
    }

    /// Puts another trust bundle in force with the certificate that is held.
    pub fn trust(&self, bundle: &proto::TrustBundle) -> Result<(), String> {
        let mut current = self.current.borrow_mut();
        let Some(certified) = current.as_ref() else { return Ok(()) };
        let tls = Tls::new(certified.chain.clone(), certified.key.clone_key(), &anchors(bundle)).map_err(|error| error.to_string())?;
        *current = Some(Rc::new(Certified {
            tls,
            id: certified.id.clone(),
            credential: certified.credential.clone(),
            not_before: certified.not_before,
            not_after: certified.not_after,
            chain: certified.chain.clone(),
            key: certified.key.clone_key(),
        }));
        Ok(())
    }
}

impl Certified {
    fn new(response: CertifyResponse, key: PrivateKeyDer<'static>) -> Result<Certified, String> {
        let bundle = response.trust_bundle.ok_or("the controller sent no trust bundle")?;
        let chain: Vec<_> = response
            .certificate_chain
            .iter()
            .map(|der| CertificateDer::from(der.to_vec()))
            .collect();
        let tls = Tls::new(chain.clone(), key.clone_key(), &anchors(&bundle)).map_err(|error| error.to_string())?;
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
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate");
        let response = CertifyResponse {
            certificate_chain: vec![certificate.der().to_vec().into()],
            trust_bundle: Some(proto::TrustBundle {
                anchors: vec![certificate.der().to_vec().into()],
                ..Default::default()
            }),
            ..Default::default()
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a private key");
        Rc::new(Certified::new(response, key).expect("a certificate that can be used"))
    }

    fn validity(&self) -> Validity {
        Validity {
            from: self.not_before,
            to: self.not_after,
        }
    }

    /// Time until the certificate should be renewed: two thirds of its life, a tenth of that earlier or later by chance, so that a mesh does not renew
    /// all at once.
    pub fn renew_in(&self) -> Duration {
        let life = (self.not_after - self.not_before).max(0) as f64;
        let jitter = 1.0 + 0.2 * (crate::balance::Rng::from_entropy().unit() - 0.5);
        let due = self.not_before as f64 + life * 2.0 / 3.0 * jitter;
        Duration::from_secs_f64((due - seconds_now() as f64).max(1.0))
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

fn anchors(bundle: &proto::TrustBundle) -> Vec<CertificateDer<'static>> {
    bundle.anchors.iter().map(|der| CertificateDer::from(der.to_vec())).collect()
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
