"""Answers: a table from (xmlns, first child) to a handler, one module per family.

An iq that nobody here knows gets an empty result, as all clients can bear, is counted in `Service.unanswered`, traced
as lab.unanswered and logged. To teach the lab a new question, write a handler and put it in its module's TABLE.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from waton.errors import IqError
from waton.lab.answers import account, app_state, encrypt, md, server, usync, w_g2
from waton.lab.answers.request import Handler, Request, Table
from waton.lab.deliveries import Session
from waton.protocol.binary_node import Node, get_text, require_text
from waton.protocol.stanza import iq

if TYPE_CHECKING:
    from waton.lab.service import Service

_log = logging.getLogger("waton.lab")
_PARTS: tuple[Table, ...] = (
    encrypt.TABLE,
    usync.TABLE,
    md.TABLE,
    account.TABLE,
    app_state.TABLE,
    server.TABLE,
    w_g2.TABLE,
)
TABLE: Mapping[tuple[str, str], Handler] = {key: handler for part in _PARTS for key, handler in part.items()}


def answer(service: Service, session: Session, node: Node, parent: int | None) -> None:
    """Answer one iq; the answer goes out after the step's commit."""
    require_text(node, "id")
    child = next(iter(node.children()), None)
    xmlns = get_text(node, "xmlns") or ""
    tag = "" if child is None else child.tag
    handler = TABLE.get((xmlns, tag)) or TABLE.get((xmlns, "")) or _unknown
    request = Request(service, session, node, child, parent)
    try:
        content = handler(request)
    except IqError as error:
        service.reply(session, iq.error(node, error.code, error.text), parent)
        return
    service.reply(session, iq.result(node, content, **request.said), parent)
    for action in request.afterwards:
        service.world.after(action)


def _unknown(request: Request) -> None:
    xmlns = get_text(request.node, "xmlns") or ""
    tag = "" if request.child is None else request.child.tag
    counts = request.service.unanswered
    counts[xmlns, tag] = counts.get((xmlns, tag), 0) + 1
    request.world.note("lab.unanswered", request.parent, xmlns=xmlns, child=tag)
    _log.info("an iq nobody here knows got an empty result: xmlns=%s child=%s", xmlns, tag)


__all__ = ["TABLE", "answer"]
