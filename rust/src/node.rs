//! `Node`, the Python value of a stanza, and the codec's two functions over it.

use crate::core::codec::{self, Build, Content, Fault, InflateFault, Unwritable, WireJid, Writer};
use crate::core::tokens;
use crate::error::Error;
use crate::jid::Jid;
use crate::text;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple, PyType};
use std::borrow::Cow;

const MAX_INFLATED: usize = 64 << 20;

/// Work above this many bytes runs without the interpreter lock.
const WITHOUT_LOCK: usize = 64 << 10;

/// A body of more bytes than this may hold so many nodes that the garbage collector would run while they are made.
const MANY_NODES: usize = 16 << 10;

// The collector is shown what a node holds. It needs no way to clear one: a cycle through a node goes through its dict or its
// list as well, and those it can clear.
#[pyclass(frozen, module = "waton._core")]
pub struct Node {
    tag: Py<PyString>,
    attrs: Py<PyDict>,
    content: Py<PyAny>,
}

#[pymethods]
impl Node {
    #[new]
    #[pyo3(signature = (tag, attrs = None, content = None))]
    fn new(
        py: Python<'_>, tag: Bound<'_, PyString>, attrs: Option<&Bound<'_, PyDict>>, content: Option<Bound<'_, PyAny>>,
    ) -> Result<Self, Error> {
        let kept = PyDict::new(py);
        for (name, value) in attrs.into_iter().flatten() {
            if value.is_none() {
                continue;
            }
            if !name.is_instance_of::<PyString>() {
                return Err(Error::Type("an attribute's name must be str"));
            }
            if !value.is_instance_of::<PyString>() && !value.is_instance_of::<Jid>() {
                return Err(Error::Type("an attribute must be str, Jid or None"));
            }
            kept.set_item(name, value)?;
        }
        let content = match content {
            Some(content) => checked_content(content)?,
            None => py.None(),
        };
        Ok(Self { tag: tag.unbind(), attrs: kept.unbind(), content })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.attrs)?;
        visit.call(&self.content)
    }

    #[getter]
    fn tag(&self, py: Python<'_>) -> Py<PyString> {
        self.tag.clone_ref(py)
    }

    #[getter]
    fn attrs(&self, py: Python<'_>) -> Py<PyDict> {
        self.attrs.clone_ref(py)
    }

    #[getter]
    fn content(&self, py: Python<'_>) -> Py<PyAny> {
        self.content.clone_ref(py)
    }

    fn child(&self, py: Python<'_>, tag: &str) -> PyResult<Option<Py<Self>>> {
        let Ok(list) = self.content.bind(py).cast::<PyList>() else {
            return Ok(None);
        };
        for item in list {
            let node = item.cast::<Self>()?;
            if node.get().tag.bind(py).to_str()? == tag {
                return Ok(Some(node.clone().unbind()));
            }
        }
        Ok(None)
    }

    #[pyo3(signature = (tag = None))]
    fn children(&self, py: Python<'_>, tag: Option<&str>) -> PyResult<Vec<Py<Self>>> {
        let mut found = Vec::new();
        if let Ok(list) = self.content.bind(py).cast::<PyList>() {
            for item in list {
                let node = item.cast::<Self>()?;
                if tag.is_none() || tag == Some(node.get().tag.bind(py).to_str()?) {
                    found.push(node.clone().unbind());
                }
            }
        }
        Ok(found)
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let Ok(other) = other.cast::<Self>() else {
            return Ok(py.NotImplemented());
        };
        let other = other.get();
        let same = self.tag.bind(py).as_any().eq(other.tag.bind(py))?
            && self.attrs.bind(py).as_any().eq(other.attrs.bind(py))?
            && self.content.bind(py).eq(other.content.bind(py))?;
        Ok(pyo3::types::PyBool::new(py, same).to_owned().into_any().unbind())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let mut shown = format!("<Node {}", self.tag.bind(py).to_str()?);
        for name in ["id", "type", "xmlns"] {
            if let Some(value) = self.attrs.bind(py).get_item(name)?
                && let Ok(value) = value.cast::<PyString>()
            {
                shown.push_str(&format!(" {name}={}", value.to_str()?));
            }
        }
        let content = self.content.bind(py);
        if let Ok(list) = content.cast::<PyList>() {
            shown.push_str(&format!(" {} children", list.len()));
        } else if let Ok(bytes) = content.cast::<PyBytes>() {
            shown.push_str(&format!(" {} bytes", bytes.as_bytes().len()));
        } else if let Ok(text) = content.cast::<PyString>() {
            shown.push_str(&format!(" {} characters", text.len()?));
        }
        shown.push('>');
        Ok(shown)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyType>, Bound<'py, PyTuple>)> {
        let py = slf.py();
        let this = slf.get();
        let arguments = (this.tag.bind(py), this.attrs.bind(py), this.content.bind(py)).into_pyobject(py)?;
        Ok((slf.get_type(), arguments))
    }
}

