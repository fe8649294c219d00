//! `Jid`, the Python value of an address.

use crate::core::codec::{Server, WireJid};
use crate::core::jid::{self as core, JidParts};
use crate::error::Error;
use crate::text;
use pyo3::basic::CompareOp;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};
use std::borrow::Cow;
use std::hash::{Hash, Hasher};

/// The server: one of the known ones by number, or any other text.
enum PyServer {
    Known(u8),
    Other(Py<PyString>),
}

#[pyclass(frozen, module = "waton._core")]
pub struct Jid {
    user: Py<PyString>,
    server: PyServer,
    device: u16,
    integrator: u16,
    is_ad: bool,
}

impl Jid {
    /// The Python value of a JID on the wire.
    #[inline]
    pub fn from_wire<'py>(py: Python<'py>, wire: WireJid<'_, Bound<'py, PyString>>) -> PyResult<Self> {
        let user = match wire.user {
            Some(user) if wire.agent > 0 => PyString::new(py, &format!("{}_{}", user.to_str()?, wire.agent)).unbind(),
            Some(user) => user.unbind(),
            None => text::empty(py),
        };
        let server = match &wire.server {
            Server::Known(number) => PyServer::Known(*number),
            Server::Other(atom) => PyServer::Other(text::atom(py, atom)),
        };
        Ok(Self { user, server, device: wire.device, integrator: wire.integrator, is_ad: wire.is_ad })
    }

    fn from_parts(py: Python<'_>, parts: &JidParts<'_>) -> Self {
        let server = match core::server_number(parts.server) {
            Some(number) => PyServer::Known(number),
            None => PyServer::Other(PyString::new(py, parts.server).unbind()),
        };
        let user = PyString::new(py, &parts.user).unbind();
        Self { user, server, device: parts.device, integrator: parts.integrator, is_ad: parts.is_ad }
    }

    fn user_text<'a>(&'a self, py: Python<'a>) -> PyResult<&'a str> {
        self.user.bind(py).to_str()
    }

    fn server_text<'a>(&'a self, py: Python<'a>) -> PyResult<&'a str> {
        match &self.server {
            PyServer::Known(number) => Ok(core::server_name(*number)),
            PyServer::Other(text) => text.bind(py).to_str(),
        }
    }

    /// What the writer wants.
    pub fn parts<'a>(&'a self, py: Python<'a>) -> PyResult<JidParts<'a>> {
        Ok(JidParts {
            user: Cow::Borrowed(self.user_text(py)?),
            server: self.server_text(py)?,
            device: self.device,
            integrator: self.integrator,
            is_ad: self.is_ad,
        })
    }

    fn is_server_one_of(&self, numbers: &[u8]) -> bool {
        matches!(self.server, PyServer::Known(number) if numbers.contains(&number))
    }

    fn copy_with(&self, py: Python<'_>, device: u16) -> Self {
        let server = match &self.server {
            PyServer::Known(number) => PyServer::Known(*number),
            PyServer::Other(text) => PyServer::Other(text.clone_ref(py)),
        };
        let is_ad = device > 0 || self.integrator > 0;
        Self { user: self.user.clone_ref(py), server, device, integrator: self.integrator, is_ad }
    }

    /// The text that is read as the same JID in the same wire form: with `:0` where device 0 is named, with `@` before a server.
    pub fn full_text(&self, py: Python<'_>) -> PyResult<String> {
        let text = self.text(py, self.user_text(py)?, self.is_ad)?;
        Ok(if text.contains('@') { text } else { format!("@{text}") })
    }

    fn text(&self, py: Python<'_>, user: &str, with_device: bool) -> PyResult<String> {
        let server = self.server_text(py)?;
        let mut made = String::with_capacity(user.len() + server.len() + 8);
        if self.integrator > 0 {
            made.push_str(&format!("{}-", self.integrator));
        }
        made.push_str(user);
        if with_device {
            made.push_str(&format!(":{}", self.device));
        }
        if !made.is_empty() {
            made.push('@');
        }
        made.push_str(server);
        Ok(made)
    }

    fn order<'a>(&'a self, py: Python<'a>) -> PyResult<(&'a str, &'a str, u16, u16)> {
        Ok((self.server_text(py)?, self.user_text(py)?, self.device, self.integrator))
    }
}

/// Read the text of a JID, or of a server alone.
fn parse(text: &str) -> Result<JidParts<'_>, Error> {
    let server_alone = || JidParts { user: Cow::Borrowed(""), server: text, device: 0, integrator: 0, is_ad: false };
    let is_alone = !text.is_empty() && !text.contains(['@', ':']);
    core::parse(text).or_else(|| is_alone.then(server_alone)).ok_or_else(|| Error::Value("not a JID".to_owned()))
}

