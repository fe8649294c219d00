"""Groups over a real socket, and by the handles that other threads hold."""

from __future__ import annotations

from pathlib import Path

import pytest

import waton
from tests.lab.wire_client import WireClient, pair
from waton.errors import IqError
from waton.jid import Jid
from waton.lab.server import Lab
from waton.protocol.binary_node import Node
from waton.protocol.stanza import group_query as ask
from waton.protocol.stanza import iq
from waton.protocol.stanza.group import GROUPS, XMLNS, GroupMetadata, GroupParticipant
from waton.protocol.stanza.group_notification import GroupNotification
from waton.protocol.stanza.message import Enc, IncomingMessage, OutgoingMessage


async def next_of(client: WireClient, tag: str, type: str) -> Node:
    """The next stanza of this tag and type."""
    while True:
        node = await client.next(tag)
        if node.attrs.get("type") == type:
            return node


async def test_a_client_makes_a_group_and_is_told_of_it_and_of_its_messages(lab: Lab) -> None:
    ada = await lab.add_phone("Ada")
    mine = await pair(lab)
    async with WireClient.open(lab, mine) as client:
        await client.next("success")
        await client.send(iq.request("q1", iq.IqType.SET, "passive", [Node("active")]))
        await client.send(
            iq.request("q2", iq.IqType.SET, XMLNS, ask.create("Tea", [GroupParticipant(ada.lid)], key="K"), to=GROUPS)
        )
        (change,) = GroupNotification.from_node(await next_of(client, "notification", "w:gp2")).changes
        answer = await next_of(client, "iq", "result")
        while answer.attrs["id"] != "q2":
            answer = await next_of(client, "iq", "result")
        group = ask.parse_group(answer)
        assert (change.group, change.key, change.type) == (group, "K", "new")

        await ada.send_text(group.id, "hello")
        heard = IncomingMessage.from_node(await client.next("message"))
        while heard.sender != group.id:
            heard = IncomingMessage.from_node(await client.next("message"))
        assert (heard.participant, [enc.type for enc in heard.encs]) == (ada.lid, ["skmsg"])  # it has no prekeys yet
        await client.send(OutgoingMessage("M1", group.id, (), bare=Enc("skmsg", b"not for reading")).to_node())
        acked = await client.next("ack")
        assert (acked.attrs["id"], "error" in acked.attrs) == ("M1", False)
    assert [lost for lost, _ in ada.unreadable] == ["M1"]


async def test_handles_do_with_groups_what_phones_do(tmp_path: Path) -> None:
    with waton.start_lab(path=tmp_path / "lab") as lab:
        ada, bob = lab.contact("Ada"), lab.contact("Bob")
        group = await lab.phone.create_group("Tea", [ada.lid], "pn")
        assert await lab.phone.add_to_group(group, bob.pn) == {bob.pn: 200}
        await ada.send_text(group, "hello")
        assert (await bob.next_message()).text == "hello"
        await ada.register_anew()
        await ada.send_text(group, "hello again")
        assert (await bob.next_message()).text == "hello again"
        await bob.leave_group(group)
        with pytest.raises(IqError):
            await bob.group_metadata(group)
        found: GroupMetadata = await ada.group_metadata(group)
        assert [person.jid for person in found.participants] == [lab.phone.pn, ada.pn]
        assert [one.id for one in await ada.groups()] == [group]
        assert isinstance(group, Jid)