fn checked_content(content: Bound<'_, PyAny>) -> Result<Py<PyAny>, Error> {
    if content.is_none() || content.is_instance_of::<PyBytes>() || content.is_instance_of::<PyString>() {
        return Ok(content.unbind());
    }
    if let Ok(list) = content.cast::<PyList>() {
        if list.iter().all(|item| item.is_instance_of::<Node>()) {
            return Ok(content.unbind());
        }
        return Err(Error::Type("a content list must hold nodes"));
    }
    Err(Error::Type("content must be None, bytes, str or a list of nodes"))
}

/// Puts the garbage collector off while nodes are made. None of them can be garbage yet, and walking over them every few hundred
/// allocations would take as long as making them. The lock is held all the time, so no other thread sees the pause.
struct CollectorPause<'py> {
    collector: Option<Bound<'py, PyModule>>,
}

impl<'py> CollectorPause<'py> {
    fn new(py: Python<'py>) -> PyResult<Self> {
        let collector = py.import("gc")?;
        let is_on = collector.call_method0("isenabled")?.is_truthy()?;
        if is_on {
            collector.call_method0("disable")?;
        }
        Ok(Self { collector: is_on.then_some(collector) })
    }
}

impl Drop for CollectorPause<'_> {
    fn drop(&mut self) {
        if let Some(collector) = &self.collector
            && let Err(error) = collector.call_method0("enable")
        {
            error.write_unraisable(collector.py(), Some(collector));
        }
    }
}

/// Makes Python nodes while the reader reads.
struct PyBuild<'py> {
    py: Python<'py>,
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Decode(fault.0, "node")
    }
}

impl From<Unwritable> for Error {
    fn from(reason: Unwritable) -> Self {
        Self::Value(reason.text().to_owned())
    }
}

impl<'py> Build for PyBuild<'py> {
    type Text = Bound<'py, PyString>;
    type Value = Bound<'py, PyAny>;
    type Attrs = Bound<'py, PyDict>;
    type Node = Bound<'py, Node>;
    type Error = Error;

    #[inline(always)]
    fn token(&mut self, number: u16) -> Self::Text {
        text::token(self.py, number)
    }

    #[inline(always)]
    fn text(&mut self, text: &str) -> Self::Text {
        PyString::new(self.py, text)
    }

    fn jid_text(&mut self, jid: WireJid<'_, Self::Text>) -> Result<Self::Text, Error> {
        Ok(PyString::new(self.py, &Jid::from_wire(self.py, jid)?.full_text(self.py)?))
    }

    #[inline(always)]
    fn text_value(&mut self, text: Self::Text) -> Self::Value {
        text.into_any()
    }

    #[inline(always)]
    fn jid_value(&mut self, jid: WireJid<'_, Self::Text>) -> Result<Self::Value, Error> {
        Ok(Bound::new(self.py, Jid::from_wire(self.py, jid)?)?.into_any())
    }

    #[inline(always)]
    fn attrs(&mut self) -> Result<Self::Attrs, Error> {
        Ok(PyDict::new(self.py))
    }

    #[inline(always)]
    fn attr(&mut self, attrs: &mut Self::Attrs, name: Self::Text, value: Self::Value) -> Result<(), Error> {
        Ok(attrs.set_item(name, value)?)
    }

    #[inline(always)]
    fn node(&mut self, tag: Self::Text, attrs: Self::Attrs, content: Content<'_, Self>) -> Result<Self::Node, Error> {
        let py = self.py;
        let content = match content {
            Content::None => py.None(),
            Content::Bytes(bytes) => PyBytes::new(py, bytes).into_any().unbind(),
            Content::Text(text) => text.into_any().unbind(),
            Content::Nodes(nodes) => PyList::new(py, nodes)?.into_any().unbind(),
        };
        Ok(Bound::new(py, Node { tag: tag.unbind(), attrs: attrs.unbind(), content })?)
    }
}

fn write_text(writer: &mut Writer, text: &Bound<'_, PyString>) -> Result<(), Error> {
    Ok(writer.text(text.to_str()?)?)
}