#[pymethods]
impl Jid {
    #[new]
    #[pyo3(signature = (user, server, device = 0, *, integrator = 0, is_ad = None))]
    fn new(
        py: Python<'_>, user: &str, server: &str, device: u16, integrator: u16, is_ad: Option<bool>,
    ) -> Result<Self, Error> {
        if server.is_empty() {
            return Err(Error::Value("a JID needs a server".to_owned()));
        }
        if integrator > 0 && server != "interop" {
            return Err(Error::Value("only interop addresses have an integrator".to_owned()));
        }
        // What names no device in any wire form is not AD, and what has one cannot be anything else.
        let is_ad = is_ad.unwrap_or(false) || device > 0 || integrator > 0;
        Ok(Self::from_parts(py, &JidParts { user: Cow::Borrowed(user), server, device, integrator, is_ad }))
    }

    #[staticmethod]
    fn parse(py: Python<'_>, text: &str) -> Result<Self, Error> {
        Ok(Self::from_parts(py, &parse(text)?))
    }

    #[getter]
    fn user(&self, py: Python<'_>) -> Py<PyString> {
        self.user.clone_ref(py)
    }

    #[getter]
    fn server(&self, py: Python<'_>) -> PyResult<Py<PyString>> {
        match &self.server {
            PyServer::Known(number) => Ok(text::server(py, *number)),
            PyServer::Other(text) => Ok(text.clone_ref(py)),
        }
    }

    #[getter]
    fn device(&self) -> u16 {
        self.device
    }

    #[getter]
    fn integrator(&self) -> u16 {
        self.integrator
    }

    #[getter]
    fn is_ad(&self) -> bool {
        self.is_ad
    }

    #[getter]
    fn bare(&self, py: Python<'_>) -> Self {
        self.copy_with(py, 0)
    }

    fn with_device(&self, py: Python<'_>, device: u16) -> Self {
        self.copy_with(py, device)
    }

    #[getter]
    fn is_pn(&self) -> bool {
        self.is_server_one_of(&[core::PN, core::LEGACY])
    }

    #[getter]
    fn is_lid(&self) -> bool {
        self.is_server_one_of(&[core::LID])
    }

    #[getter]
    fn is_hosted(&self) -> bool {
        self.is_server_one_of(&[core::HOSTED, core::HOSTED_LID])
    }

    #[getter]
    fn is_user(&self, py: Python<'_>) -> PyResult<bool> {
        let person = [core::PN, core::LEGACY, core::LID, core::HOSTED, core::HOSTED_LID];
        Ok(self.is_server_one_of(&person) && !self.user_text(py)?.is_empty())
    }

    #[getter]
    fn is_group(&self) -> bool {
        self.is_server_one_of(&[core::GROUP])
    }

    #[getter]
    fn is_broadcast(&self) -> bool {
        self.is_server_one_of(&[core::BROADCAST])
    }

    #[getter]
    fn is_newsletter(&self) -> bool {
        self.is_server_one_of(&[core::NEWSLETTER])
    }

    #[getter]
    fn is_server(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.user_text(py)?.is_empty())
    }

    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        self.text(py, self.user_text(py)?, self.device > 0)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let user = self.user_text(py)?;
        let masked = match &self.server {
            _ if user.is_empty() => Cow::Borrowed(""),
            PyServer::Known(core::PN | core::LEGACY | core::HOSTED) => Cow::Borrowed("***"),
            PyServer::Known(core::GROUP) => match user.split_once('-') {
                Some((_, created)) => Cow::Owned(format!("***-{created}")),
                None => Cow::Borrowed(user),
            },
            _ => Cow::Borrowed(user),
        };
        Ok(format!("Jid('{}')", self.text(py, &masked, self.device > 0)?))
    }

    fn __richcmp__(&self, py: Python<'_>, other: &Bound<'_, PyAny>, op: CompareOp) -> PyResult<Py<PyAny>> {
        let Ok(other) = other.cast::<Self>() else {
            return Ok(py.NotImplemented());
        };
        let answer = op.matches(self.order(py)?.cmp(&other.get().order(py)?));
        Ok(pyo3::types::PyBool::new(py, answer).to_owned().into_any().unbind())
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<u64> {
        let mut hasher = std::collections::hash_map::DefaultHasher::new();
        self.order(py)?.hash(&mut hasher);
        Ok(hasher.finish())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let py = slf.py();
        let this = slf.get();
        let make = py.import("functools")?.getattr("partial")?;
        let options = PyDict::new(py);
        options.set_item("integrator", this.integrator)?;
        options.set_item("is_ad", this.is_ad)?;
        let class: Bound<'py, PyType> = slf.get_type();
        let maker = make.call((class,), Some(&options))?;
        let arguments = (this.user.bind(py), this.server_text(py)?, this.device).into_pyobject(py)?;
        Ok((maker, arguments))
    }
}
