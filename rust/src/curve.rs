//! The Python face of the curve and of the hashes.

use crate::core::{curve, hash, xeddsa};
use crate::error::{Error, fixed};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

#[pyfunction]
fn x25519_public_key<'py>(py: Python<'py>, private_key: &[u8]) -> Result<Bound<'py, PyBytes>, Error> {
    let private = Zeroizing::new(fixed(private_key, "private_key")?);
    Ok(PyBytes::new(py, &curve::public_key(&private)))
}

#[pyfunction]
fn x25519<'py>(py: Python<'py>, private_key: &[u8], public_key: &[u8]) -> Result<Bound<'py, PyBytes>, Error> {
    let private = Zeroizing::new(fixed(private_key, "private_key")?);
    let shared = curve::shared_secret(&private, &fixed(public_key, "public_key")?)
        .ok_or(Error::Remote("a public key of low order"))?;
    Ok(PyBytes::new(py, Zeroizing::new(shared).as_slice()))
}

#[pyfunction]
fn xeddsa_sign<'py>(
    py: Python<'py>, private_key: &[u8], message: &[u8], entropy: &[u8],
) -> Result<Bound<'py, PyBytes>, Error> {
    let private = Zeroizing::new(fixed(private_key, "private_key")?);
    let entropy = Zeroizing::new(fixed(entropy, "entropy")?);
    Ok(PyBytes::new(py, &xeddsa::sign(&private, message, &entropy)))
}

#[pyfunction]
fn xeddsa_verify(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Error> {
    let public = fixed(public_key, "public_key")?;
    let signature = fixed(signature, "signature")?;
    if xeddsa::verify(&public, message, &signature) { Ok(()) } else { Err(Error::Signature("data")) }
}

#[pyfunction]
#[pyo3(signature = (key, length, info = None, salt = None), text_signature = "(key, length, info=b'', salt=b'')")]
fn hkdf_sha256<'py>(
    py: Python<'py>, key: &[u8], length: usize, info: Option<&[u8]>, salt: Option<&[u8]>,
) -> Result<Bound<'py, PyBytes>, Error> {
    if length > 255 * 32 {
        return Err(Error::Value("length must be at most 8160".to_owned()));
    }
    let mut out = Zeroizing::new(vec![0; length]);
    if !hash::hkdf_sha256(salt.unwrap_or(b""), key, info.unwrap_or(b""), &mut out) {
        return Err(Error::Value("length must be at most 8160".to_owned()));
    }
    Ok(PyBytes::new(py, &out))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(x25519_public_key, module)?)?;
    module.add_function(wrap_pyfunction!(x25519, module)?)?;
    module.add_function(wrap_pyfunction!(xeddsa_sign, module)?)?;
    module.add_function(wrap_pyfunction!(xeddsa_verify, module)?)?;
    module.add_function(wrap_pyfunction!(hkdf_sha256, module)?)
}