fn write_node(writer: &mut Writer, node: &Node, py: Python<'_>, depth: usize) -> Result<(), Error> {
    if depth >= codec::MAX_DEPTH {
        return Err(Unwritable::TooDeep.into());
    }
    let attrs = node.attrs.bind(py);
    let content = node.content.bind(py);
    writer.head(node.tag.bind(py).to_str()?, attrs.len(), !content.is_none())?;
    for (name, value) in attrs {
        let name = name.cast::<PyString>().map_err(|_| Error::Type("an attribute's name must be str"))?;
        write_text(writer, name)?;
        if let Ok(text) = value.cast::<PyString>() {
            write_text(writer, text)?;
        } else if let Ok(jid) = value.cast::<Jid>() {
            writer.jid(&jid.get().parts(py)?)?;
        } else {
            return Err(Error::Type("an attribute must be str or Jid"));
        }
    }
    if content.is_none() {
        return Ok(());
    }
    if let Ok(bytes) = content.cast::<PyBytes>() {
        writer.binary(bytes.as_bytes())?;
    } else if let Ok(list) = content.cast::<PyList>() {
        writer.list(list.len())?;
        for item in list {
            let child = item.cast::<Node>().map_err(|_| Error::Type("a content list must hold nodes"))?;
            write_node(writer, child.get(), py, depth + 1)?;
        }
    } else if let Ok(text) = content.cast::<PyString>() {
        write_text(writer, text)?;
    }
    Ok(())
}

#[pyfunction]
fn encode_node<'py>(py: Python<'py>, node: &Bound<'py, Node>) -> Result<Bound<'py, PyBytes>, Error> {
    let mut writer = Writer::new(256);
    write_node(&mut writer, node.get(), py, 0)?;
    Ok(PyBytes::new(py, &writer.out))
}

fn inflated<'a>(py: Python<'_>, data: &'a [u8], max: usize) -> PyResult<Cow<'a, [u8]>> {
    let done =
        if data.len() > WITHOUT_LOCK { py.detach(|| codec::inflate(data, max)) } else { codec::inflate(data, max) };
    done.map_err(|fault| {
        let (offset, what) = match fault {
            InflateFault::Damaged(offset) => (offset, "compressed node"),
            InflateFault::TooLong(offset) => (offset, "compressed node, longer than allowed"),
        };
        Error::Decode(offset, what).raise(py, data)
    })
}

#[pyfunction]
#[pyo3(signature = (data, max_inflated = MAX_INFLATED))]
fn decode_node<'py>(py: Python<'py>, data: &[u8], max_inflated: usize) -> PyResult<Bound<'py, Node>> {
    let body = inflated(py, data, max_inflated)?;
    let _pause = if body.len() > MANY_NODES { Some(CollectorPause::new(py)?) } else { None };
    codec::read_node(&body, &mut PyBuild { py }).map_err(|error| error.raise(py, &body))
}

#[pyfunction]
#[pyo3(signature = (data, max_inflated = MAX_INFLATED))]
fn inflate_node<'py>(data: &Bound<'py, PyBytes>, max_inflated: usize) -> PyResult<Bound<'py, PyBytes>> {
    let py = data.py();
    Ok(match inflated(py, data.as_bytes(), max_inflated)? {
        Cow::Borrowed(_) => data.clone(),
        Cow::Owned(body) => PyBytes::new(py, &body),
    })
}

#[pyfunction]
fn deflate_node<'py>(py: Python<'py>, data: &[u8]) -> Result<Bound<'py, PyBytes>, Error> {
    let done = if data.len() > WITHOUT_LOCK { py.detach(|| codec::deflate(data)) } else { codec::deflate(data) };
    let body = done.ok_or_else(|| Error::Value("not an encoded, uncompressed node".to_owned()))?;
    Ok(PyBytes::new(py, &body))
}

#[pyfunction]
fn token_tables() -> (Vec<&'static str>, Vec<Vec<&'static str>>) {
    let (single, double) = tokens::all().split_at(tokens::SINGLE);
    (single.to_vec(), double.chunks(tokens::DICTIONARY).map(<[&str]>::to_vec).collect())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Jid>()?;
    module.add_class::<Node>()?;
    module.add_function(wrap_pyfunction!(encode_node, module)?)?;
    module.add_function(wrap_pyfunction!(decode_node, module)?)?;
    module.add_function(wrap_pyfunction!(inflate_node, module)?)?;
    module.add_function(wrap_pyfunction!(deflate_node, module)?)?;
    module.add_function(wrap_pyfunction!(token_tables, module)?)
}
