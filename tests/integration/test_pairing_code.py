"""waton linked by a code that the lab's phone types, and by nothing else that comes in its place."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

import pytest

from tests.support.waton_client import WatonPeer, waton_peer
from waton.client.events import ConnectionStatus, ConnectionUpdate, Event
from waton.errors import Disconnected, IqError, LabError, LocalProtocolError, PairingError, PairingStep
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import SERVER
from waton.lab.faults import Fault
from waton.lab.pairing import Registering
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.ports import RecordKind
from waton.protocol.binary_node import Node
from waton.protocol.credentials import Credentials
from waton.protocol.pairing_code import CodeRequest
from waton.protocol.stanza.iq import IqType
from waton.protocol.stanza.pairing import LINK_CODE, PrimaryHello

WRONG = "WWWWWWWW"


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield lab
    await lab.stop()


async def asked(waton: WatonPeer, phone: Phone, code: str | None = None) -> str:
    """Start, and ask for a code."""
    if not waton.client.supervisor.is_started:
        await waton.client.start()
    return await waton.client.request_pairing_code(f"+{phone.pn.user}", code)


def request_of(waton: WatonPeer) -> CodeRequest:
    request = waton.client.account.code._request
    assert request is not None
    return request


def registering(lab: Lab) -> Registering:
    """The lab's end of the one connection that is being paired."""
    [found] = set(lab.service.desk._open.values())
    return found


async def told(waton: WatonPeer) -> Exception:
    """The next error that is told while the client goes on."""

    def wanted(event: Event) -> Exception | None:
        return event.error if isinstance(event, ConnectionUpdate) and event.status is ConnectionStatus.QR else None

    return await waton.event(wanted)


async def refused_for(waton: WatonPeer, lab: Lab, answer: Node) -> PairingStep:
    """The step at which the client refuses this notification."""
    registering(lab)._wire.send(answer)
    error = await told(waton)
    assert isinstance(error, PairingError)
    return error.step


def primary_hello(waton: WatonPeer, change: Callable[[PrimaryHello], PrimaryHello] = lambda hello: hello) -> Node:
    """An answer to the code on show, sound unless it is changed."""
    return change(PrimaryHello(request_of(waton).ref, bytes(range(80)), bytes(range(32)))).to_node("forged", 5)


def _shows_another(event: Event, qr: str | None) -> bool:
    return isinstance(event, ConnectionUpdate) and event.qr not in (None, qr)


# --- it works ---------------------------------------------------------------------------------------------------------


async def test_a_code_links_and_nothing_is_stored_before(lab: Lab) -> None:
    phone, ada = lab.phones[0], await lab.add_phone("Ada")
    async with waton_peer(lab) as waton:
        await waton.client.start()
        await waton.client.wait_status(ConnectionStatus.QR, 10)
        before = await waton.store.load(RecordKind.CREDENTIALS, "self")
        code = await asked(waton, phone)
        assert await waton.store.load(RecordKind.CREDENTIALS, "self") == before
        jid = await phone.enter_code(code)
        await waton.client.wait_open(10)
        assert waton.client.credentials.me == jid
        assert before is not None
        assert waton.client.credentials.adv_secret != Credentials.from_json(before).adv_secret
        await ada.send_text(phone.lid, "linked by a code")
        await waton.message("linked by a code")
        await waton.restart()
        await waton.client.send_text(ada.lid, "and still")
        assert (await ada.next_message()).text == "and still"


async def test_a_code_of_ones_own_with_a_dash_and_in_small_letters(lab: Lab) -> None:
    async with waton_peer(lab) as waton:
        assert await asked(waton, lab.phones[0], "waa1-bbb2") == "WAA1BBB2"
        await lab.phones[0].enter_code("waa1 bbb2")
        await waton.client.wait_open(10)


async def test_a_wrong_code_can_be_typed_twice_before_the_right_one(lab: Lab) -> None:
    phone = lab.phones[0]
    async with waton_peer(lab) as waton:
        code = await asked(waton, phone)
        for _ in range(2):
            with pytest.raises(PairingError) as refused:
                await phone.enter_code(WRONG)
            assert refused.value.step is PairingStep.CODE
        assert phone.companions == []
        assert not waton.client.credentials.is_paired
        await phone.enter_code(code)
        await waton.client.wait_open(10)


async def test_a_scan_works_while_a_code_is_on_show(lab: Lab) -> None:
    async with waton_peer(lab) as waton:
        await asked(waton, lab.phones[0])
        qr = waton.client.update.qr
        assert qr is not None
        await lab.phones[0].scan(qr)
        await waton.client.wait_open(10)


