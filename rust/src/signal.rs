//! The Python face of `core::signal`.

use crate::core::signal::message::PreKeySignalMessage;
use crate::core::signal::record::{Chain, Session};
use crate::core::signal::session::{self, Bundle, Decrypted, Failure, Kind, Local};
use crate::core::{hash, signal::message::wire_key};
use crate::error::{Error, fixed};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use zeroize::Zeroizing;

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Record => Self::Storage("session"),
            Failure::Message(offset) => Self::Decode(offset, "signal message"),
            Failure::NoSession => Self::Decrypt("no_session"),
            Failure::InvalidKey => Self::Decrypt("invalid_key"),
            Failure::InvalidKeyId => Self::Decrypt("invalid_key_id"),
            Failure::InvalidMessage => Self::Decrypt("invalid_message"),
            Failure::Signature => Self::Signature("signed prekey"),
            Failure::Future => Self::Decrypt("future_message"),
            Failure::BadMac => Self::Decrypt("bad_mac"),
            Failure::Duplicate => Self::Decrypt("duplicate"),
        }
    }
}

#[pyclass(frozen, module = "waton._core")]
pub struct PreKeyBundle {
    inner: Bundle,
}

#[pymethods]
impl PreKeyBundle {
    #[new]
    #[pyo3(signature = (*, registration_id, identity_key, signed_prekey_id, signed_prekey, signed_prekey_signature,
                        prekey_id = None, prekey = None))]
    fn new(
        registration_id: u32, identity_key: &[u8], signed_prekey_id: u32, signed_prekey: &[u8],
        signed_prekey_signature: &[u8], prekey_id: Option<u32>, prekey: Option<&[u8]>,
    ) -> Result<Self, Error> {
        let prekey = match (prekey_id, prekey) {
            (Some(id), Some(key)) => Some((id, fixed(key, "prekey")?)),
            (None, None) => None,
            _ => return Err(Error::Value("prekey_id and prekey go together".to_owned())),
        };
        let inner = Bundle {
            registration_id,
            identity_key: fixed(identity_key, "identity_key")?,
            signed_prekey_id,
            signed_prekey: fixed(signed_prekey, "signed_prekey")?,
            signed_prekey_signature: fixed(signed_prekey_signature, "signed_prekey_signature")?,
            prekey,
        };
        Ok(Self { inner })
    }

    #[getter]
    fn registration_id(&self) -> u32 {
        self.inner.registration_id
    }

    #[getter]
    fn identity_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.identity_key)
    }

    #[getter]
    fn prekey_id(&self) -> Option<u32> {
        self.inner.prekey.map(|(id, _)| id)
    }

    #[getter]
    fn signed_prekey_id(&self) -> u32 {
        self.inner.signed_prekey_id
    }
}

#[pyclass(frozen, module = "waton._core")]
pub struct PreKeyMessage {
    registration_id: u32,
    prekey_id: Option<u32>,
    signed_prekey_id: u32,
    base_key: [u8; 32],
    identity_key: [u8; 32],
}

#[pymethods]
impl PreKeyMessage {
    #[staticmethod]
    fn parse(py: Python<'_>, message: &[u8]) -> PyResult<Self> {
        let parsed = PreKeySignalMessage::parse(message)
            .map_err(|fault| Error::Decode(fault.0, "signal message").raise(py, message))?;
        Ok(Self {
            registration_id: parsed.registration_id,
            prekey_id: parsed.prekey_id,
            signed_prekey_id: parsed.signed_prekey_id,
            base_key: parsed.base_key,
            identity_key: parsed.identity_key,
        })
    }

    #[getter]
    fn registration_id(&self) -> u32 {
        self.registration_id
    }

    #[getter]
    fn prekey_id(&self) -> Option<u32> {
        self.prekey_id
    }

    #[getter]
    fn signed_prekey_id(&self) -> u32 {
        self.signed_prekey_id
    }

    #[getter]
    fn base_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.base_key)
    }

    #[getter]
    fn identity_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.identity_key)
    }
}

/// The private keys of a call, wiped when it ends.
struct Ours {
    private: Zeroizing<[u8; 32]>,
    public: [u8; 32],
    registration_id: u32,
}

impl Ours {
    fn new(private: &[u8], public: &[u8], registration_id: u32) -> Result<Self, Error> {
        Ok(Self {
            private: Zeroizing::new(fixed(private, "identity_private")?),
            public: fixed(public, "identity_public")?,
            registration_id,
        })
    }

    fn local(&self) -> Local<'_> {
        Local {
            identity_private: &self.private,
            identity_public: &self.public,
            registration_id: self.registration_id,
        }
    }
}

type Out<'py> = Bound<'py, PyBytes>;

#[pyfunction]
#[pyo3(signature = (record, bundle, *, identity_private, identity_public, registration_id, entropy))]
fn session_initiate<'py>(
    py: Python<'py>, record: &[u8], bundle: &PreKeyBundle, identity_private: &[u8], identity_public: &[u8],
    registration_id: u32, entropy: &[u8],
) -> Result<Out<'py>, Error> {
    let ours = Ours::new(identity_private, identity_public, registration_id)?;
    let entropy = Zeroizing::new(fixed(entropy, "entropy")?);
    let made = session::initiate(record, &bundle.inner, &ours.local(), &entropy)?;
    Ok(PyBytes::new(py, &made))
}

#[pyfunction]
fn session_encrypt<'py>(
    py: Python<'py>, record: &[u8], plaintext: &[u8],
) -> Result<(Out<'py>, &'static str, Out<'py>), Error> {
    let (record, kind, message) = session::encrypt(record, plaintext)?;
    let kind = match kind {
        Kind::PreKey => "pkmsg",
        Kind::Message => "msg",
    };
    Ok((PyBytes::new(py, &record), kind, PyBytes::new(py, &message)))
}

