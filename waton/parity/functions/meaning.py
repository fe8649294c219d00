"""What a decrypted message means: which message it changes and how, what it tells us to keep, or that it is shown.

Both sides say it in their own events. Here each is put into the same few facts, so that what is compared is what
follows from a message and not how it is told. Attempts on somebody else's message, and keys from a companion, are rows
of their own: there the two decide differently.

Source: Baileys Utils/process-message.ts.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis.strategies import SearchStrategy

from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.functions import stories
from waton.parity.functions.envelopes import ME, MY_LID, without_device
from waton.parity.functions.several import each, each_of, several
from waton.parity.functions.stories import GROUP, SECRET, T
from waton.parity.oracle.process import Functions

if TYPE_CHECKING:
    from waton.client.events import MessageAddition, MessageKey
    from waton.client.message_outcome import Outcome

Value: TypeAlias = Any
Facts: TypeAlias = list[Value]

PROCESS = "lib/Utils/process-message.js"


# --- what follows: waton ----------------------------------------------------------------------------------------------


def outcome_of(value: Value) -> Outcome:
    """What a story comes to."""
    from waton.client.events import MessageKey
    from waton.client.message_keys import Me
    from waton.client.message_outcome import Known, Received
    from waton.client.process_message import process_message
    from waton.jid import Jid
    from waton.protocol import proto

    key = MessageKey(Jid.parse(value["chat"]).bare, "3EB0OUTSIDE", value["from me"], Jid.parse(value["author"]))
    by = value.get("original by")
    known = Known() if by is None else Known(original_author=Jid.parse(by), is_admin=False)
    received = Received(key, proto.Message.FromString(value["message"]), T)
    return process_message(received, Me(Jid.parse(ME), Jid.parse(MY_LID)), known)


def _our_facts(value: Value) -> Facts:
    outcome = outcome_of(value)
    facts = [fact for event in outcome.events if (fact := _event_fact(event)) is not None]
    return facts + [fact for action in outcome.actions for fact in _action_facts(action)]


def _event_fact(event: object) -> Value | None:
    from waton.client import events

    match event:
        case events.MessageReaction():
            target = _our_key(event.key) | {"author": str(event.key.author)}
            return {"reaction": event.text, "to": target, "by": _our_key(event.by)}
        case events.MessageEdited():
            return {"edit": event.message.SerializeToString(), "of": _our_key(event.key), "t": event.timestamp}
        case events.MessageRevoked():
            return {"revoke": _our_key(event.key), "by": _our_key(event.by)}
        case events.ChatsUpdate():
            seconds, at = event.ephemeral_expiration, event.ephemeral_setting_timestamp
            return {"disappearing": seconds, "chat": str(event.chat), "t": at}
        case events.GroupMemberTagUpdate():
            return {"tag": event.label, "group": str(event.group), "of": str(event.participant)}
        case events.MessageAddition():
            return _opened(event)
        case events.MessagesUpsert():
            return {"shown": True}
        case _:
            return None  # a refusal: in Baileys, silence


def _our_key(key: MessageKey) -> Value:
    return {"chat": str(key.chat), "id": key.id, "from me": key.from_me}


def _opened(event: MessageAddition) -> Value:
    from waton.protocol import proto
    from waton.protocol.message_secret import Addition, SecretUse, unseal

    if event.use is not SecretUse.EVENT_RESPONSE:
        return {"addition": event.use.value, "to": _our_key(event.key)}
    addition = Addition(event.use, event.key.id, event.key.author, event.by.author)
    opened = proto.Message.EventResponseMessage.FromString(unseal(SECRET, addition, event.payload, event.iv))
    return {"answer to an event": opened.response, "to": _our_key(event.key)}


def _action_facts(action: object) -> Facts:
    from waton.client import message_outcome as outcomes

    match action:
        case outcomes.StoreAppStateKeys():
            return [{"app state keys": [[one.keyId.keyId, one.keyData.keyData] for one in action.keys]}]
        case outcomes.LearnMappings():
            return [{"mappings": [[str(pn), str(lid)] for pn, lid in action.pairs]}]
        case outcomes.TakeAnswers():
            told = [(str(one.key.chat), one.key.id, one.message.SerializeToString()) for one in action.messages]
            return [
                {"late": message, "id": id, "chat": chat, "request": action.request_id} for chat, id, message in told
            ]
        case outcomes.KeepHistory():
            return [{"history": True}]
        case _:
            return []


# --- what follows: Baileys --------------------------------------------------------------------------------------------


def _told_by_baileys(baileys: Functions, value: Value) -> Value:
    participant = {"participant": value["author"]} if value["chat"] == GROUP else {}
    return baileys.ask(
        "means",
        key={"remoteJid": value["chat"], "fromMe": value["from me"], "id": "3EB0OUTSIDE", **participant},
        message=value["message"],
        timestamp=T,
        me=ME,
        lid=MY_LID,
        original=value.get("original"),
    )


def _their_facts(baileys: Functions, value: Value) -> Facts:
    told = _told_by_baileys(baileys, value)
    facts = [fact for name, payload in told["events"] for fact in _their_event_facts(value, name, payload)]
    if any("answer to an event" in fact for fact in facts):
        facts.remove({"shown": True})  # Baileys counts an answer to an event as an unread message
    if told["records"]:
        kept = [item for record in told["records"] for item in record["app-state-sync-key"].items()]
        facts.append({"app state keys": [[b64decode(id), data["keyData"]] for id, data in kept]})
    if told["mappings"]:
        facts.append({"mappings": [[pair["pn"], pair["lid"]] for pair in told["mappings"]]})
    return facts


def _their_event_facts(value: Value, name: str, payload: Value) -> Facts:
    match name:
        case "messages.reaction":
            return [_reaction(value, one) for one in payload]
        case "messages.update":
            return [_update(one) for one in payload]
        case "chats.update":
            settings = [one for one in payload if "ephemeralSettingTimestamp" in one]
            shown: Facts = [{"shown": True} for one in payload if "messages" in one]
            return [_setting(one) for one in settings] + shown
        case "group.member-tag.update":
            return [{"tag": payload["label"], "group": payload["groupId"], "of": payload["participant"]}]
        case "messages.upsert":
            request = payload["requestId"]
            return [_late(one) | {"request": request} for one in payload["messages"]]
        case _:
            return []


def _their_key(key: Value) -> Value:
    return {"chat": key["remoteJid"], "id": key["id"], "from me": bool(key.get("fromMe"))}


def _reaction(value: Value, one: Value) -> Value:
    target = _their_key(one["key"]) | {"author": one["key"].get("participant") or _author(value, one["key"])}
    return {"reaction": one["reaction"].get("text") or "", "to": target, "by": _their_key(one["reaction"]["key"])}


def _author(value: Value, key: Value) -> str:
    """Baileys leaves the author of a message in a person's chat to the chat."""
    by_lid = (value["author"] if value["from me"] else _remote_jid(value)).endswith("@lid")
    return without_device((MY_LID if by_lid else ME) if key.get("fromMe") else value["chat"])


