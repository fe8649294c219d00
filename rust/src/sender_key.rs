//! The Python face of `core::signal::sender_key`.

use crate::core::signal::error::Failure;
use crate::core::signal::sender_key::{self, StateView};
use crate::error::{Error, fixed};
use crate::signal::{bytes, fingerprint, step};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use zeroize::Zeroizing;

/// What a step along a chain costs, in bytes of work; how many there are is told by the message alone.
const CHAIN_STEP: usize = 256;
const MOST_STEPS: usize = 1 << 10;
const MESSAGE: &str = "sender key message";
const DISTRIBUTION: &str = "sender key distribution";
const RECORD: &str = "sender key";

/// The exception of a failure; `what` of these bytes was being read.
fn raised<T>(py: Python<'_>, result: Result<T, Failure>, what: &'static str, data: &[u8]) -> PyResult<T> {
    result.map_err(|failure| {
        let error = match failure {
            Failure::Message(offset) => Error::Decode(offset, what),
            Failure::Record => Error::Storage(RECORD),
            Failure::InvalidSignature => Error::Decrypt("invalid_signature"),
            other => Error::from(other),
        };
        error.raise(py, data)
    })
}

/// How much work a message may be: an iteration far from zero can mean a long way along the chain.
fn weight(record: &[u8], message: &[u8]) -> usize {
    let iteration = sender_key::message_id(message).map_or(0, |(_, iteration)| iteration);
    record.len() + message.len() + CHAIN_STEP * usize::try_from(iteration).unwrap_or(0).min(MOST_STEPS)
}

#[pyfunction]
#[pyo3(signature = (record, *, entropy))]
fn sender_key_create<'py>(py: Python<'py>, record: &[u8], entropy: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let entropy = Zeroizing::new(fixed(entropy, "entropy")?);
    Ok(bytes(py, &raised(py, sender_key::create(record, &entropy), RECORD, b"")?))
}

#[pyfunction]
fn sender_key_distribution<'py>(py: Python<'py>, record: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(bytes(py, &raised(py, sender_key::distribution(record), RECORD, b"")?))
}

#[pyfunction]
fn sender_key_process<'py>(py: Python<'py>, record: &[u8], distribution: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let size = record.len() + distribution.len();
    let made = step(py, size, || sender_key::process(record, distribution));
    Ok(bytes(py, &raised(py, made, DISTRIBUTION, distribution)?))
}

type Pair<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

#[pyfunction]
#[pyo3(signature = (record, plaintext, *, entropy))]
fn sender_key_encrypt<'py>(py: Python<'py>, record: &[u8], plaintext: &[u8], entropy: &[u8]) -> PyResult<Pair<'py>> {
    let entropy = Zeroizing::new(fixed(entropy, "entropy")?);
    let size = record.len() + plaintext.len();
    let sealed = step(py, size, || sender_key::encrypt(record, plaintext, &entropy));
    let (record, message) = raised(py, sealed, RECORD, b"")?;
    Ok((bytes(py, &record), bytes(py, &message)))
}

#[pyfunction]
fn sender_key_decrypt<'py>(py: Python<'py>, record: &[u8], message: &[u8]) -> PyResult<Pair<'py>> {
    let opened = step(py, weight(record, message), || sender_key::decrypt(record, message));
    let (record, plaintext) = raised(py, opened, MESSAGE, message)?;
    Ok((bytes(py, &record), bytes(py, &plaintext)))
}

#[pyfunction]
fn sender_key_message_id(py: Python<'_>, message: &[u8]) -> PyResult<(u32, u32)> {
    raised(py, sender_key::message_id(message), MESSAGE, message)
}

fn state_info<'py>(py: Python<'py>, view: &StateView) -> PyResult<Bound<'py, PyDict>> {
    let info = PyDict::new(py);
    info.set_item("id", view.id)?;
    info.set_item("iteration", view.iteration)?;
    info.set_item("skipped", view.skipped)?;
    info.set_item("signing_key", fingerprint(&view.signing_key))?;
    info.set_item("is_ours", view.is_ours)?;
    Ok(info)
}

#[pyfunction]
fn sender_key_describe<'py>(py: Python<'py>, record: &[u8]) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let states = raised(py, sender_key::describe(record), RECORD, b"")?;
    states.iter().map(|view| state_info(py, view)).collect()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(sender_key_create, module)?)?;
    module.add_function(wrap_pyfunction!(sender_key_distribution, module)?)?;
    module.add_function(wrap_pyfunction!(sender_key_process, module)?)?;
    module.add_function(wrap_pyfunction!(sender_key_encrypt, module)?)?;
    module.add_function(wrap_pyfunction!(sender_key_decrypt, module)?)?;
    module.add_function(wrap_pyfunction!(sender_key_message_id, module)?)?;
    module.add_function(wrap_pyfunction!(sender_key_describe, module)?)
}
