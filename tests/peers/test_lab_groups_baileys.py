"""The real Baileys in groups of the lab: two of them and phones, in both addressings; people come, go and lose keys."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from tests.requirements import require
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import Jid
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.parity.oracle import BaileysError, BaileysPeer
from waton.protocol.stanza.group import AddressingMode
from waton.protocol.stanza.receipt import ReceiptType
from waton.protocol.trace import Layer, Trace, Way

pytestmark = [pytest.mark.peer, pytest.mark.timeout(240)]
require("baileys")
MODES = list(AddressingMode)


@dataclass(slots=True)
class Company:
    """Wat with Bea (Baileys) linked, Ada with Cal (Baileys) linked, and Dot, who has a phone only."""

    lab: Lab
    wat: Phone
    ada: Phone
    dot: Phone
    bea: BaileysPeer
    cal: BaileysPeer
    traces: list[Trace]

    def address(self, phone: Phone, mode: AddressingMode) -> str:
        return str(phone.lid if mode is AddressingMode.LID else phone.pn)

    async def make(self, mode: AddressingMode, *others: Phone) -> Jid:
        """Bea makes a group of this addressing."""
        self.lab.service.new_groups = mode
        made = await self.bea.run("groupCreate", "Tea", [self.address(one, mode) for one in others])
        assert made["addressingMode"] == mode
        return Jid.parse(made["id"])

    def noted(self, name: str) -> list[str]:
        return [trace.detail for trace in self.traces if trace.name == name]


@pytest.fixture
async def company() -> AsyncGenerator[Company]:
    traces: list[Trace] = []
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), sink=traces.extend)
    wat, ada, dot = lab.phones[0], await lab.add_phone("Ada"), await lab.add_phone("Dot")
    try:
        async with AsyncExitStack() as stack:
            peers: list[BaileysPeer] = []
            for phone, name in ((wat, "Bea"), (ada, "Cal")):
                peer = await stack.enter_async_context(BaileysPeer.start(lab.url, name=name))
                await phone.scan(await peer.qr())
                await peer.opened()
                peers.append(peer)
            bea, cal = peers
            yield Company(lab, wat, ada, dot, bea, cal, traces)
    finally:
        await lab.stop()


async def reads(phone: Phone, text: str, *, from_me: bool = False) -> Jid:
    """The phone's next message is this text; who wrote it."""
    message = await phone.next_message(20, from_me=from_me)
    assert message.text == text
    return message.sender


@pytest.mark.parametrize("mode", MODES)
async def test_everybody_reads_everybody(company: Company, mode: AddressingMode) -> None:
    wat, ada, dot, bea, cal = company.wat, company.ada, company.dot, company.bea, company.cal
    group = await company.make(mode, ada)
    seen = await cal.event("group", lambda event: event["id"] == str(group))
    assert (seen["subject"], seen["addressingMode"], seen["size"]) == ("Tea", mode, 2)
    assert await company.bea.run("groupParticipantsUpdate", str(group), [company.address(dot, mode)], "add") == [
        {
            "status": "200",
            "jid": company.address(dot, mode),
            "content": {"tag": "participant", "attrs": _any(dot, mode)},
        }
    ]

    await bea.send_text(group, "from Bea")
    assert await reads(wat, "from Bea", from_me=True) == Jid.parse(company.address(wat, mode)).with_device(1)
    for phone in (ada, dot):
        assert await reads(phone, "from Bea") == Jid.parse(company.address(wat, mode)).with_device(1)
    shown = await cal.message("from Bea")
    assert shown["key"]["participant"] == company.address(wat, mode)

    for number in range(2):
        await dot.send_text(group, f"from Dot {number}")
        for peer in (bea, cal):
            assert (await peer.message(f"from Dot {number}"))["key"]["participant"] == company.address(dot, mode)
        for phone in (wat, ada):
            await reads(phone, f"from Dot {number}")
    await cal.send_text(group, "from Cal")
    await bea.message("from Cal")
    await reads(ada, "from Cal", from_me=True)
    for phone in (wat, dot):
        await reads(phone, "from Cal")
    assert not [phone.unreadable for phone in (wat, ada, dot) if phone.unreadable]
    assert company.noted("lab.nack") == []
    # Each author was told by the account's own phone that it has the message too.
    own = [trace for trace in company.traces if (trace.name, trace.way, trace.kind) == ("receipt", Way.OUT, "sender")]
    assert len(own) == 2
    assert company.lab.service.unanswered == {}


