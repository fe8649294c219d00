//! Python strings that are needed again and again: tokens and servers, made once.

use crate::core::codec::Atom;
use crate::core::jid::SERVERS;
use crate::core::tokens;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

struct Strings {
    tokens: Vec<Py<PyString>>,
    servers: Vec<Py<PyString>>,
    empty: Py<PyString>,
}

static STRINGS: PyOnceLock<Strings> = PyOnceLock::new();

fn strings(py: Python<'_>) -> &Strings {
    STRINGS.get_or_init(py, || {
        let make = |text: &&str| PyString::intern(py, text).unbind();
        Strings {
            tokens: tokens::all().iter().map(make).collect(),
            servers: SERVERS.iter().map(make).collect(),
            empty: PyString::intern(py, "").unbind(),
        }
    })
}

/// The Python string of a token; empty for a number that none has.
#[inline(always)]
pub fn token(py: Python<'_>, number: u16) -> Bound<'_, PyString> {
    let strings = strings(py);
    strings.tokens.get(usize::from(number)).unwrap_or(&strings.empty).bind(py).clone()
}

/// The Python string of a piece of wire text.
pub fn atom(py: Python<'_>, atom: &Atom<'_>) -> Py<PyString> {
    atom.with(|text| PyString::new(py, text).unbind())
}

/// The name of a known server.
pub fn server(py: Python<'_>, number: u8) -> Py<PyString> {
    let strings = strings(py);
    strings.servers.get(usize::from(number)).unwrap_or(&strings.empty).clone_ref(py)
}

/// The empty string.
pub fn empty(py: Python<'_>) -> Py<PyString> {
    strings(py).empty.clone_ref(py)
}
