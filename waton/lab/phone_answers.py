"""What a phone answers its own companions: messages that they could not read, as it has them itself.

A companion names messages by their keys in a peer message; the phone gives what it has of them in another one.

Source: whatsapp-rust src/pdo.rs, Baileys Utils/process-message.ts (what a companion reads).
"""

from __future__ import annotations

from collections.abc import Iterable

from waton.lab.phone_messages import PhoneMessage
from waton.protocol import proto

_REQUEST = proto.Message.ProtocolMessage.PEER_DATA_OPERATION_REQUEST_MESSAGE
_RESPONSE = proto.Message.ProtocolMessage.PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE


def answer(asked: proto.Message, request_id: str, messages: Iterable[PhoneMessage]) -> proto.Message | None:
    """What the phone says to a peer message; None when it asks for nothing that the phone gives.

    Args:
        asked: what the companion said.
        request_id: the id of its message.
        messages: all that the phone has.
    """
    told = asked.protocolMessage
    request = told.peerDataOperationRequestMessage
    if told.type != _REQUEST or request.peerDataOperationRequestType != proto.Message.PLACEHOLDER_MESSAGE_RESEND:
        return None
    wanted = {one.messageKey.id for one in request.placeholderMessageResendRequest}
    made = proto.Message()
    made.protocolMessage.type = _RESPONSE
    response = made.protocolMessage.peerDataOperationRequestResponseMessage
    response.peerDataOperationRequestType = request.peerDataOperationRequestType
    response.stanzaId = request_id
    for message in messages:
        if message.id in wanted:
            result = response.peerDataOperationResult.add()
            result.placeholderMessageResendResponse.webMessageInfoBytes = _info(message).SerializeToString()
    return made


def _info(message: PhoneMessage) -> proto.WebMessageInfo:
    info = proto.WebMessageInfo(message=message.content, messageTimestamp=message.t)
    info.key.remoteJid = str(message.chat)
    info.key.fromMe = message.from_me
    info.key.id = message.id
    if message.chat.is_group:
        info.key.participant = str(message.sender.bare)
    return info