def _any(phone: Phone, mode: AddressingMode) -> dict[str, str]:
    own = (
        {"jid": str(phone.lid), "phone_number": str(phone.pn)} if mode is AddressingMode.LID else {"jid": str(phone.pn)}
    )
    return {**own, "type": "200"}


@pytest.mark.parametrize("mode", MODES)
async def test_who_was_removed_reads_nothing_more_and_who_comes_again_reads_on(
    company: Company, mode: AddressingMode
) -> None:
    ada, dot, bea, cal = company.ada, company.dot, company.bea, company.cal
    group = await company.make(mode, ada, dot)
    for sender in (bea, cal):
        await sender.send_text(group, "one")
        await reads(dot, "one")
    await dot.send_text(group, "two")
    await bea.message("two")
    await bea.run("groupParticipantsUpdate", str(group), [company.address(ada, mode)], "remove")
    gone = await cal.event("participants", lambda event: event["action"] == "remove")
    assert [one["id"] for one in gone["participants"]] == [company.address(ada, mode)]
    with pytest.raises(BaileysError, match="forbidden"):
        await cal.run("groupMetadata", str(group))

    await dot.send_text(group, "without Ada and Cal")
    await bea.message("without Ada and Cal")
    assert company.noted("phone.sender_key")[-1] == '{"rotated": 1}'
    await cal.send_text(dot.lid, "are you there?")  # what follows in the queue would have come by now
    await reads(dot, "are you there?")
    await dot.send_text(ada.lid, "yes")
    await cal.message("yes")
    assert [
        event for event in cal.events if event["event"] == "message" and event["text"] == "without Ada and Cal"
    ] == []

    await bea.run("groupParticipantsUpdate", str(group), [company.address(ada, mode)], "add")
    back = await cal.event("group", lambda event: event["id"] == str(group) and event["size"] == 3)
    assert back["addressingMode"] == mode
    await dot.send_text(group, "welcome back")
    await cal.message("welcome back")
    await cal.send_text(group, "thank you")
    await reads(dot, "thank you")
    await bea.message("thank you")


@pytest.mark.parametrize("mode", MODES)
async def test_one_that_lost_everything_asks_the_phone_and_recovers(company: Company, mode: AddressingMode) -> None:
    dot, cal = company.dot, company.cal
    group = await company.make(mode, company.ada, dot)
    await dot.send_text(group, "one")
    await cal.message("one")
    assert await cal.forget("sender-key/", "session/")
    id = await dot.send_text(group, "two")
    shown = await cal.message("two")
    assert (shown["key"]["id"], shown["kinds"][0]) == (id, "senderKeyDistributionMessage")
    await dot.send_text(group, "three")
    await cal.message("three")
    assert company.noted("phone.retry") == [f'{{"id": "{id}", "count": 1, "outcome": "resent"}}']


@pytest.mark.parametrize("mode", MODES)
async def test_the_other_baileys_answers_a_companion_alone_and_a_phone_with_the_whole_message(
    company: Company, mode: AddressingMode
) -> None:
    ada, dot, bea, cal = company.ada, company.dot, company.bea, company.cal
    group = await company.make(mode, ada, dot)
    await bea.send_text(group, "one")
    await cal.message("one")
    assert await cal.forget("sender-key/")
    id = await bea.send_text(group, "two")
    assert (await cal.message("two"))["key"]["id"] == id
    assert [await reads(dot, text) for text in ("one", "two")]

    company.lab.service.world.database.write(
        "DELETE FROM phone_record WHERE account = ? AND kind IN ('session', 'sender_key')", dot.account.id
    )
    id = await bea.send_text(group, "three")
    await reads(dot, "three")
    assert [lost for lost, _ in dot.unreadable] == [id]
    ways = [
        trace.kind
        for trace in company.traces
        if trace.layer is Layer.MESSAGE and trace.way is Way.IN and trace.id == id
    ]
    assert ways.count("pkmsg") >= 1


