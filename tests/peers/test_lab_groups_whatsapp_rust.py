"""The real whatsapp-rust in groups of the lab: two of them and phones, in both addressings."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest

from tests.requirements import require
from tests.support.whatsapp_rust import RustPeer
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.protocol.binary_node import decode_node
from waton.protocol.stanza.group import AddressingMode
from waton.protocol.trace import Layer, Trace, Way

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]
require("whatsapp-rust")


@pytest.fixture
def traces() -> list[Trace]:
    return []


@pytest.fixture
async def lab(traces: list[Trace]) -> AsyncGenerator[Lab]:
    started = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), sink=traces.extend)
    yield started
    await started.stop()


async def text(peer: RustPeer, wanted: str) -> Mapping[str, Any]:
    """The message with this text; those before it are dropped."""
    while (message := await peer.event("message"))["text"] != wanted:
        continue
    return message


async def reads(phone: Phone, wanted: str, *, from_me: bool = False) -> None:
    assert (await phone.next_message(20, from_me=from_me)).text == wanted


def hashes(traces: list[Trace]) -> list[tuple[str, bool]]:
    """Of each message with a participant hash, in order: its id, and whether the ack had another hash."""
    nodes = [trace for trace in traces if trace.layer is Layer.NODE]
    sent = [decode_node(one.data) for one in nodes if (one.name, one.way) == ("message", Way.IN)]
    acks = [decode_node(one.data) for one in nodes if (one.name, one.way) == ("ack", Way.OUT)]
    put_right = {ack.attrs["id"]: "phash" in ack.attrs for ack in acks if ack.attrs["class"] == "message"}
    return [(str(node.attrs["id"]), put_right[node.attrs["id"]]) for node in sent if "phash" in node.attrs]


@pytest.mark.parametrize("mode", list(AddressingMode))
async def test_it_makes_a_group_and_everybody_reads_everybody(
    lab: Lab, traces: list[Trace], mode: AddressingMode
) -> None:
    wat, ada, dot = lab.phones[0], await lab.add_phone("Ada"), await lab.add_phone("Dot")
    lab.service.new_groups = mode
    async with RustPeer.start(lab.url) as bea, RustPeer.start(lab.url) as cal:
        for peer, phone in ((bea, wat), (cal, ada)):
            await phone.scan(await peer.qr())
            await peer.event("connected")
        made = await bea.call("run", method="createGroup", args=["Tea", [str(ada.lid)]])
        group = made["id"]
        assert (made["subject"], made["addressingMode"], made["size"]) == ("Tea", mode, 2)
        assert (await cal.event("group_update"))["action"]["type"] == "create"

        await bea.call("sendText", to=group, text="from Bea")
        shown = await text(cal, "from Bea")
        assert (shown["chat"], shown["sender"].partition("@")[2]) == (
            group,
            "lid" if mode == "lid" else "s.whatsapp.net",
        )
        await reads(ada, "from Bea")
        await reads(wat, "from Bea", from_me=True)
        await cal.call("sendText", to=group, text="from Cal")
        await text(bea, "from Cal")
        await reads(wat, "from Cal")
        await ada.send_text(group, "from Ada")
        for peer in (bea, cal):
            await text(peer, "from Ada")

        added = await bea.call("run", method="groupParticipantsUpdate", args=[group, [str(dot.lid)], "add"])
        assert [one["status"] for one in added] == ["200"]
        await bea.call("sendText", to=group, text="with Dot")
        await reads(dot, "with Dot")
        await bea.call("run", method="groupParticipantsUpdate", args=[group, [str(dot.lid)], "remove"])
        await bea.call("sendText", to=group, text="without Dot")
        await text(cal, "without Dot")
        assert [message.text for message in dot.messages] == ["with Dot"]
        assert not [phone.unreadable for phone in (wat, ada, dot) if phone.unreadable]
        assert lab.service.unanswered == {}
    if mode is AddressingMode.PN:
        # In LID groups it writes its own LID with agent 1 until it has asked for its own devices: another hash.
        assert [wrong for _, wrong in hashes(traces)] == [False] * 4


async def test_settings_and_invites_as_it_asks_for_them(lab: Lab) -> None:
    wat, ada, dot = lab.phones[0], await lab.add_phone("Ada"), await lab.add_phone("Dot")
    async with RustPeer.start(lab.url) as bea:
        await wat.scan(await bea.qr())
        await bea.event("connected")

        async def run(method: str, *args: object) -> Any:
            return await bea.call("run", method=method, args=list(args))

        group = (await run("createGroup", "Tea", [str(ada.lid)]))["id"]
        await run("groupUpdateSubject", group, "Coffee")
        await run("groupUpdateDescription", group, "Every day at four")
        await run("groupToggleEphemeral", group, 86_400)
        await run("groupSettingUpdate", group, "locked", True)
        await run("groupMemberAddMode", group, "admin_add")
        await run("groupParticipantsUpdate", group, [str(ada.lid)], "promote")
        found = await run("getGroupMetadata", group)
        assert (found["subject"], found["description"]) == ("Coffee", "Every day at four")
        assert found["ephemeral"]["expiration"] == 86_400
        assert found["isLocked"]
        # It reads this one only as a token, which it is not; whatsmeow insists on bytes.
        assert (await ada.group_metadata(group)).member_add_mode == "admin_add"
        assert [one["participantType"] for one in found["participants"]] == ["superadmin", "admin"]
        code = (await run("groupInviteCode", group)).rpartition("/")[2]
        assert (await run("groupGetInviteInfo", code))["subject"] == "Coffee"
        await dot.join_group(code)
        assert [one["size"] for one in (await run("groupFetchAllParticipating")).values()] == [3]
        await run("groupLeave", group)
        assert await run("groupFetchAllParticipating") == {}
        assert lab.service.unanswered == {}


async def test_it_learns_that_a_phone_has_registered_anew(lab: Lab) -> None:
    wat, dot = lab.phones[0], await lab.add_phone("Dot")
    async with RustPeer.start(lab.url) as bea:
        await wat.scan(await bea.qr())
        await bea.event("connected")
        group = (await bea.call("run", method="createGroup", args=["Tea", [str(dot.lid)]]))["id"]
        await bea.call("sendText", to=group, text="one")
        await reads(dot, "one")
        dot.register_anew()
        told = await bea.event("identity_change")
        assert told["user"]["user"] == dot.pn.user
        await bea.call("sendText", to=str(dot.lid), text="two")
        await reads(dot, "two")
        await bea.call("sendText", to=group, text="three")
        await reads(dot, "three")
        await dot.send_text(group, "four")
        await text(bea, "four")
        # Sessions were right at once; its sender key the new phone had to ask for, as with Baileys.
        assert {why for _, why in dot.unreadable} <= {"no_sender_key"}