async def test_a_scan_works_after_a_code_was_answered_wrongly(lab: Lab) -> None:
    phone = lab.phones[0]
    async with waton_peer(lab) as waton:
        await asked(waton, phone)
        with pytest.raises(PairingError):
            await phone.enter_code(WRONG)
        qr = waton.client.update.qr
        assert qr is not None
        await phone.scan(qr)
        await waton.client.wait_open(10)


async def test_only_the_newest_code_counts(lab: Lab) -> None:
    phone = lab.phones[0]
    async with waton_peer(lab) as waton:
        first = await asked(waton, phone)
        second = await asked(waton, phone)
        with pytest.raises(PairingError):
            await phone.enter_code(first)
        await phone.enter_code(second)
        await waton.client.wait_open(10)


# --- it does not ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phone", "code"), [("015550001000", None), ("12", None), ("15550001000", "ABCDEFGO"), ("15550001000", "short")]
)
async def test_what_cannot_be_a_number_or_a_code_is_refused_without_a_word(
    lab: Lab, phone: str, code: str | None
) -> None:
    async with waton_peer(lab) as waton:
        await waton.client.start()
        with pytest.raises(ValueError, match=r"code|number") as refused:
            await waton.client.request_pairing_code(phone, code)
        assert phone not in str(refused.value)
        assert not [trace for trace in waton.traces if LINK_CODE.encode() in trace.data]


async def test_an_account_that_is_not_there_is_an_error_of_the_query(lab: Lab) -> None:
    async with waton_peer(lab) as waton:
        await waton.client.start()
        with pytest.raises(IqError) as refused:
            await waton.client.request_pairing_code("+1 555 999 9999")
        assert refused.value.code == 404
        assert waton.client.account.code.expires_at == 0.0


async def test_a_paired_device_asks_for_no_code(lab: Lab) -> None:
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(await lab.add_phone("Owner"))
        with pytest.raises(LocalProtocolError):
            await asked(waton, lab.phones[0])


async def test_no_phone_can_answer_when_no_code_is_on_show(lab: Lab) -> None:
    async with waton_peer(lab) as waton:
        await waton.client.start()
        await waton.client.wait_status(ConnectionStatus.QR, 10)
        with pytest.raises(LabError):
            await lab.phones[0].enter_code("ABCDEFGH")
        forged = PrimaryHello(b"ref", bytes(80), bytes(32)).to_node("forged", 5)
        assert await refused_for(waton, lab, forged) is PairingStep.CODE_EXPIRED


async def test_another_phones_account_knows_nothing_of_the_code(lab: Lab) -> None:
    ada = await lab.add_phone("Ada")
    async with waton_peer(lab) as waton:
        code = await asked(waton, lab.phones[0])
        with pytest.raises(LabError):
            await ada.enter_code(code)


async def test_an_answer_under_another_ref_is_refused_and_the_code_stays_good(lab: Lab) -> None:
    async with waton_peer(lab) as waton:
        code = await asked(waton, lab.phones[0])
        forged = primary_hello(waton, lambda hello: replace(hello, ref=b"another"))
        assert await refused_for(waton, lab, forged) is PairingStep.CODE_REF
        assert waton.client.update.qr is not None, "the QR is still on show"
        await lab.phones[0].enter_code(code)
        await waton.client.wait_open(10)


@pytest.mark.parametrize(
    "answer",
    [
        Node("notification", {"from": SERVER, "type": LINK_CODE, "id": "1", "t": "5"}),
        Node("notification", {"from": SERVER, "type": LINK_CODE, "id": "1", "t": "5"}, [Node(LINK_CODE)]),
    ],
)
async def test_an_answer_without_its_parts_is_refused(lab: Lab, answer: Node) -> None:
    async with waton_peer(lab) as waton:
        await asked(waton, lab.phones[0])
        assert await refused_for(waton, lab, answer) is PairingStep.FORMAT


async def test_a_key_of_low_order_is_refused(lab: Lab) -> None:
    async with waton_peer(lab) as waton:
        await asked(waton, lab.phones[0])
        forged = primary_hello(waton, lambda hello: replace(hello, identity_key=bytes(32)))
        assert await refused_for(waton, lab, forged) is PairingStep.CODE
        assert waton.client.account.code.secrets == []


