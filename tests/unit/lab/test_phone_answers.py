"""What a phone answers its companions: messages by their keys, and nothing else."""

from __future__ import annotations

import pytest

from waton.jid import Jid
from waton.lab.phone_answers import answer
from waton.lab.phone_messages import PhoneMessage
from waton.protocol import message as content
from waton.protocol import proto

ADA, GROUP = Jid.parse("77000000000002@lid"), Jid.parse("120363000000000001@g.us")
_Operation = proto.Message.PeerDataOperationRequestMessage


def question(*ids: str, type: int = proto.Message.PLACEHOLDER_MESSAGE_RESEND) -> proto.Message:
    asked = [_Operation.PlaceholderMessageResendRequest(messageKey=proto.MessageKey(id=id)) for id in ids]
    request = _Operation(placeholderMessageResendRequest=asked)
    request.peerDataOperationRequestType = proto.Message.PeerDataOperationRequestType.ValueType(type)
    kind = proto.Message.ProtocolMessage.PEER_DATA_OPERATION_REQUEST_MESSAGE
    told = proto.Message.ProtocolMessage(type=kind, peerDataOperationRequestMessage=request)
    return proto.Message(protocolMessage=told)


def held(id: str, chat: Jid = ADA) -> PhoneMessage:
    return PhoneMessage(id, chat, ADA.with_device(1), False, 1_800_000_000, content.text_message(f"text of {id}"))


def given(made: proto.Message | None) -> list[proto.WebMessageInfo]:
    assert made is not None
    results = made.protocolMessage.peerDataOperationRequestResponseMessage.peerDataOperationResult
    return [
        proto.WebMessageInfo.FromString(one.placeholderMessageResendResponse.webMessageInfoBytes) for one in results
    ]


def test_a_message_is_given_as_the_phone_has_it() -> None:
    made = answer(question("A"), "Q1", [held("A"), held("B")])
    (info,) = given(made)
    assert (info.key.id, info.key.remoteJid, info.key.fromMe) == ("A", str(ADA), False)
    assert (info.message.extendedTextMessage.text, info.messageTimestamp) == ("text of A", 1_800_000_000)
    assert not info.key.HasField("participant")
    assert made is not None
    response = made.protocolMessage.peerDataOperationRequestResponseMessage
    assert response.stanzaId == "Q1"


def test_in_a_group_the_author_is_named() -> None:
    (info,) = given(answer(question("A"), "Q1", [held("A", GROUP)]))
    assert (info.key.remoteJid, info.key.participant) == (str(GROUP), str(ADA))


def test_what_the_phone_does_not_have_is_left_out() -> None:
    assert given(answer(question("C"), "Q1", [held("A")])) == []


@pytest.mark.parametrize(
    "asked",
    [content.text_message("hello"), question("A", type=proto.Message.HISTORY_SYNC_ON_DEMAND), proto.Message()],
)
def test_other_questions_are_not_answered(asked: proto.Message) -> None:
    assert answer(asked, "Q1", [held("A")]) is None