def _remote_jid(value: Value) -> str:
    from waton.protocol import proto
    from waton.protocol.message import normalise

    return normalise(proto.Message.FromString(value["message"])).reactionMessage.key.remoteJid


def _update(one: Value) -> Value:
    update = one["update"]
    if "eventResponses" in update:
        [response] = update["eventResponses"]
        return {"answer to an event": response["response"]["response"], "to": _their_key(one["key"])}
    if update.get("messageStubType") is not None:
        return {"revoke": _their_key(one["key"]), "by": _their_key(update["key"])}
    edited = update["message"]["editedMessage"]["message"]["message"]
    return {"edit": edited, "of": _their_key(one["key"]), "t": update["messageTimestamp"]}


def _setting(one: Value) -> Value:
    seconds, at = one["ephemeralExpiration"] or 0, one["ephemeralSettingTimestamp"]
    return {"disappearing": seconds, "chat": one["id"], "t": at}


def _late(one: Value) -> Value:
    return {"late": one["message"]["message"], "id": one["key"]["id"], "chat": one["key"]["remoteJid"]}


# --- the table --------------------------------------------------------------------------------------------------------


def _means(name: str, inputs: Callable[[], SearchStrategy[Value]], examples: int = 15) -> Pair:
    return Pair(
        f"processMessage: {name}",
        Domain.MESSAGES_RECV,
        f"{PROCESS}:default",
        "waton.client.process_message:process_message",
        lambda: several(inputs()),
        each(_their_facts),
        each_of(_our_facts),
        examples,
    )


def pairs() -> list[Pair]:
    """The family's pairs."""
    return [
        _means("a reaction", stories.reactions, 30),
        _means("an edit", stories.edits),
        _means("a revoke", stories.revokes),
        _means("somebody else's message edited or taken back", stories.others_messages),
        _means("how long messages stay", stories.settings),
        _means("a member's label", stories.labels),
        _means("a member's label taken away", lambda: stories.labels(empty=True), 5),
        _means("keys of the app state", stories.app_state_keys),
        _means("keys of the app state from another companion", lambda: stories.app_state_keys(by_companion=True), 5),
        _means("addresses that are one person's", stories.mappings),
        _means("what the phone could read", stories.answers),
        _means("a stranger's history", stories.histories_of_strangers),
        _means("an answer to an event", stories.event_answers),
        _means("a vote", stories.votes, 5),
        _means("something to show", stories.contents),
        _means("a sender key alone", stories.keys_alone),
    ]
