"""iq: question and answer, and the error that an answer can be."""

from __future__ import annotations

import pytest

from waton.errors import IqError
from waton.jid import SERVER, Jid
from waton.protocol.binary_node import Node
from waton.protocol.stanza import iq
from waton.protocol.stanza.iq import IqType

GROUP = Jid.parse("1203630@g.us")
QUESTION = iq.request("9.8-7", IqType.GET, "w:g2", [Node("query")], to=GROUP)


def test_a_question_in_baileys_order() -> None:
    assert list(QUESTION.attrs.items()) == [("to", GROUP), ("type", "get"), ("xmlns", "w:g2"), ("id", "9.8-7")]
    assert iq.request("1", IqType.SET, "md").attrs["to"] == SERVER
    assert iq.request("1", IqType.SET, "md").content is None


def test_a_good_answer_comes_from_whom_was_asked() -> None:
    answer = iq.result(QUESTION, [Node("group")])
    assert answer.attrs == {"from": GROUP, "type": "result", "id": "9.8-7"}
    assert iq.raise_for_error(answer) is answer
    assert iq.result(Node("iq", {"id": "1"})).attrs["from"] == SERVER


def test_a_bad_answer_raises_with_everything_it_says() -> None:
    answer = iq.error(QUESTION, 404, "item-not-found")
    assert answer.attrs == {"from": GROUP, "type": "error", "id": "9.8-7"}
    with pytest.raises(IqError) as refused:
        iq.raise_for_error(answer)
    assert (refused.value.code, refused.value.text, refused.value.node) == (404, "item-not-found", answer)


def test_a_clients_answer_names_the_server() -> None:
    assert iq.client_result(Node("iq", {"id": "3", "from": SERVER, "type": "set"})) == Node(
        "iq", {"to": SERVER, "type": "result", "id": "3"}
    )


@pytest.mark.parametrize(
    ("attrs", "content", "code", "text"),
    [
        ({"type": "error"}, None, 500, ""),
        ({"type": "error"}, [Node("error")], 500, ""),
        ({"type": "error"}, [Node("error", {"code": "many", "text": "t"})], 500, "t"),
        ({"type": "error"}, [Node("error", {"code": "9" * 5000})], 500, ""),
        ({"type": "error"}, [Node("error", {"code": "-4"})], 500, ""),
        ({"type": "result"}, [Node("error", {"code": "403", "text": "forbidden"})], 403, "forbidden"),
        ({}, [Node("error", {"code": "429"})], 429, ""),
    ],
)
def test_whatever_says_error_is_one(
    attrs: dict[str, str | Jid | None], content: list[Node] | None, code: int, text: str
) -> None:
    with pytest.raises(IqError) as refused:
        iq.raise_for_error(Node("iq", attrs, content))
    assert (refused.value.code, refused.value.text) == (code, text)
