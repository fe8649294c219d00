"""Waton: a notebook-first research and debugging toolkit for the WhatsApp Web multi-device protocol.

    import waton

    async with waton.connect("lab") as session:      # or "whatsapp": the real service, unofficial use
        session.pairing_widget()

`connect` gives a client on a thread of its own, `start_lab` an embedded server with phones. What was recorded comes
back as DataFrames: `session.nodes()`, `.frames()`, `.messages()`, `.transitions()`, `.events()`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from waton._core import Jid, Node
from waton.errors import (
    DecodeError,
    DecryptError,
    Disconnected,
    HandshakeError,
    IqError,
    LabError,
    LocalProtocolError,
    PairingError,
    QueryTimeout,
    RemoteProtocolError,
    StorageError,
    UntrustedIdentity,
    WatonError,
)

if TYPE_CHECKING:
    from waton.api import LabHandle, PhoneHandle, Session, connect, enable_nested, home, start_lab
    from waton.protocol.binary_node import to_xml

# These bring pandas, DuckDB and the server with them; whoever wants the codec alone need not wait for that.
_LATER = {
    "LabHandle": "waton.api",
    "PhoneHandle": "waton.api",
    "Session": "waton.api",
    "connect": "waton.api",
    "enable_nested": "waton.api",
    "home": "waton.api",
    "start_lab": "waton.api",
    "to_xml": "waton.protocol.binary_node",
}

__all__ = [
    "DecodeError",
    "DecryptError",
    "Disconnected",
    "HandshakeError",
    "IqError",
    "Jid",
    "LabError",
    "LabHandle",
    "LocalProtocolError",
    "Node",
    "PairingError",
    "PhoneHandle",
    "QueryTimeout",
    "RemoteProtocolError",
    "Session",
    "StorageError",
    "UntrustedIdentity",
    "WatonError",
    "connect",
    "enable_nested",
    "home",
    "start_lab",
    "to_xml",
]


def __getattr__(name: str) -> object:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module 'waton' has no attribute {name!r}")
    return getattr(import_module(module), name)
