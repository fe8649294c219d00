"""What a first pairing and conversation leave behind: in the account, at the lab, and in the traces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from tests.support.memory_store import MemoryStore
from tests.support.waton_client import waton_peer
from waton.client.backoff import Backoff
from waton.client.events import ConnectionStatus, MessageStatus, UpsertType
from waton.client.prekeys import FIRST_UPLOAD
from waton.errors import Disconnected, DisconnectReason, HandshakeError, LocalProtocolError, QueryTimeout
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.infra.websocket import WebSocketConnector
from waton.jid import SERVER, Jid, signal_address
from waton.lab.faults import Defect, Fault
from waton.lab.server import Lab
from waton.ports import RecordKind
from waton.protocol import proto
from waton.protocol.binary_node import Node, decode_node
from waton.protocol.trace import Layer, Way


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield lab
    await lab.stop()


async def test_the_phone_shares_keys_and_history_and_both_are_kept_and_receipted(lab: Lab) -> None:
    phone, store = await lab.add_phone("Owner"), MemoryStore()
    async with waton_peer(lab, "Owner", store) as waton:
        await waton.pair(phone)
        contact = await lab.add_phone("Ada")
        await contact.send_text(waton.lid, "after the shares")
        await waton.message("after the shares")

        keys = await store.keys(RecordKind.APP_STATE_KEY)
        assert keys
        for key in keys:
            data = proto.Message.AppStateSyncKeyData.FromString(await store.load(RecordKind.APP_STATE_KEY, key) or b"")
            assert len(data.keyData) == 32
        chunks = await store.keys(RecordKind.HISTORY_CHUNK)
        assert len(chunks) == 1
        chunk = proto.Message.HistorySyncNotification.FromString(
            await store.load(RecordKind.HISTORY_CHUNK, chunks[0]) or b""
        )
        assert chunk.initialHistBootstrapInlinePayload
        receipts = [trace.kind for trace in waton.traces if trace.name == "receipt" and trace.way is Way.OUT]
        assert receipts.count("peer_msg") >= 2
        assert receipts.count("hist_sync") == 1


async def test_prekeys_are_stocked_once_and_a_spent_one_is_gone(lab: Lab) -> None:
    phone, store = await lab.add_phone("Owner"), MemoryStore()
    contact = await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner", store) as waton:
        await waton.pair(phone)
        await contact.send_text(waton.lid, "opens a session")
        await waton.message("opens a session")
        left = await store.keys(RecordKind.PREKEY)
        spent = {str(id) for id in range(1, FIRST_UPLOAD + 1)} - set(left)
        # One for the phone's shares, one for Ada's message.
        assert len(spent) == 2
        me = waton.client.credentials.me
        assert me is not None
        device = lab.service.world.locate(me)
        assert device is not None
        assert lab.service.world.prekey_count(device) == FIRST_UPLOAD - 2

        await waton.restart()
        uploads = [
            trace
            for trace in waton.traces
            if trace.layer is Layer.NODE and trace.way is Way.OUT and trace.xmlns == "encrypt" and trace.kind == "set"
        ]
        assert len(uploads) == 1, "a login with a full stock uploads nothing"


async def test_statuses_arrive_in_order_and_our_own_text_is_an_event_too(lab: Lab) -> None:
    phone, contact = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(phone)
        result = await waton.client.send_text(contact.lid.bare, "hello Ada")
        sent = await waton.message("hello Ada")
        assert sent.key.from_me
        assert sent.upsert is UpsertType.APPEND
        for status in (MessageStatus.SERVER_ACK, MessageStatus.DELIVERED):
            await waton.status(result.id, status)
        got = await contact.next_message()
        assert got.text == "hello Ada"
        contact.read(got)
        await waton.status(result.id, MessageStatus.READ)


async def test_a_recipient_without_bundles_is_skipped_and_the_others_get_it(lab: Lab) -> None:
    """A companion that has registered and published nothing yet must not keep the phone from reading."""
    phone, contact = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton, waton_peer(lab, "Ada") as silent:
        await waton.pair(phone)
        await silent.pair(contact)
        me = silent.client.credentials.me
        assert me is not None
        await silent.client.close()
        device = lab.service.world.locate(me)
        assert device is not None
        with lab.service.world.step():
            lab.service.world.database.write(
                "UPDATE device SET skey_id = NULL, skey = NULL, skey_signature = NULL WHERE account = ? AND number = ?",
                *device.key,
            )
        result = await waton.client.send_text(contact.lid.bare, "whoever can read this")
        assert result.is_accepted
        assert [jid.device for jid in result.skipped] == [me.device]
        assert (await contact.next_message()).text == "whoever can read this"


async def test_what_is_for_nobody_the_server_knows_is_not_sent_to_our_other_devices_either(lab: Lab) -> None:
    phone = await lab.add_phone("Owner")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(phone)
        with pytest.raises(LocalProtocolError):
            await waton.client.send_text(Jid("15559999999", "s.whatsapp.net"), "to whom?")
        assert (await waton.client.send_text(phone.lid, "to myself")).is_accepted
        assert [message.text for message in phone.messages] == ["to myself"]


async def test_closing_ends_though_the_connection_fails_at_the_same_moment(lab: Lab) -> None:
    async def fail() -> None:
        raise Disconnected(DisconnectReason.LOST)

    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(await lab.add_phone("Owner"))
        waton.client.supervisor.spawn(fail())
        async with asyncio.timeout(10):
            await waton.client.close()
        connections = lab.connections
        await asyncio.sleep(0.5)
        assert lab.connections == connections, "it does not come back"


@pytest.mark.parametrize("whose", ["the recipient's", "our own"])
async def test_nothing_is_sent_while_somebody_s_devices_are_not_known(lab: Lab, whose: str) -> None:
    phone, contact = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(phone)
        await waton.client.send_text(contact.lid, "one")
        waton.client.people.devices.forget(waton.lid if whose == "our own" else contact.lid)
        waton.client.config = replace(waton.client.config, query_timeout=0.3)
        lab.faults.schedule("lost_answer=100%/max:1")
        with pytest.raises(QueryTimeout):
            await waton.client.send_text(contact.lid, "two", id="3EB02")
        assert (await waton.client.send_text(contact.lid, "two", id="3EB02")).is_accepted
        for reader in (phone, contact):
            assert [message.text for message in reader.messages] == ["one", "two"]


async def test_every_trace_has_its_parent_before_it(lab: Lab) -> None:
    phone, contact = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    contact.reply_with = lambda text: f"re: {text}"
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(phone)
        await waton.client.send_text(contact.lid.bare, "hello")
        await waton.message("re: hello")
        by_seq = {trace.seq: trace for trace in waton.traces}
        assert list(by_seq) == list(range(1, len(waton.traces) + 1))
        for trace in waton.traces:
            assert trace.parent is None or trace.parent < trace.seq
        reply = next(
            trace
            for trace in waton.traces
            if trace.layer is Layer.MESSAGE and trace.way is Way.IN and b"re: hello" in trace.data
        )
        chain = [reply]
        while chain[-1].parent is not None:
            chain.append(by_seq[chain[-1].parent])
        assert [trace.layer for trace in chain] == [Layer.MESSAGE, Layer.NODE, Layer.FRAME, Layer.WIRE]
        assert reply.transition is not None


async def test_reconnect_cuts_a_pause_short_and_revives_a_client_that_gave_up(lab: Lab) -> None:
    phone = await lab.add_phone("Owner")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(phone)
        url, waton.client.config = (
            waton.client.config.url,
            replace(waton.client.config, url="ws://127.0.0.1:9/ws/chat", backoff=Backoff(first=3600.0, cap=3600.0)),
        )
        await waton.client.reconnect()
        await waton.client.wait_status(ConnectionStatus.RECONNECTING, 10)
        waton.client.config = replace(waton.client.config, url=url)
        await waton.client.reconnect()
        await waton.client.wait_open(10)

        lab.faults.next(Fault.certificate(Defect.LEAF_KEY), connections=2)  # one resumed, one in full
        await waton.client.reconnect()
        with pytest.raises(HandshakeError):
            await waton.client.wait_status(ConnectionStatus.CONNECTING, 10)
        await waton.client.reconnect()
        await waton.client.wait_open(10)


@pytest.mark.parametrize(
    ("stanza", "nack"),
    [
        (Node("message", {"id": "ODD1", "from": "x:y@lid", "t": "1", "type": "text"}), None),
        (Node("message", {"id": "ODD2", "from": Jid("2000", "lid"), "type": "text"}), "487"),
        (Node("message", {"id": "ODD5", "from": Jid("1-2", "g.us"), "type": "text", "t": "1"}), "487"),
        (
            Node(
                "message",
                {"id": "ODD6", "from": Jid("2000", "lid"), "recipient": Jid("3000", "lid"), "type": "text", "t": "1"},
            ),
            "487",
        ),
        (
            Node(
                "message",
                {"id": "ODD3", "from": Jid("2000", "lid"), "t": "1", "type": "text"},
                [Node("enc", {"v": "2", "type": "skmsg"}, b"\x33\x01\x02")],
            ),
            "",
        ),
        (
            Node(
                "message",
                {"id": "ODD4", "from": Jid("2000", "lid"), "t": "1", "type": "text"},
                [Node("enc", {"v": "2", "type": "pkmsg"}, b"no Signal message at all")],
            ),
            "",
        ),
        (Node("receipt", {"from": Jid("2000", "lid")}), None),
        (
            Node("notification", {"id": "ODD5", "from": SERVER, "type": "encrypt"}, [Node("count", {"value": "many"})]),
            "",
        ),
    ],
)
async def test_a_stanza_that_makes_no_sense_is_answered_by_name_and_the_connection_stays(
    lab: Lab, stanza: Node, nack: str | None
) -> None:
    phone, contact = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(phone)
        me = waton.client.credentials.me
        assert me is not None
        device = lab.service.world.locate(me)
        assert device is not None
        session = lab.service.deliveries.session(device)
        assert session is not None
        session.endpoint.deliver(stanza, None)
        await contact.send_text(waton.lid, "and then a good one")
        await waton.message("and then a good one")
        answers = [
            decode_node(trace.data)
            for trace in waton.traces
            if trace.layer is Layer.NODE and trace.way is Way.OUT and trace.name == "ack" and trace.id.startswith("ODD")
        ]
        assert [answer.attrs.get("error", "") for answer in answers] == ([] if nack is None else [nack])
        connections = {trace.connection for trace in waton.traces}
        assert max(connections) == 2, "one to pair, one to log in"


async def test_over_tls_the_lab_s_own_certificate_is_trusted_and_no_other() -> None:
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), tls=True)
    try:
        phone = await lab.add_phone("Owner")
        assert lab.wss_url is not None
        async with waton_peer(lab, "Owner", connector=WebSocketConnector(lab.ca_pem)) as waton:
            waton.client.config = replace(waton.client.config, url=lab.wss_url)
            await waton.pair(phone)
            assert (await waton.client.send_text(phone.lid.bare, "over TLS")).is_accepted
        async with waton_peer(lab, "Owner") as stranger:
            stranger.client.config = replace(stranger.client.config, url=lab.wss_url)
            await stranger.client.start()
            await stranger.client.wait_status(ConnectionStatus.RECONNECTING, 10)
            assert isinstance(stranger.client.update.error, Disconnected)
    finally:
        await lab.stop()


async def test_a_damaged_session_is_made_anew_and_costs_nobody_a_message(lab: Lab) -> None:
    phone, contact = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    store = MemoryStore()
    async with waton_peer(lab, "Owner", store) as waton:
        await waton.pair(phone)
        assert (await waton.client.send_text(contact.lid.bare, "first")).is_accepted
        own = signal_address(phone.lid.bare)
        assert (RecordKind.SESSION, own) in store.records
        whole = store.records[RecordKind.SESSION, own]
        # The record's frame is sound, the session inside is not: it breaks when it is used.
        store.records[RecordKind.SESSION, own] = whole[:3] + b"\xff" * (len(whole) - 3)
        result = await waton.client.send_text(contact.lid.bare, "second")
        assert result.skipped == {}
        assert [(await phone.next_message(from_me=True)).text for _ in range(2)] == ["first", "second"]
        assert [(await contact.next_message()).text for _ in range(2)] == ["first", "second"]
