//! The one place where Rust's failures become waton's exceptions, which live in Python (`waton/errors.py`).

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::types::PyBytes;
use pyo3::{PyErr, Python, import_exception};

import_exception!(waton.errors, DecodeError);
import_exception!(waton.errors, DecryptError);
import_exception!(waton.errors, HandshakeError);
import_exception!(waton.errors, InvalidSignature);
import_exception!(waton.errors, LocalProtocolError);
import_exception!(waton.errors, RemoteProtocolError);
import_exception!(waton.errors, StorageError);

/// A failure, before it is an exception.
#[derive(Debug)]
pub enum Error {
    /// Bytes that do not parse: offset, what was being read.
    Decode(usize, &'static str),
    /// A Signal message that cannot be read, with `DecryptReason`'s spelling.
    Decrypt(&'static str),
    /// With `HandshakeStep`'s spelling.
    Handshake(&'static str),
    Signature(&'static str),
    Local(&'static str),
    Remote(&'static str),
    Storage(&'static str),
    Value(String),
    Type(&'static str),
    Python(PyErr),
}

impl Error {
    /// The exception; `data` is the input that a `DecodeError` carries.
    pub fn raise(self, py: Python<'_>, data: &[u8]) -> PyErr {
        match self {
            Self::Decode(offset, what) => DecodeError::new_err((offset, PyBytes::new(py, data).unbind(), what)),
            other => other.into(),
        }
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Decode(offset, what) => DecodeError::new_err((offset, Vec::<u8>::new(), what)),
            Error::Decrypt(reason) => DecryptError::new_err((reason,)),
            Error::Handshake(step) => HandshakeError::new_err((step,)),
            Error::Signature(what) => InvalidSignature::new_err((what,)),
            Error::Local(text) => LocalProtocolError::new_err((text,)),
            Error::Remote(text) => RemoteProtocolError::new_err((text,)),
            Error::Storage(key) => StorageError::new_err((key,)),
            Error::Value(text) => PyValueError::new_err(text),
            Error::Type(text) => PyTypeError::new_err(text),
            Error::Python(error) => error,
        }
    }
}

impl From<PyErr> for Error {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

/// A fixed-length argument. A wrong length is the caller's mistake: `ValueError`.
pub fn fixed<const N: usize>(bytes: &[u8], name: &str) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| Error::Value(format!("{name} must be {N} bytes, not {}", bytes.len())))
}