fn opened<'py>(
    py: Python<'py>, message: &[u8], outcome: Result<Decrypted, Failure>,
) -> PyResult<(Out<'py>, Out<'py>, bool)> {
    let done = outcome.map_err(|failure| Error::from(failure).raise(py, message))?;
    Ok((PyBytes::new(py, &done.record), PyBytes::new(py, &done.plaintext), done.opened))
}

#[pyfunction]
#[pyo3(signature = (record, message, *, entropy))]
fn session_decrypt<'py>(
    py: Python<'py>, record: &[u8], message: &[u8], entropy: &[u8],
) -> PyResult<(Out<'py>, Out<'py>)> {
    let entropy = Zeroizing::new(fixed(entropy, "entropy")?);
    let (record, plaintext, _) = opened(py, message, session::decrypt(record, message, &entropy))?;
    Ok((record, plaintext))
}

fn secret(key: Option<&[u8]>, name: &str) -> Result<Option<Zeroizing<[u8; 32]>>, Error> {
    key.map(|key| fixed(key, name).map(Zeroizing::new)).transpose()
}

#[pyfunction]
#[pyo3(signature = (record, message, *, identity_private, identity_public, registration_id, signed_prekey_private,
                    prekey_private, entropy))]
#[allow(clippy::too_many_arguments, reason = "keyword arguments, the contract of _core.pyi")]
fn session_decrypt_prekey<'py>(
    py: Python<'py>, record: &[u8], message: &[u8], identity_private: &[u8], identity_public: &[u8],
    registration_id: u32, signed_prekey_private: Option<&[u8]>, prekey_private: Option<&[u8]>, entropy: &[u8],
) -> PyResult<(Out<'py>, Out<'py>, bool)> {
    let ours = Ours::new(identity_private, identity_public, registration_id)?;
    let entropy = Zeroizing::new(fixed(entropy, "entropy")?);
    let signed = secret(signed_prekey_private, "signed_prekey_private")?;
    let once = secret(prekey_private, "prekey_private")?;
    let outcome = session::decrypt_prekey(
        record, message, &ours.local(), signed.as_deref(), once.as_deref(), &entropy,
    );
    opened(py, message, outcome)
}

#[pyfunction]
fn session_is_open(record: &[u8]) -> Result<bool, Error> {
    Ok(session::current(record)?.is_some_and(|session| session.sender.is_some()))
}

#[pyfunction]
fn session_base_key<'py>(py: Python<'py>, record: &[u8]) -> Result<Option<(Out<'py>, u32)>, Error> {
    let current = session::current(record)?;
    Ok(current.map(|session| (PyBytes::new(py, &session.base_key), session.remote_registration_id)))
}

#[pyfunction]
fn session_archive<'py>(py: Python<'py>, record: &[u8]) -> Result<Out<'py>, Error> {
    Ok(PyBytes::new(py, &session::archived(record)?))
}

/// The first 8 hex characters of SHA-256 of a public key.
fn fingerprint(key: &[u8; 32]) -> String {
    hash::sha256(&[&wire_key(key)])[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn chain<'py>(py: Python<'py>, chain: &Chain) -> PyResult<Bound<'py, PyDict>> {
    let shown = PyDict::new(py);
    shown.set_item("ratchet_key", fingerprint(&chain.ratchet_key))?;
    shown.set_item("counter", chain.index)?;
    shown.set_item("skipped", chain.skipped.len())?;
    Ok(shown)
}

fn describe<'py>(py: Python<'py>, session: &Session) -> PyResult<Bound<'py, PyDict>> {
    let shown = PyDict::new(py);
    shown.set_item("version", session.version)?;
    shown.set_item("remote_registration_id", session.remote_registration_id)?;
    shown.set_item("local_registration_id", session.local_registration_id)?;
    shown.set_item("base_key", fingerprint(&session.base_key))?;
    shown.set_item("remote_identity", fingerprint(&session.remote_identity))?;
    shown.set_item("previous_counter", session.previous_counter)?;
    shown.set_item("sending", session.sender.as_ref().map(|sender| chain(py, sender)).transpose()?)?;
    let receiving = PyList::empty(py);
    for receiver in &session.receivers {
        receiving.append(chain(py, receiver)?)?;
    }
    shown.set_item("receiving", receiving)?;
    shown.set_item("pending_prekey", session.pending.is_some())?;
    Ok(shown)
}

#[pyfunction]
fn session_describe<'py>(py: Python<'py>, record: &[u8]) -> PyResult<Bound<'py, PyList>> {
    let shown = PyList::empty(py);
    for session in session::all(record).map_err(Error::from)? {
        shown.append(describe(py, &session)?)?;
    }
    Ok(shown)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PreKeyBundle>()?;
    module.add_class::<PreKeyMessage>()?;
    module.add_function(wrap_pyfunction!(session_initiate, module)?)?;
    module.add_function(wrap_pyfunction!(session_encrypt, module)?)?;
    module.add_function(wrap_pyfunction!(session_decrypt, module)?)?;
    module.add_function(wrap_pyfunction!(session_decrypt_prekey, module)?)?;
    module.add_function(wrap_pyfunction!(session_is_open, module)?)?;
    module.add_function(wrap_pyfunction!(session_base_key, module)?)?;
    module.add_function(wrap_pyfunction!(session_archive, module)?)?;
    module.add_function(wrap_pyfunction!(session_describe, module)?)
}
