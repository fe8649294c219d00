"""iq: question and answer.

A request has type get or set, an id and usually an xmlns; the answer repeats the id with type result or error.

Source: Baileys Socket/socket.ts query, whatsmeow request.go.
"""

from __future__ import annotations

from enum import StrEnum

from waton.errors import IqError
from waton.jid import SERVER, Jid
from waton.protocol.binary_node import Node, get_text


class IqType(StrEnum):
    """The type attribute of an iq."""

    GET = "get"
    SET = "set"
    RESULT = "result"
    ERROR = "error"


def request(id: str, type: IqType, xmlns: str, content: list[Node] | bytes | None = None, *, to: Jid = SERVER) -> Node:
    """A question. Attribute order is Baileys'."""
    return Node("iq", {"to": to, "type": type.value, "xmlns": xmlns, "id": id}, content)


def result(request: Node, content: list[Node] | bytes | None = None, **more: str) -> Node:
    """The good answer to a request we received: back to whom it came from (the server when it named nobody)."""
    sender = request.attrs.get("to", SERVER)
    return Node("iq", {"from": sender, "type": IqType.RESULT.value, "id": get_text(request, "id"), **more}, content)


def error(request: Node, code: int, text: str) -> Node:
    """The bad answer to a request we received."""
    child = Node("error", {"code": str(code), "text": text})
    sender = request.attrs.get("to", SERVER)
    return Node("iq", {"from": sender, "type": IqType.ERROR.value, "id": get_text(request, "id")}, [child])


def client_result(request: Node) -> Node:
    """A client's empty good answer to the server."""
    return Node("iq", {"to": SERVER, "type": IqType.RESULT.value, "id": get_text(request, "id")})


def raise_for_error(answer: Node) -> Node:
    """The answer itself, or IqError when it says error. An error without a child counts as one too."""
    child = answer.child("error")
    if child is None and get_text(answer, "type") != IqType.ERROR:
        return answer
    code = get_text(child, "code") if child is not None else None
    text = get_text(child, "text") if child is not None else None
    raise IqError(int(code) if code and code.isdecimal() and len(code) < 9 else 500, text or "", answer)
