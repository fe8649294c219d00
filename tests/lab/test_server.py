"""The lab over real sockets: handshake, pairing, login, the admin endpoint, TLS, restarts."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.lab.wire_client import WireClient, new_credentials, pair
from waton.errors import Disconnected, HandshakeError, LabError, PairingError, PairingStep, StorageError
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.lab.server import Lab, banner, serve_forever
from waton.protocol import adv, proto
from waton.protocol.binary_node import Node, require_child
from waton.protocol.client_payload import Browser, registration_payload
from waton.protocol.connection import Connection
from waton.protocol.credentials import Credentials
from waton.protocol.noise import PRODUCTION_ROOT, ClientHandshake
from waton.protocol.stanza import iq, pairing
from waton.protocol.stanza.pairing import PairSuccess, QrText
from waton.protocol.trace import Layer, Trace, Tracer

PING = iq.request("ping-1", iq.IqType.GET, "w:p", [Node("ping")])


async def ping(client: WireClient) -> None:
    """The connection is alive: a ping is answered."""
    await client.send(PING)
    while (await client.next("iq")).attrs["id"] != "ping-1":
        pass


def qr(credentials: Credentials, offer: Node) -> str:
    keys = (credentials.noise_key.public, credentials.identity_key.public, credentials.adv_secret)
    return QrText(pairing.refs_of(offer)[0], *keys).encode()


# --- the wire


async def test_a_device_pairs_logs_in_and_is_answered(lab: Lab) -> None:
    mine = await pair(lab)
    assert lab.phones[0].companions == [mine.me]
    async with WireClient.open(lab, mine) as client:
        welcome = await client.next()
        assert (welcome.tag, welcome.attrs["lid"]) == ("success", mine.lid)
        await ping(client)


@pytest.mark.parametrize(
    "cut",
    [
        lambda data: [data[i : i + 1] for i in range(len(data))],
        lambda data: [data[:2], data[2:5], data[5:]],
    ],
    ids=["byte by byte", "inside the lengths"],
)
async def test_frames_may_span_websocket_messages(lab: Lab, cut: object) -> None:
    async with WireClient.open(lab, new_credentials(), cut=cut) as client:  # pyright: ignore[reportArgumentType]
        assert len(pairing.refs_of(await client.next("iq"))) == 6


async def test_frames_may_share_a_websocket_message(lab: Lab) -> None:
    mine = await pair(lab)
    async with WireClient.open(lab, mine) as client:
        await client.next("success")
        for _ in range(3):
            client.connection.send(PING, 0)
        await client.socket.send_bytes(b"".join(client.connection.data_to_send()))
        for _ in range(3):
            assert (await client.next("iq")).attrs["id"] == "ping-1"


async def test_a_stranger_to_the_labs_root_hangs_up(lab: Lab) -> None:
    handshake = ClientHandshake(
        static_private=bytes(range(32)), ephemeral_private=bytes(range(1, 33)), payload=b"x", root=PRODUCTION_ROOT
    )
    connection = Connection(handshake, Tracer(lambda traces: None))
    connection.start(0)
    async with ClientSession() as session, session.ws_connect(lab.url) as socket:
        for data in connection.data_to_send():
            await socket.send_bytes(data)
        with pytest.raises(HandshakeError) as refused:
            connection.receive((await socket.receive(timeout=10)).data, SystemClock().now())
    assert refused.value.step == "intermediate_signature"


@pytest.mark.parametrize(
    "rubbish",
    [
        b"GET / HTTP/1.1\r\n",
        b"WA\x06\x02\0\0\1x",
        b"WA\x06\x03\0\0\0",
        b"WA\x06\x03\xff\xff\xffx",
        b"WA\x06\x03\0\0\4abcd",
    ],
    ids=["http", "other version", "empty frame", "too long", "no handshake"],
)
async def test_rubbish_ends_its_own_connection_only(lab: Lab, rubbish: bytes) -> None:
    async with WireClient.open(lab, new_credentials()) as bystander:
        await bystander.next("iq")
        async with ClientSession() as session, session.ws_connect(lab.url) as socket:
            await socket.send_bytes(rubbish)
            assert (await socket.receive(timeout=10)).data in (1000, None)
            assert socket.closed
        assert not bystander.socket.closed
    await pair(lab)


async def test_a_tampered_frame_ends_the_connection(lab: Lab) -> None:
    mine = await pair(lab)
    async with WireClient.open(lab, mine) as client:
        await client.next("success")
        client.connection.send(PING, 0)
        (data,) = client.connection.data_to_send()
        await client.socket.send_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        await client.closed()
    async with WireClient.open(lab, mine) as again:
        await again.next("success")


# --- logins


async def test_a_login_with_another_noise_key_or_device_is_logged_out(lab: Lab) -> None:
    mine = await pair(lab)
    assert mine.me is not None
    impostor = new_credentials().evolve(me=mine.me, lid=mine.lid)
    stranger = mine.evolve(me=mine.me.with_device(9))
    phone = mine.evolve(me=mine.me.bare)
    for who in (impostor, stranger, phone):
        async with WireClient.open(lab, who) as client:
            refused = await client.next()
            assert (refused.tag, refused.attrs["reason"]) == ("failure", "401")
            await client.closed()


async def test_a_malformed_payload_is_refused(lab: Lab) -> None:
    mine = new_credentials()
    for payload in (b"\xff\xff", bytes.fromhex("9a01021200")):
        async with WireClient.open(lab, mine, payload=payload) as client:
            assert (await client.next()).attrs["reason"] == "400"
            await client.closed()


async def test_a_registration_whose_signed_prekey_is_not_signed_is_refused(lab: Lab) -> None:
    mine = new_credentials()
    payload = proto.ClientPayload.FromString(registration_payload(mine, Browser()))
    payload.devicePairingData.eSkeySig = bytes(64)
    async with WireClient.open(lab, mine, payload=payload.SerializeToString()) as client:
        assert (await client.next()).attrs["reason"] == "400"
        await client.closed()


async def test_a_second_login_replaces_the_first(lab: Lab) -> None:
    mine = await pair(lab)
    async with WireClient.open(lab, mine) as first:
        await first.next("success")
        async with WireClient.open(lab, mine) as second:
            await second.next("success")
            farewell = await first.next("stream:error")
            assert require_child(farewell, "conflict").attrs["type"] == "replaced"
            await first.closed()
            await ping(second)


async def test_an_unlinked_device_is_told_and_cannot_come_back(lab: Lab) -> None:
    mine = await pair(lab)
    assert mine.me is not None
    async with WireClient.open(lab, mine) as client:
        await client.next("success")
        lab.phones[0].remove(mine.me)
        assert require_child(await client.next("stream:error"), "conflict").attrs["type"] == "device_removed"
        await client.closed()
    async with WireClient.open(lab, mine) as again:
        assert (await again.next()).attrs["reason"] == "401"
    with pytest.raises(LabError):
        lab.phones[0].remove(mine.me)


# --- pairing


async def test_a_companion_that_refuses_or_leaves_fails_the_scan_and_stores_nothing(lab: Lab) -> None:
    phone = lab.phones[0]
    mine = new_credentials()
    async with WireClient.open(lab, mine) as client:
        scan = asyncio.create_task(phone.scan(qr(mine, await client.next("iq"))))
        success = PairSuccess.from_node(await client.next("iq"))
        await client.send(pairing.pair_error(success.id, 401, "hmac-mismatch"))
        with pytest.raises(PairingError) as refused:
            await scan
        assert refused.value.step is PairingStep.HMAC
    async with WireClient.open(lab, mine) as client:
        scan = asyncio.create_task(phone.scan(qr(mine, await client.next("iq"))))
        await client.next("iq")
    with pytest.raises(Disconnected):
        await scan
    assert phone.companions == []
    # The numbers of the failed attempts are used up.
    paired = await pair(lab, mine)
    assert paired.me == phone.pn.with_device(3)


async def test_the_signature_of_the_companion_is_checked(lab: Lab) -> None:
    phone = lab.phones[0]
    mine = new_credentials()
    async with WireClient.open(lab, mine) as client:
        scan = asyncio.create_task(phone.scan(qr(mine, await client.next("iq"))))
        success = PairSuccess.from_node(await client.next("iq"))
        verified = adv.verify_identity(
            success.container, adv_secret=mine.adv_secret, identity=mine.identity_key, entropy=bytes(64)
        )
        tampered = verified.reply[:-1] + bytes([verified.reply[-1] ^ 1])
        await client.send(pairing.pair_device_sign(success.id, verified.key_index, tampered))
        with pytest.raises(PairingError) as refused:
            await scan
        assert refused.value.step is PairingStep.DEVICE_SIGNATURE
        await client.closed()
    assert phone.companions == []


async def test_a_qr_that_is_not_on_show_is_refused(lab: Lab) -> None:
    mine = new_credentials()
    phone = lab.phones[0]
    async with WireClient.open(lab, mine) as client:
        offer = await client.next("iq")
        with pytest.raises(LabError, match="other keys"):
            await phone.scan(qr(new_credentials(), offer))
        with pytest.raises(PairingError):
            await phone.scan("https://example.org/")
        text = qr(mine, offer)
        scan = asyncio.create_task(phone.scan(text))
        await client.next("iq")
        with pytest.raises(LabError, match="already"):
            await phone.scan(text)
    with pytest.raises(Disconnected):
        await scan
    with pytest.raises(LabError, match="no connection"):
        await phone.scan(text)


# --- the admin endpoint


async def test_the_admin_endpoint_scans_for_a_client_that_shows_a_qr(lab: Lab) -> None:
    await lab.add_phone("Grace")
    mine = new_credentials().evolve(push_name="Grace")
    url = f"{lab.http_url}/admin/mock-phone/scan-qr"
    async with ClientSession() as session, WireClient.open(lab, mine) as client:
        assert (await session.get(lab.http_url)).status == 200
        text = qr(mine, await client.next("iq"))
        post = asyncio.create_task(session.post(url, data=text.partition("#")[2]))
        success = PairSuccess.from_node(await client.next("iq"))
        verified = adv.verify_identity(
            success.container, adv_secret=mine.adv_secret, identity=mine.identity_key, entropy=bytes(64)
        )
        await client.send(pairing.pair_device_sign(success.id, verified.key_index, verified.reply))
        answer = await post
        assert answer.status == 200
        assert await answer.json() == {"jid": str(success.jid), "lid": str(success.lid), "phone": "Grace"}
        for body, status in ((b"hello", 400), (text.encode(), 404), (b"\xff" * 9_000, 400)):
            refused = await session.post(url, data=body)
            assert (refused.status, "error" in await refused.json()) == (status, True)


async def test_the_admin_endpoint_says_when_the_companion_refuses(lab: Lab) -> None:
    mine = new_credentials()
    async with ClientSession() as session, WireClient.open(lab, mine) as client:
        text = qr(mine, await client.next("iq"))
        post = asyncio.create_task(session.post(f"{lab.http_url}/admin/mock-phone/scan-qr", data=text))
        success = PairSuccess.from_node(await client.next("iq"))
        await client.send(pairing.pair_error(success.id, 401, "signature-mismatch"))
        answer = await post
        body = await answer.text()
        assert (answer.status, "account_signature" in body) == (409, True)
        assert text not in body


# --- TLS, restarts, the command line's door


async def test_wss_with_the_labs_own_certificate() -> None:
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), tls=True)
    try:
        assert lab.wss_url is not None
        async with WireClient.open(lab, new_credentials(), url=lab.wss_url) as client:
            assert (await client.next("iq")).child("pair-device") is not None
    finally:
        await lab.stop()


async def test_a_restarted_lab_knows_its_devices(tmp_path: Path) -> None:
    state = tmp_path / "lab"
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), state=state)
    mine = await pair(lab)
    root, names = lab.root, [phone.name for phone in lab.phones]
    with pytest.raises(StorageError, match="in use"):
        await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), state=state)
    async with WireClient.open(lab, mine) as client:
        await client.next("success")
        await lab.stop()
        await client.closed()

    again = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), state=state)
    try:
        assert (again.root, [phone.name for phone in again.phones]) == (root, names)
        async with WireClient.open(again, mine) as client:
            await client.next("success")
            await ping(client)
    finally:
        await again.stop()


async def test_the_command_line_serves_until_cancelled() -> None:
    lines: list[str] = []
    said = asyncio.Event()

    def say(line: str) -> None:
        lines.append(line)
        if "scan-qr" in line:
            said.set()

    serving = asyncio.create_task(serve_forever(clock=SystemClock(), entropy=SystemEntropy(), port=0, say=say))
    async with asyncio.timeout(10):
        await said.wait()
    url = lines[0].split()[-1]
    async with ClientSession() as session:
        answer = await session.get(url.replace("ws://", "http://").removesuffix("/ws/chat"))
        assert answer.status == 200
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_the_banner_names_what_a_client_needs(lab: Lab) -> None:
    text = "\n".join(banner(lab))
    assert lab.url in text
    assert lab.root.hex() in text
    assert f"{lab.http_url}/admin/mock-phone/scan-qr" in text


async def test_every_frame_of_a_pairing_is_traced_with_its_parent() -> None:
    traces: list[Trace] = []
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), sink=traces.extend)
    await pair(lab)
    await lab.stop()
    assert [trace.seq for trace in traces] == list(range(1, len(traces) + 1))
    by_seq = {trace.seq: trace for trace in traces}
    layers = [Layer.WIRE, Layer.FRAME, Layer.NODE]
    sign = next(
        trace
        for trace in traces
        if trace.layer is Layer.NODE
        and trace.way == "in"
        and b"\x00" in trace.data
        and trace.kind == "result"
        and trace.size > 100
    )
    chain = [sign]
    while chain[-1].parent is not None:
        chain.append(by_seq[chain[-1].parent])
    assert [trace.layer for trace in reversed(chain)] == layers
    assert {trace.connection for trace in chain} == {1}