async def test_a_code_ends_after_three_minutes(lab: Lab) -> None:
    async with waton_peer(lab) as waton:
        code = await asked(waton, lab.phones[0])
        request = request_of(waton)
        assert 170 < request.expires_at - lab.clock.now() <= 180
        waton.client.account.code._request = replace(request, expires_at=lab.clock.now() - 1)
        assert await refused_for(waton, lab, primary_hello(waton)) is PairingStep.CODE_EXPIRED
        with pytest.raises(LabError, match="does not answer"):
            await lab.phones[0].enter_code(code, timeout=0.3)


async def test_a_code_that_the_server_takes_back_is_over(lab: Lab) -> None:
    async with waton_peer(lab) as waton:
        await asked(waton, lab.phones[0])
        refresh = Node(
            "notification",
            {"from": SERVER, "type": LINK_CODE, "id": "1", "t": "5"},
            [Node(LINK_CODE, {"stage": "refresh_code"})],
        )
        assert await refused_for(waton, lab, refresh) is PairingStep.CODE_EXPIRED
        assert waton.client.account.code.expires_at == 0.0
        await lab.phones[0].enter_code(await asked(waton, lab.phones[0]))
        await waton.client.wait_open(10)


async def test_one_code_is_not_guessed_at_for_ever(lab: Lab) -> None:
    phone = lab.phones[0]
    async with waton_peer(lab) as waton:
        code = await asked(waton, phone)
        for _ in range(3):
            with pytest.raises(PairingError):
                await phone.enter_code(WRONG)
        with pytest.raises(LabError):
            await phone.enter_code(code, timeout=0.3)
        error = await told(waton)
        assert isinstance(error, PairingError)
        assert error.step is PairingStep.CODE_TRIES
        assert phone.companions == []


async def test_a_code_ends_with_its_connection(lab: Lab) -> None:
    phone = lab.phones[0]
    async with waton_peer(lab) as waton:
        code = await asked(waton, phone)
        with pytest.raises(PairingError):
            await phone.enter_code(WRONG)
        assert waton.client.account.code.secrets
        before, shown = waton.client.supervisor.connections, waton.client.update.qr
        await waton.client.reconnect()
        await waton.event(lambda event: event if _shows_another(event, shown) else None)
        assert waton.client.supervisor.connections > before
        assert (waton.client.account.code.secrets, waton.client.account.code.expires_at) == ([], 0.0)
        with pytest.raises((LabError, Disconnected)):
            await phone.enter_code(code, timeout=0.3)


async def test_what_happened_to_a_code_is_in_the_traces_without_the_code(lab: Lab) -> None:
    phone = lab.phones[0]
    async with waton_peer(lab) as waton:
        code = await asked(waton, phone)
        with pytest.raises(PairingError):
            await phone.enter_code(WRONG)
        await refused_for(waton, lab, primary_hello(waton, lambda hello: replace(hello, ref=b"another")))
        moves = [json.loads(trace.detail) for trace in waton.traces if trace.name == "pairing_code"]
        assert [move["after"] for move in moves] == ["shown", "answered", "refused"]
        assert not [trace for trace in waton.traces if code in trace.detail or code.encode() in trace.data]


# --- passkeys ---------------------------------------------------------------------------------------------------------


async def test_an_account_that_asks_for_a_passkey_is_named(lab: Lab) -> None:
    lab.faults.next(Fault.asks_for_passkey())
    async with waton_peer(lab) as waton:
        code = await asked(waton, lab.phones[0])
        with pytest.raises(Disconnected):
            await lab.phones[0].enter_code(code)
        with pytest.raises(PairingError) as ended:
            await waton.client.wait_open(10)
        assert ended.value.step is PairingStep.PASSKEY
        assert "passkey" in str(ended.value)
        assert waton.client.update.status is ConnectionStatus.CLOSED
        await waton.client.reconnect()
        await lab.phones[0].enter_code(await asked(waton, lab.phones[0]))
        await waton.client.wait_open(10)


async def test_a_paired_device_is_not_ended_by_a_request_for_a_passkey(lab: Lab) -> None:
    phone = await lab.add_phone("Owner")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(phone)
        me = waton.client.credentials.me
        assert me is not None
        device = lab.service.world.locate(me)
        assert device is not None
        session = lab.service.deliveries.session(device)
        assert session is not None
        session.endpoint.deliver(
            Node("notification", {"from": SERVER, "type": "crsc_continuation", "id": "1", "t": "5"}), None
        )
        await waton.client.query("w:p", IqType.GET, None)
        assert waton.client.update.status is ConnectionStatus.OPEN