async def test_receipts_of_a_group_name_their_reader(company: Company) -> None:
    ada, dot, bea, cal = company.ada, company.dot, company.bea, company.cal
    group = await company.make(AddressingMode.LID, ada, dot)
    id = await dot.send_text(group, "hello")
    await cal.read(await cal.message("hello"))
    read = await dot.next_receipt(id, ReceiptType.READ, 20)
    assert (read.peer, read.participant) == (group, ada.lid.with_device(1))
    id = await bea.send_text(group, "hello again")
    await cal.message("hello again")
    dot.read(await dot.next_message(20))
    told = await bea.event("receipt", lambda event: "readTimestamp" in event["receipt"])
    assert (told["key"]["id"], told["receipt"]["userJid"]) == (id, str(dot.lid))


async def test_settings_and_invites_as_it_asks_for_them(company: Company) -> None:
    ada, dot, bea, cal = company.ada, company.dot, company.bea, company.cal
    group = await company.make(AddressingMode.LID, ada)
    await bea.run("groupUpdateSubject", str(group), "Coffee")
    await bea.run("groupUpdateDescription", str(group), "Every day at four")
    await bea.run("groupToggleEphemeral", str(group), 86_400)
    await bea.run("groupSettingUpdate", str(group), "locked")
    await bea.run("groupMemberAddMode", str(group), "admin_add")
    await bea.run("groupJoinApprovalMode", str(group), "on")
    await bea.run("groupJoinApprovalMode", str(group), "off")
    await bea.run("groupParticipantsUpdate", str(group), [str(ada.lid)], "promote")
    await cal.event("participants", lambda event: event["action"] == "promote")
    found = await cal.run("groupMetadata", str(group))
    assert (found["subject"], found["desc"], found["ephemeralDuration"]) == ("Coffee", "Every day at four", 86_400)
    assert (found["restrict"], found["memberAddMode"], found["joinApprovalMode"]) == (True, False, False)
    assert [one["admin"] for one in found["participants"]] == ["superadmin", "admin"]
    with pytest.raises(BaileysError):
        await cal.run("groupParticipantsUpdate", str(group), [str(dot.lid)], "nonsense")

    code = await cal.run("groupInviteCode", str(group))
    assert (await cal.run("groupGetInviteInfo", code))["subject"] == "Coffee"
    assert await dot.join_group(code) == (group, True)
    joined = await bea.event("participants", lambda event: event["action"] == "add")
    assert [one["id"] for one in joined["participants"]] == [str(dot.lid)]
    assert await cal.run("groupRevokeInvite", str(group)) != code
    await bea.run("groupSettingUpdate", str(group), "announcement")
    await dot.send_text(group, "may I?")
    assert list(dot.refused.values()) == [403]
    await cal.run("groupLeave", str(group))
    left = await bea.event("participants", lambda event: event["action"] == "remove")
    assert (left["author"], [one["id"] for one in left["participants"]]) == (str(ada.lid), [str(ada.lid)])
    mine = await bea.call("groups")
    assert [(one["subject"], one["size"], one["announce"]) for one in mine.values()] == [("Coffee", 2, True)]
    assert company.lab.service.unanswered == {}


async def test_a_phone_that_registers_anew_is_read_and_reads(company: Company) -> None:
    ada, dot, bea, cal = company.ada, company.dot, company.bea, company.cal
    group = await company.make(AddressingMode.LID, ada, dot)
    await bea.send_text(group, "one")
    await reads(dot, "one")
    await bea.send_text(dot.lid, "two")
    await reads(dot, "two")
    since = len(company.traces)
    dot.register_anew()
    assert [trace.kind for trace in company.traces[since:] if trace.name == "notification"] == ["encrypt"]
    # That was Bea, who has asked for Dot's devices; Cal never had to.
    await dot.send_text(group, "new phone")
    for peer in (bea, cal):
        await peer.message("new phone")
    await bea.send_text(dot.lid, "three")
    await reads(dot, "three")
    assert not dot.unreadable  # Bea had a fresh session, by the notification or by the new phone's first message
    id = await bea.send_text(group, "four")
    await reads(dot, "four")
    # The new phone has no sender keys, and Baileys makes none anew: it had to ask.
    assert list(dot.unreadable) == [(id, "no_sender_key")]

    ada.register_anew()
    assert await cal.closed() == 401
    assert ada.companions == []
    await bea.send_text(group, "five")
    for text in ("one", "new phone", "four", "five"):
        await reads(ada, text)
