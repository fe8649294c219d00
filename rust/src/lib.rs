//! `waton._core`: the table of contents. The pure parts are under `core`, which knows no Python; each file beside this one is
//! the Python face of one of them. The contract is `waton/_core.pyi`.

pub mod core;

#[cfg(feature = "python")]
mod curve;
#[cfg(feature = "python")]
mod error;
#[cfg(feature = "python")]
mod jid;
#[cfg(feature = "python")]
mod node;
#[cfg(feature = "python")]
mod noise;
#[cfg(feature = "python")]
mod sender_key;
#[cfg(feature = "python")]
mod signal;
#[cfg(feature = "python")]
mod text;

#[cfg(feature = "python")]
#[pyo3::pymodule]
fn _core(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
    node::register(module)?;
    noise::register(module)?;
    curve::register(module)?;
    signal::register(module)?;
    sender_key::register(module)
}
