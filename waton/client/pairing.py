"""Pairing, the client's part: by QR, by code, or both at once; then check the phone's word and sign back.

A QR is shown ref by ref until a phone has scanned one. A code (`CodePairing`) is asked for beside the QRs: the person
types it on the phone, the phone answers, and we answer that. Either way ends with a pair-success, and its seal shows by
which secret it was made.

Nothing is stored before every check has passed; a failed pairing leaves the credentials as they were, so the next
attempt starts clean.

Source: whatsmeow pair-code.go, whatsapp-rust src/pair_code.rs (what is checked of a phone's answer).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from waton.client.events import ConnectionStatus
from waton.errors import IqError, LocalProtocolError, PairingError, PairingStep, QueryTimeout, WatonError
from waton.ports import Clock
from waton.protocol.adv import VerifiedIdentity, verify_identity
from waton.protocol.binary_node import Node, StanzaError
from waton.protocol.client_payload import Browser
from waton.protocol.connection import NodeReceived
from waton.protocol.credentials import Credentials, KeyPair
from waton.protocol.pairing_code import (
    CODE_SECONDS,
    MOST_ANSWERS,
    CodeRequest,
    answer_phone,
    make_code,
    parse_code,
    parse_phone,
    wrap,
)
from waton.protocol.stanza import pairing
from waton.protocol.stanza.pairing import (
    FIRST_QR_SECONDS,
    NEXT_QR_SECONDS,
    CompanionFinish,
    CompanionHello,
    LinkStage,
    PairSuccess,
    PrimaryHello,
    QrText,
    link_stage,
    ref_of_link,
    refs_of,
)
from waton.protocol.trace import Layer, Way

if TYPE_CHECKING:
    from waton.client.client import Client


@dataclass(frozen=True, slots=True, repr=False)
class QrShown:
    """One QR on show."""

    text: str
    expires_at: float
    """Unix seconds."""
    left: int
    """Refs after this one."""


class QrRotation:
    """Shows one ref after the other: 60 s the first, 20 s each later one."""

    def __init__(
        self,
        credentials: Credentials,
        browser: Browser,
        clock: Clock,
        show: Callable[[QrShown], None],
        hold: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._credentials = credentials
        self._browser = browser
        self._clock = clock
        self._show = show
        self._hold = hold

    async def run(self, node: Node) -> None:
        """Show all refs of a pair-device. Raises PairingError(REFS) when none is left, and no code is on show."""
        refs = refs_of(node)
        for number, ref in enumerate(refs):
            seconds = NEXT_QR_SECONDS if number else FIRST_QR_SECONDS
            text = self._text(ref)
            self._show(QrShown(text, self._clock.now() + seconds, len(refs) - number - 1))
            await asyncio.sleep(seconds)
        while (left := self._hold() - self._clock.now()) > 0:  # noqa: ASYNC110  as long as a code is good, and no oftener
            await asyncio.sleep(left)
        raise PairingError(PairingStep.REFS)

    def _text(self, ref: str) -> str:
        mine = self._credentials
        keys = (mine.noise_key.public, mine.identity_key.public, mine.adv_secret)
        return QrText(ref, *keys, platform=self._browser.qr_platform).encode()


@dataclass(frozen=True, slots=True, repr=False)
class Paired:
    """A pairing that verified: what to store and what to answer."""

    credentials: Credentials
    identity: VerifiedIdentity
    reply: Node


def accept(credentials: Credentials, success: PairSuccess, entropy: bytes, secrets: Sequence[bytes] = ()) -> Paired:
    """Check a pair-success and make the answer.

    Args:
        credentials: ours, with the secret that our QRs show.
        success: what came.
        entropy: 64 bytes.
        secrets: further secrets that the phone may have sealed with: those of answered codes.
    Raises:
        PairingError: the first check that failed.
    """
    secret, identity = _opened(credentials, success, entropy, (*secrets, credentials.adv_secret))
    updated = credentials.evolve(
        me=success.jid, lid=success.lid, account=identity.account, platform=success.platform, adv_secret=secret
    )
    return Paired(updated, identity, pairing.pair_device_sign(success.id, identity.key_index, identity.reply))


def _opened(
    credentials: Credentials, success: PairSuccess, entropy: bytes, secrets: Sequence[bytes]
) -> tuple[bytes, VerifiedIdentity]:
    for secret in secrets:
        try:
            return secret, verify_identity(
                success.container, adv_secret=secret, identity=credentials.identity_key, entropy=entropy
            )
        except PairingError as error:
            if error.step is not PairingStep.HMAC:
                raise
    raise PairingError(PairingStep.HMAC)


def refusal(success: PairSuccess, error: PairingError) -> Node:
    """What we tell the server when a pair-success does not verify."""
    if error.step is PairingStep.HMAC:
        return pairing.pair_error(success.id, 401, "hmac-mismatch")
    if error.step is PairingStep.ACCOUNT_SIGNATURE:
        return pairing.pair_error(success.id, 401, "signature-mismatch")
    return pairing.pair_error(success.id, 500, "internal-error")


class CodePairing:
    """The pairing code of one client: at most one is on show, and it ends with its connection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._request: CodeRequest | None = None
        self._answers = 0
        self._secrets: list[bytes] = []

    @property
    def secrets(self) -> list[bytes]:
        """What phones may seal a pair-success with, 32 bytes each: those of the answers we have given, newest first."""
        return self._secrets[::-1]

    @property
    def expires_at(self) -> float:
        """Until when the code is good, Unix seconds; 0 when none is on show."""
        return 0.0 if self._request is None else self._request.expires_at

    def reset(self) -> None:
        """A new connection, or the end of the pairing: the server knows our request no more."""
        self._request, self._answers = None, 0
        self._secrets.clear()

    async def request(self, phone: str, code: str | None) -> str:
        """See Client.request_pairing_code."""
        number = parse_phone(phone)
        client, take = self._client, self._client.entropy.take
        text = make_code(take(5)) if code is None else parse_code(code)
        if client.credentials.is_paired:
            raise LocalProtocolError("this device is paired already")
        await client.wait_status(ConnectionStatus.QR, client.config.query_timeout)
        live = client.supervisor.live()
        ephemeral = KeyPair.of(take(32))
        wrapped = await asyncio.to_thread(wrap, ephemeral.public, text, salt=take(32), iv=take(16))
        browser = client.config.browser
        hello = CompanionHello(
            number, wrapped, client.credentials.noise_key.public, browser.qr_platform, browser.display
        )
        answer = await live.query(hello.to_node(client.next_id()), client.config.query_timeout)
        self.reset()
        self._request = CodeRequest(number, text, ephemeral, ref_of_link(answer), client.clock.now() + CODE_SECONDS)
        self._trace("none", "shown")
        return text

    async def on_notification(self, event: NodeReceived) -> None:
        """Take a phone's answer to the code, or the server's word that it is over. What is wrong with it is told."""
        try:
            if link_stage(event.node) == LinkStage.REFRESH_CODE:
                raise PairingError(PairingStep.CODE_EXPIRED)
            await self._answer(PrimaryHello.from_node(event.node), event.trace)
        except StanzaError:
            self._refuse(PairingError(PairingStep.FORMAT))
        except (PairingError, IqError, QueryTimeout) as error:
            self._refuse(error)

    async def _answer(self, hello: PrimaryHello, trace: int) -> None:
        client, request = self._client, self._request
        if request is None:
            raise PairingError(PairingStep.CODE_EXPIRED)
        request.check(hello.ref, client.clock.now())
        if self._answers >= MOST_ANSWERS:
            raise PairingError(PairingStep.CODE_TRIES)
        self._answers += 1
        mine, entropy = client.credentials.identity_key, client.entropy.take(76)
        answer = await asyncio.to_thread(
            answer_phone, request, hello.wrapped_key, hello.identity_key, identity=mine, entropy=entropy
        )
        if self._request is not request:
            return  # the connection it was for has ended meanwhile, or another code is on show
        self._secrets.append(answer.adv_secret)
        finish = CompanionFinish(request.phone, answer.bundle, mine.public, request.ref)
        self._trace("shown", "answered", answers=self._answers)
        await client.supervisor.live().query(finish.to_node(client.next_id()), client.config.query_timeout, trace)

    def _refuse(self, error: WatonError) -> None:
        """Tell why a phone's answer was not taken. The QRs go on, and the code too, while it is good."""
        client = self._client
        over = isinstance(error, PairingError) and error.step in (PairingStep.CODE_EXPIRED, PairingStep.CODE_TRIES)
        if over:
            self._request = None
        self._trace("shown", "over" if over else "refused", error=f"{type(error).__name__}: {error}")
        shown = client.update
        if shown.status is ConnectionStatus.QR:
            client.status.move(
                shown.status, qr=shown.qr, qr_expires_at=shown.qr_expires_at, qr_left=shown.qr_left, error=error
            )

    def _trace(self, before: str, after: str, **more: str | int) -> None:
        client = self._client
        client.tracer.add(
            Layer.STATE,
            Way.LOCAL,
            "pairing_code",
            at=client.clock.now(),
            detail=json.dumps({"before": before, "after": after, **more}),
            connection=client.supervisor.connections,
        )
