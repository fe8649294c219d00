//! The Python face of `core::signal`.

use crate::core::hash;
use crate::core::signal::error::Failure;
use crate::core::signal::message::{PreKeySignalMessage, PublicKey, SignalMessage};
use crate::core::signal::session::{self, Bundle, Bytes, ChainView, Local, Prekeys, SessionView};
use crate::core::signal::{KeyPair, Kind};
use crate::error::{Error, fixed};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use zeroize::Zeroizing;

/// Work on more bytes than this runs without the interpreter lock.
const WITHOUT_LOCK: usize = 64 << 10;
/// What a step along a chain costs, in bytes of work.
const CHAIN_STEP: usize = 256;
const MESSAGE: &str = "signal message";
const RECORD: &str = "session";

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Decrypt(match failure {
            Failure::Message(offset) => return Self::Decode(offset, MESSAGE),
            Failure::Record => return Self::Storage(RECORD),
            Failure::InvalidSignature => return Self::Signature("signed prekey"),
            Failure::NoSession => "no_session",
            Failure::NoSenderKey => "no_sender_key",
            Failure::BadMac => "bad_mac",
            Failure::Duplicate => "duplicate",
            Failure::FutureMessage => "future_message",
            Failure::InvalidMessage => "invalid_message",
            Failure::InvalidKey => "invalid_key",
            Failure::InvalidKeyId => "invalid_key_id",
        })
    }
}

/// The step's result, or its exception; a DecodeError carries `message`.
fn raised<T>(py: Python<'_>, result: Result<T, Failure>, message: &[u8]) -> PyResult<T> {
    result.map_err(|failure| Error::from(failure).raise(py, message))
}

/// Run a step, without the interpreter lock when there is much to do.
pub fn step<T: Send>(py: Python<'_>, size: usize, work: impl FnOnce() -> T + Send) -> T {
    if size > WITHOUT_LOCK { py.detach(work) } else { work() }
}

/// How much work a message may be: a counter far from zero can mean a long way along a chain.
fn weight(record: &[u8], message: &[u8]) -> usize {
    let counter = SignalMessage::parse(message).map_or(0, |message| message.counter);
    record.len() + message.len() + CHAIN_STEP * usize::try_from(counter).unwrap_or(0).min(WITHOUT_LOCK)
}

pub fn bytes<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, bytes)
}

fn secret(bytes: Option<&[u8]>, name: &str) -> Result<Option<Zeroizing<[u8; 32]>>, Error> {
    bytes.map(|bytes| Ok(Zeroizing::new(fixed(bytes, name)?))).transpose()
}

fn local(identity_private: &[u8], identity_public: &[u8], registration_id: u32) -> Result<Local, Error> {
    let private = Zeroizing::new(fixed(identity_private, "identity_private")?);
    let identity = KeyPair { private, public: fixed(identity_public, "identity_public")? };
    Ok(Local { identity, registration_id })
}

// --- values -------------------------------------------------------------------------------------------------------------

#[pyclass(frozen, module = "waton._core")]
pub struct PreKeyBundle(Bundle);

#[pymethods]
impl PreKeyBundle {
    #[new]
    #[pyo3(signature = (
        *, registration_id, identity_key, signed_prekey_id, signed_prekey, signed_prekey_signature,
        prekey_id = None, prekey = None
    ))]
    fn new(
        registration_id: u32, identity_key: &[u8], signed_prekey_id: u32, signed_prekey: &[u8],
        signed_prekey_signature: &[u8], prekey_id: Option<u32>, prekey: Option<&[u8]>,
    ) -> Result<Self, Error> {
        let prekey = match (prekey_id, prekey) {
            (Some(id), Some(key)) => Some((id, fixed(key, "prekey")?)),
            (None, None) => None,
            _ => return Err(Error::Value("prekey_id and prekey go together".to_owned())),
        };
        Ok(Self(Bundle {
            registration_id,
            identity_key: fixed(identity_key, "identity_key")?,
            signed_prekey_id,
            signed_prekey: fixed(signed_prekey, "signed_prekey")?,
            signed_prekey_signature: fixed(signed_prekey_signature, "signed_prekey_signature")?,
            prekey,
        }))
    }

    #[getter]
    fn registration_id(&self) -> u32 {
        self.0.registration_id
    }

    #[getter]
    fn identity_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        bytes(py, &self.0.identity_key)
    }

    #[getter]
    fn prekey_id(&self) -> Option<u32> {
        self.0.prekey.map(|(id, _)| id)
    }

    #[getter]
    fn signed_prekey_id(&self) -> u32 {
        self.0.signed_prekey_id
    }
}

#[pyclass(frozen, module = "waton._core")]
pub struct PreKeyMessage {
    registration_id: u32,
    prekey_id: Option<u32>,
    signed_prekey_id: u32,
    base_key: PublicKey,
    identity_key: PublicKey,
}

#[pymethods]
impl PreKeyMessage {
    #[staticmethod]
    fn parse(py: Python<'_>, message: &[u8]) -> PyResult<Self> {
        let parsed = raised(py, PreKeySignalMessage::parse(message), message)?;
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
        bytes(py, &self.base_key)
    }

    #[getter]
    fn identity_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        bytes(py, &self.identity_key)
    }
}

// --- steps --------------------------------------------------------------------------------------------------------------

