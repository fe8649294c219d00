"""Messages that change others: an edit, a reaction and its end, a revoke; and changes by one who may not make them."""

from waton.jid import Jid
from waton.lab.phone import Phone
from waton.parity.stage import Scenario, Stage
from waton.protocol import message as content
from waton.protocol import proto
from waton.protocol.binary_node import get_text

_Protocol = proto.Message.ProtocolMessage


async def play(stage: Stage) -> None:
    """Ada changes what she has written to us; then, in a group, Bob changes what Ada has written."""
    bob = await stage.lab.add_phone("Bob")
    group = await stage.make_group(bob)
    text = await stage.ada.send_text(stage.owner.lid, "first wording")
    shared = await stage.ada.send_text(group, "what Ada wrote")
    await stage.subject.received("first wording")
    await stage.subject.received("what Ada wrote")
    await bob.send_text(group, "Bob is here")  # so that his key is known
    await stage.subject.received("Bob is here")
    await stage.settle()
    mine = proto.MessageKey(remoteJid=str(stage.owner.lid), fromMe=True, id=text)
    hers = proto.MessageKey(remoteJid=str(group), fromMe=False, id=shared, participant=str(stage.ada.lid))
    async with stage.step("edit"):
        await said(stage, stage.ada, stage.owner.lid, edit(mine, "second wording"))
    for name, emoji in (("reaction", "\N{THUMBS UP SIGN}"), ("no reaction", "")):
        async with stage.step(name):
            await said(stage, stage.ada, stage.owner.lid, reaction(mine, emoji))
    async with stage.step("revoke"):
        await said(stage, stage.ada, stage.owner.lid, revoke(mine))
    async with stage.step("edit by another"):
        await said(stage, bob, group, edit(hers, "what Bob makes of it"))
    async with stage.step("revoke by another"):
        await said(stage, bob, group, revoke(hers))


def edit(key: proto.MessageKey, text: str) -> proto.Message:
    """This message has another wording now."""
    told = _Protocol(type=_Protocol.MESSAGE_EDIT, key=key, editedMessage=content.text_message(text))
    return proto.Message(protocolMessage=told)


def revoke(key: proto.MessageKey) -> proto.Message:
    """This message is taken back."""
    return proto.Message(protocolMessage=_Protocol(type=_Protocol.REVOKE, key=key))


def reaction(key: proto.MessageKey, emoji: str) -> proto.Message:
    """What somebody thinks of this message; "" takes it back."""
    return proto.Message(reactionMessage=proto.Message.ReactionMessage(key=key, text=emoji))


async def said(stage: Stage, by: Phone, to: Jid, message: proto.Message) -> None:
    """Have this sent, and wait until the client has receipted it."""
    id = await by.send_message(to, message)
    await stage.until(lambda node: node.tag == "receipt" and get_text(node, "id") == id)


SCENARIO = Scenario("receive-changes", "Messages change other messages, by right and not.", play)
