//! The Python face of `core::noise`.

use crate::core::noise::{Failure, Handshake, Keys, Pattern, Transport};
use crate::error::{Error, fixed};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Work above this many bytes runs without the interpreter lock.
const WITHOUT_LOCK: usize = 64 << 10;

#[pyclass(frozen, module = "waton._core")]
pub struct NoiseHandshake {
    inner: Mutex<Option<Handshake>>,
    pattern: Pattern,
    initiator: bool,
}

#[pyclass(frozen, module = "waton._core")]
pub struct NoiseTransport {
    inner: Mutex<Transport>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SPENT: Error = Error::Local("the handshake was turned into a transport");

impl NoiseHandshake {
    fn failure(&self, failure: Failure, peer_step: &'static str) -> Error {
        match failure {
            Failure::Turn => Error::Local("it is the other side's turn in the handshake"),
            Failure::TooLong => Error::Local("a handshake message holds at most 65,535 bytes"),
            Failure::Peer => Error::Handshake(peer_step),
            Failure::Exhausted => Error::Local("the connection's counter is used up"),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Handshake) -> Result<T, Error>) -> Result<T, Error> {
        work(lock(&self.inner).as_mut().ok_or(SPENT)?)
    }
}

#[pymethods]
impl NoiseHandshake {
    #[new]
    #[pyo3(signature = (*, initiator, prologue, static_private, ephemeral_private, pattern = "XX", remote_static = None))]
    fn new(
        initiator: bool, prologue: &[u8], static_private: &[u8], ephemeral_private: &[u8], pattern: &str,
        remote_static: Option<&[u8]>,
    ) -> Result<Self, Error> {
        let pattern = Pattern::named(pattern)
            .ok_or_else(|| Error::Value(format!("no such handshake: {pattern}; XX, IK and XXfallback are known")))?;
        let static_private = zeroize::Zeroizing::new(fixed(static_private, "static_private")?);
        let remote_static = remote_static.map(|key| fixed(key, "remote_static")).transpose()?;
        let keys = Keys {
            static_private: &static_private,
            ephemeral_private: fixed(ephemeral_private, "ephemeral_private")?,
            remote_static: remote_static.as_ref(),
        };
        let inner = Handshake::new(pattern, initiator, prologue, keys)
            .map_err(|_| Error::Value("remote_static is for the initiator of IK, and needed there".to_owned()))?;
        Ok(Self { inner: Mutex::new(Some(inner)), pattern, initiator })
    }

    #[pyo3(signature = (payload = None), text_signature = "($self, payload=b'')")]
    fn write_message<'py>(&self, py: Python<'py>, payload: Option<&[u8]>) -> Result<Bound<'py, PyBytes>, Error> {
        // Only a public key of the peer's can be at fault: one it sent before, or the one IK's first message is for.
        let message = self.with(|inner| {
            let step = if self.initiator && self.pattern != Pattern::Ik { "server_hello" } else { "client_hello" };
            inner.write(payload.unwrap_or(b"")).map_err(|failure| self.failure(failure, step))
        })?;
        Ok(PyBytes::new(py, &message))
    }

    fn read_message<'py>(&self, py: Python<'py>, message: &[u8]) -> Result<Bound<'py, PyBytes>, Error> {
        let payload = self.with(|inner| {
            let step = match (self.initiator, self.pattern, message.len()) {
                (true, _, _) => "server_hello",
                (false, Pattern::Ik, _) | (false, _, ..=32) => "client_hello",
                (false, _, _) => "client_finish",
            };
            inner.read(message).map_err(|failure| self.failure(failure, step))
        })?;
        Ok(PyBytes::new(py, &payload))
    }

    #[getter]
    fn remote_static<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyBytes>>, Error> {
        self.with(|inner| Ok(inner.remote_static().map(|key| PyBytes::new(py, key))))
    }

    #[getter]
    fn handshake_hash<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyBytes>, Error> {
        self.with(|inner| Ok(PyBytes::new(py, inner.hash())))
    }

    #[getter]
    fn is_finished(&self) -> Result<bool, Error> {
        self.with(|inner| Ok(inner.is_finished()))
    }

    #[allow(clippy::wrong_self_convention)] // Python objects cannot be consumed; `inner` is left empty instead
    fn into_transport(&self) -> Result<NoiseTransport, Error> {
        let mut inner = lock(&self.inner);
        if !inner.as_ref().ok_or(SPENT)?.is_finished() {
            return Err(Error::Local("the handshake is not finished"));
        }
        let transport = inner.take().ok_or(SPENT)?.split().map_err(|failure| self.failure(failure, "client_finish"))?;
        Ok(NoiseTransport { inner: Mutex::new(transport) })
    }
}

impl NoiseTransport {
    fn run(
        &self, py: Python<'_>, data: &[u8], work: fn(&mut Transport, &[u8]) -> Result<Vec<u8>, Failure>,
    ) -> Result<Vec<u8>, Error> {
        let done = if data.len() > WITHOUT_LOCK {
            py.detach(|| work(&mut lock(&self.inner), data))
        } else {
            work(&mut lock(&self.inner), data)
        };
        done.map_err(|failure| match failure {
            Failure::Exhausted => Error::Local("the connection's counter is used up"),
            Failure::Peer => Error::Remote("a frame does not decrypt"),
            Failure::TooLong | Failure::Turn => Error::Local("the frame is too long"),
        })
    }
}

#[pymethods]
impl NoiseTransport {
    #[getter]
    fn sent(&self) -> u32 {
        lock(&self.inner).sent()
    }

    #[getter]
    fn received(&self) -> u32 {
        lock(&self.inner).received()
    }

    fn encrypt<'py>(&self, py: Python<'py>, plaintext: &[u8]) -> Result<Bound<'py, PyBytes>, Error> {
        Ok(PyBytes::new(py, &self.run(py, plaintext, Transport::encrypt)?))
    }

    fn decrypt<'py>(&self, py: Python<'py>, ciphertext: &[u8]) -> Result<Bound<'py, PyBytes>, Error> {
        Ok(PyBytes::new(py, &self.run(py, ciphertext, Transport::decrypt)?))
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<NoiseHandshake>()?;
    module.add_class::<NoiseTransport>()
}