#[pyfunction]
#[pyo3(signature = (record, bundle, *, identity_private, identity_public, registration_id, entropy))]
fn session_initiate<'py>(
    py: Python<'py>, record: &[u8], bundle: &PreKeyBundle, identity_private: &[u8], identity_public: &[u8],
    registration_id: u32, entropy: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let local = local(identity_private, identity_public, registration_id)?;
    let entropy = Zeroizing::new(fixed(entropy, "entropy")?);
    let made = step(py, record.len(), || session::initiate(record, &bundle.0, &local, &entropy));
    Ok(bytes(py, &raised(py, made, b"")?))
}

type Sealed<'py> = (Bound<'py, PyBytes>, Bound<'py, PyString>, Bound<'py, PyBytes>);

#[pyfunction]
fn session_encrypt<'py>(py: Python<'py>, record: &[u8], plaintext: &[u8]) -> PyResult<Sealed<'py>> {
    let size = record.len() + plaintext.len();
    let (record, kind, message) = raised(py, step(py, size, || session::encrypt(record, plaintext)), b"")?;
    let kind = match kind {
        Kind::PreKey => PyString::intern(py, "pkmsg"),
        Kind::Ordinary => PyString::intern(py, "msg"),
    };
    Ok((bytes(py, &record), kind, bytes(py, &message)))
}

#[pyfunction]
#[pyo3(signature = (record, message, *, entropy))]
fn session_decrypt<'py>(
    py: Python<'py>, record: &[u8], message: &[u8], entropy: &[u8],
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let entropy = Zeroizing::new(fixed(entropy, "entropy")?);
    let opened = step(py, weight(record, message), || session::decrypt(record, message, &entropy));
    let (record, plaintext) = raised(py, opened, message)?;
    Ok((bytes(py, &record), bytes(py, &plaintext)))
}

#[pyfunction]
#[pyo3(signature = (
    record, message, *, identity_private, identity_public, registration_id, signed_prekey_private, prekey_private, entropy
))]
#[allow(clippy::too_many_arguments)] // the contract's keyword arguments
fn session_decrypt_prekey<'py>(
    py: Python<'py>, record: &[u8], message: &[u8], identity_private: &[u8], identity_public: &[u8],
    registration_id: u32, signed_prekey_private: Option<&[u8]>, prekey_private: Option<&[u8]>, entropy: &[u8],
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>, bool)> {
    let local = local(identity_private, identity_public, registration_id)?;
    let signed = secret(signed_prekey_private, "signed_prekey_private")?;
    let prekeys = Prekeys { signed, once: secret(prekey_private, "prekey_private")? };
    let entropy = Zeroizing::new(fixed(entropy, "entropy")?);
    let size = record.len() + message.len();
    let opened = step(py, size, || session::decrypt_prekey(record, message, &local, &prekeys, &entropy));
    let (record, plaintext, opened) = raised(py, opened, message)?;
    Ok((bytes(py, &record), bytes(py, &plaintext), opened))
}

#[pyfunction]
fn session_is_open(record: &[u8]) -> Result<bool, Error> {
    Ok(session::is_open(record)?)
}

#[pyfunction]
fn session_base_key<'py>(py: Python<'py>, record: &[u8]) -> Result<Option<(Bound<'py, PyBytes>, u32)>, Error> {
    Ok(session::base_key(record)?.map(|(key, id)| (bytes(py, &key), id)))
}

#[pyfunction]
fn session_archive<'py>(py: Python<'py>, record: &[u8]) -> Result<Bound<'py, PyBytes>, Error> {
    let record: Bytes = session::archive(record)?;
    Ok(bytes(py, &record))
}

// --- description --------------------------------------------------------------------------------------------------------

/// First 8 hex characters of SHA-256.
pub fn fingerprint(key: &PublicKey) -> String {
    hash::sha256(&[key]).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn chain_info<'py>(py: Python<'py>, chain: &ChainView) -> PyResult<Bound<'py, PyDict>> {
    let info = PyDict::new(py);
    info.set_item("ratchet_key", fingerprint(&chain.ratchet_key))?;
    info.set_item("counter", chain.counter)?;
    info.set_item("skipped", chain.skipped)?;
    Ok(info)
}

fn session_info<'py>(py: Python<'py>, view: &SessionView) -> PyResult<Bound<'py, PyDict>> {
    let info = PyDict::new(py);
    info.set_item("version", view.version)?;
    info.set_item("remote_registration_id", view.remote_registration_id)?;
    info.set_item("local_registration_id", view.local_registration_id)?;
    info.set_item("base_key", view.base_key.as_ref().map(fingerprint).unwrap_or_default())?;
    info.set_item("remote_identity", fingerprint(&view.remote_identity))?;
    info.set_item("previous_counter", view.previous_counter)?;
    info.set_item("sending", view.sending.as_ref().map(|chain| chain_info(py, chain)).transpose()?)?;
    let receiving = view.receiving.iter().map(|chain| chain_info(py, chain)).collect::<PyResult<Vec<_>>>()?;
    info.set_item("receiving", PyList::new(py, receiving)?)?;
    info.set_item("pending_prekey", view.pending_prekey)?;
    Ok(info)
}

#[pyfunction]
fn session_describe<'py>(py: Python<'py>, record: &[u8]) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let sessions = raised(py, session::describe(record), b"")?;
    sessions.iter().map(|view| session_info(py, view)).collect()
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
