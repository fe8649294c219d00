"""Signal sessions: the same conversation with Baileys at one end and with us at that end.

A story is a list of steps: who writes what, which messages wait and come in another order, twice, or harmed. It is told
twice, first with Baileys as one of the two devices and then with waton as both; all keys and all dice are the same.
Every ciphertext and everything each side reads of it must be the same, byte by byte.

Source: Baileys Signal/libsignal.ts over libsignal-node, Utils/signal.ts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity.differential import REFUSED, Pair
from waton.parity.evidence import Domain
from waton.parity.functions import devices
from waton.parity.functions.nodes import to_ours
from waton.parity.generators import node
from waton.parity.oracle.process import BaileysError, Functions

if TYPE_CHECKING:
    pass

Value: TypeAlias = Any

REPOSITORY = "lib/Signal/libsignal.js"
SIGNAL = "lib/Utils/signal.js"
ALICE, BOB = "4915000000001:2@s.whatsapp.net", "77000000000002:3@lid"


# --- devices that talk ----------------------------------------------------------------------------------------------


class Party(Protocol):
    """One device, in a conversation with one other."""

    def open(self, answer: Value, dice: bytes) -> None:
        """Open a session from an answer to a question for bundles."""
        ...

    def write(self, text: bytes) -> tuple[str, bytes]:
        """The type and the ciphertext of one message."""
        ...

    def read(self, type: str, ciphertext: bytes, dice: bytes) -> bytes:
        """The text of one message."""
        ...


@dataclass(slots=True)
class Ours:
    """A device of ours: records in memory, steps by signal_repo."""

    device: Value
    peer: str
    record: bytes | None = None
    trusted: bytes | None = None
    spent: set[int] = field(default_factory=set[int])

    def open(self, answer: Value, dice: bytes) -> None:
        from waton.protocol import signal_repo
        from waton.protocol.binary_node import require_child

        user = require_child(require_child(to_ours(answer), "list"), "user")
        bundle = signal_repo.bundle_from_node(user)
        local = signal_repo.LocalIdentity.of(devices.ours(self.device))
        self.record = signal_repo.open_session(self.record, bundle, local, entropy=dice)

    def write(self, text: bytes) -> tuple[str, bytes]:
        from waton.protocol import signal_repo

        sealed = signal_repo.encrypt(self.record or b"", text)
        self.record = sealed.record
        return sealed.type.value, sealed.ciphertext

    def read(self, type: str, ciphertext: bytes, dice: bytes) -> bytes:
        from waton.errors import UntrustedIdentity

        try:
            return self._read(type, ciphertext, dice)
        except UntrustedIdentity as error:
            # It was authenticated under the new key. What the client then does is what its policy says.
            if not self._takes(error.old, error.new):
                raise
            self.trusted = error.new
            return self._read(type, ciphertext, dice)

    @staticmethod
    def _takes(old: bytes, new: bytes) -> bool:
        from waton.client.identity_change_handler import IdentityPolicy, decide_identity

        return decide_identity(IdentityPolicy.TRUST, old, new, authenticated=True).may_use

    def _read(self, type: str, ciphertext: bytes, dice: bytes) -> bytes:
        from waton.jid import Jid
        from waton.protocol import signal_repo

        opened = signal_repo.decrypt(
            signal_repo.EncType(type),
            ciphertext,
            record=self.record,
            local=signal_repo.LocalIdentity.of(devices.ours(self.device)),
            keys=self._lookup(type, ciphertext),
            trusted_identity=self.trusted,
            sender=Jid.parse(self.peer),
            entropy=dice,
        )
        self.record = opened.record
        self.trusted = opened.identity_key or self.trusted
        if opened.spent_prekey_id is not None:
            self.spent.add(opened.spent_prekey_id)
        return opened.plaintext

    def _lookup(self, type: str, ciphertext: bytes) -> Any:
        from waton._core import PreKeyMessage
        from waton.protocol.signal_repo import PreKeyLookup

        if type != "pkmsg":
            return None
        named = PreKeyMessage.parse(ciphertext)
        has_once = named.prekey_id == self.device["once_id"] and named.prekey_id not in self.spent
        return PreKeyLookup(
            signed_prekey_private=self.device["signed"] if named.signed_prekey_id == self.device["signed_id"] else None,
            prekey_private=self.device["once"] if has_once else None,
        )


@dataclass(frozen=True, slots=True)
class Theirs:
    """A device of Baileys'."""

    baileys: Functions
    name: str
    device: Value
    peer: str

    def __post_init__(self) -> None:
        prekeys = {str(self.device["once_id"]): devices.key_pair(self.device["once"])}
        self.baileys.ask("party", party=self.name, creds=devices.theirs(self.device), prekeys=prekeys)

    def open(self, answer: Value, dice: bytes) -> None:
        self.baileys.ask("inject", party=self.name, answer=answer, dice=dice)

    def write(self, text: bytes) -> tuple[str, bytes]:
        sealed = self.baileys.ask("encrypt", party=self.name, jid=self.peer, data=text)
        return sealed["type"], sealed["ciphertext"]

    def read(self, type: str, ciphertext: bytes, dice: bytes) -> bytes:
        return self.baileys.ask("decrypt", party=self.name, jid=self.peer, type=type, ciphertext=ciphertext, dice=dice)


def bundle_answer(device: Value, jid: str, *, with_prekey: bool, harm: bool = False) -> Value:
    """The server's answer with one device's bundle. harm: one bit of the signed prekey's signature is wrong."""
    signature = bytearray(devices.signature(device))
    signature[0] ^= 1 if harm else 0
    children = [
        node("registration", {}, device["registration"].to_bytes(4, "big")),
        node("type", {}, b"\x05"),
        node("identity", {}, devices.key_pair(device["identity"])["public"]),
    ]
    if with_prekey:
        children.append(_key("key", device["once_id"], device["once"]))
    children.append(_key("skey", device["signed_id"], device["signed"], bytes(signature)))
    return node("iq", {"type": "result"}, [node("list", {}, [node("user", {"jid": jid}, children)])])


def _key(tag: str, id: int, private: bytes, signature: bytes | None = None) -> Value:
    children = [node("id", {}, id.to_bytes(3, "big")), node("value", {}, devices.key_pair(private)["public"])]
    if signature is not None:
        children.append(node("signature", {}, signature))
    return node(tag, {}, children)


# --- stories --------------------------------------------------------------------------------------------------------


def throw(seed: int, name: str, size: int = 32) -> bytes:
    """Dice of one throw's name. Two keys of a story are never the same, as two throws never are."""
    drawn = b"".join(sha256(f"{seed} {name} {block}".encode()).digest() for block in range(-(-size // 32)))
    return drawn[:size]


def _device(seed: int, name: str, numbers: Value) -> Value:
    keys = {key: throw(seed, f"{name} {key}") for key in ("identity", "signed", "noise", "secret", "once")}
    return keys | numbers | {"entropy": throw(seed, f"{name} entropy", 64)}


def _numbers() -> SearchStrategy[Value]:
    ids = st.integers(1, 0xFFFFFF)
    return st.fixed_dictionaries({"signed_id": ids, "once_id": ids, "registration": st.integers(1, 16380)})


def devices_with_prekeys() -> SearchStrategy[Value]:
    """Devices that can be written to."""
    return st.builds(_device, st.integers(0, 1 << 32), st.just("device"), _numbers())


def _steps() -> SearchStrategy[Value]:
    rarely = st.integers(0, 9).map(lambda number: number == 9)
    return st.fixed_dictionaries(
        {
            "who": st.integers(0, 1),
            "text": st.binary(min_size=1, max_size=40),
            "waits": st.booleans(),
            "backwards": st.booleans(),
            "again": rarely,
            "harm": rarely,
        }
    )


def _stories(*, longest: int = 10) -> SearchStrategy[Value]:
    return st.fixed_dictionaries(
        {
            "seed": st.integers(0, 1 << 32),
            "alice": _numbers(),
            "bob": _numbers(),
            "with_prekey": st.booleans(),
            "steps": st.lists(_steps(), min_size=1, max_size=longest),
        }
    )


def _alice(story: Value) -> Value:
    return _device(story["seed"], "alice", story["alice"])


def bob_of(story: Value) -> Value:
    """The device of the story to which is written first."""
    return _device(story["seed"], "bob", story["bob"])


@dataclass(slots=True)
class _Letter:
    type: str
    ciphertext: bytes
    dice: bytes
    """For who reads it."""


def _tell(story: Value, alice: Party, bob: Party) -> list[Value]:
    """Play the story; what was written and what was read, in order."""
    _open(story, alice)
    parties: list[Party] = [alice, bob]
    boxes: list[list[_Letter]] = [[], []]
    said: list[Value] = []
    for number, step in enumerate(story["steps"]):
        who: int = step["who"]
        reader, box = parties[1 - who], boxes[1 - who]
        letter = _written(parties[who], step, throw(story["seed"], f"step {number}"), said)
        if letter is not None:
            box += [letter, letter] if step["again"] else [letter]
        if not step["waits"]:
            _deliver(reader, box, step["backwards"], said)
    for reader, box in zip(parties, boxes, strict=True):
        _deliver(reader, box, False, said)
    return said


def _open(story: Value, alice: Party, *, harm: bool = False) -> None:
    answer = bundle_answer(bob_of(story), BOB, with_prekey=story["with_prekey"], harm=harm)
    alice.open(answer, throw(story["seed"], "opening", 64))


def _written(writer: Party, step: Value, dice: bytes, said: list[Value]) -> _Letter | None:
    from waton.errors import WatonError

    try:
        type, ciphertext = writer.write(step["text"])
    except (BaileysError, WatonError):
        said.append({"who": step["who"], "writes": REFUSED})
        return None
    said.append({"who": step["who"], "writes": type, "ciphertext": ciphertext})
    return _Letter(type, _harmed(type, ciphertext) if step["harm"] else ciphertext, dice)


def _harmed(type: str, ciphertext: bytes) -> bytes:
    """With one bit of the MAC wrong; that of the message inside, for a pkmsg."""
    from waton.protocol import proto

    if type == "msg":
        return ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])
    outside = proto.PreKeySignalMessage.FromString(ciphertext[1:])
    outside.message = _harmed("msg", outside.message)
    return ciphertext[:1] + outside.SerializeToString()


def _deliver(reader: Party, box: list[_Letter], backwards: bool, said: list[Value]) -> None:
    for letter in reversed(box) if backwards else list(box):
        said.append({"reads": _read(reader, letter)})
    box.clear()


def _read(reader: Party, letter: _Letter) -> Value:
    from waton.errors import WatonError

    try:
        return reader.read(letter.type, letter.ciphertext, letter.dice)
    except (BaileysError, WatonError):
        return REFUSED


def _with_baileys_as_alice(baileys: Functions, story: Value) -> Value:
    return _tell(story, Theirs(baileys, "alice", _alice(story), BOB), Ours(bob_of(story), ALICE))


def _with_baileys_as_bob(baileys: Functions, story: Value) -> Value:
    return _tell(story, Ours(_alice(story), BOB), Theirs(baileys, "bob", bob_of(story), ALICE))


def _without_baileys(story: Value) -> Value:
    return _tell(story, Ours(_alice(story), BOB), Ours(bob_of(story), ALICE))


# --- opening --------------------------------------------------------------------------------------------------------


def _openings() -> SearchStrategy[Value]:
    return _stories(longest=1)


def _opened(story: Value, alice: Party, *, harm: bool) -> Value:
    _open(story, alice, harm=harm)
    type, ciphertext = alice.write(story["steps"][0]["text"])
    return {"type": type, "ciphertext": ciphertext}


def _opening(name: str, *, harm: bool, examples: int | None = None) -> Pair:
    return Pair(
        f"parseAndInjectE2ESessions{name}",
        Domain.PREKEYS,
        f"{SIGNAL}:parseAndInjectE2ESessions",
        "waton.protocol.signal_repo:open_session",
        _openings,
        lambda baileys, story: _opened(story, Theirs(baileys, "alice", _alice(story), BOB), harm=harm),
        lambda story: _opened(story, Ours(_alice(story), BOB), harm=harm),
        examples,
    )


def _their_session(baileys: Functions, story: Value) -> Value:
    _open(story, Theirs(baileys, "alice", _alice(story), BOB))
    found = baileys.ask("sessionInfo", party="alice", jid=BOB)
    return {"base key": found["baseKey"][1:], "registration id": found["registrationId"]}


def _our_session(story: Value) -> Value:
    from waton._core import session_base_key

    alice = Ours(_alice(story), BOB)
    _open(story, alice)
    key, registration = session_base_key(alice.record or b"") or (b"", 0)
    return {"base key": key, "registration id": registration}


def _states() -> SearchStrategy[Value]:
    return st.tuples(_openings(), st.booleans())


def _their_state(baileys: Functions, value: Value) -> Value:
    story, has_session = value
    alice = Theirs(baileys, "alice", _alice(story), BOB)
    if has_session:
        _open(story, alice)
    return baileys.ask("validateSession", party="alice", jid=BOB)["exists"]


def _our_state(value: Value) -> bool:
    from waton._core import session_is_open

    story, has_session = value
    alice = Ours(_alice(story), BOB)
    if has_session:
        _open(story, alice)
    return session_is_open(alice.record or b"")


# --- another identity -----------------------------------------------------------------------------------------------


def with_an_impostor(story: Value, bob: Party, *, is_forged: bool = True) -> Value:
    """What Bob reads, in a conversation into which somebody with another identity key writes under Alice's address."""
    seed = story["seed"]
    answer = bundle_answer(bob_of(story), BOB, with_prekey=False)
    alice = Ours(_alice(story), BOB)
    other = Ours(_alice(story) | {"identity": throw(seed, "other")}, BOB)
    alice.open(answer, throw(seed, "opening", 64))
    other.open(answer, throw(seed, "other opening", 64))
    said: list[Value] = [_exchange(story, alice, bob, 1)]
    said.append(_exchange(story, bob, alice, 2))
    said.append(_exchange(story, other, bob, 3, harm=is_forged))
    said.append(_exchange(story, alice, bob, 4))
    return said


def _exchange(story: Value, writer: Party, reader: Party, number: int, *, harm: bool = False) -> Value:
    """One message: what comes of reading it, or of writing it already."""
    said: list[Value] = []
    step = {"who": 0, "text": story["steps"][0]["text"], "harm": harm}
    letter = _written(writer, step, throw(story["seed"], f"exchange {number}"), said)
    return said[0] if letter is None else _read(reader, letter)


def _identity_pair(name: str, *, is_forged: bool) -> Pair:
    return Pair(
        f"makeLibSignalRepository.decryptMessage: {name}",
        Domain.IDENTITY_CHANGE,
        f"{REPOSITORY}:makeLibSignalRepository.decryptMessage",
        "waton.protocol.signal_repo:decrypt",
        _openings,
        lambda baileys, story: with_an_impostor(
            story, Theirs(baileys, "bob", bob_of(story), ALICE), is_forged=is_forged
        ),
        lambda story: with_an_impostor(story, Ours(bob_of(story), ALICE), is_forged=is_forged),
        10,
    )


def _sessions() -> list[Pair]:
    repository, core = f"{REPOSITORY}:makeLibSignalRepository", "waton._core:"
    return [
        Pair(
            "makeLibSignalRepository.encryptMessage",
            Domain.MESSAGES_SEND,
            f"{repository}.encryptMessage",
            "waton.protocol.signal_repo:encrypt",
            _stories,
            _with_baileys_as_alice,
            _without_baileys,
        ),
        Pair(
            "makeLibSignalRepository.decryptMessage",
            Domain.MESSAGES_RECV,
            f"{repository}.decryptMessage",
            "waton.protocol.signal_repo:decrypt",
            _stories,
            _with_baileys_as_bob,
            _without_baileys,
        ),
        _identity_pair("a contact with another identity key", is_forged=False),
        _identity_pair("a forged message with another identity key", is_forged=True),
        Pair(
            "makeLibSignalRepository.getSessionInfo",
            Domain.RETRY_MANAGER,
            f"{repository}.getSessionInfo",
            f"{core}session_base_key",
            _openings,
            _their_session,
            _our_session,
            20,
        ),
        Pair(
            "makeLibSignalRepository.validateSession",
            Domain.MESSAGES_SEND,
            f"{repository}.validateSession",
            f"{core}session_is_open",
            _states,
            _their_state,
            _our_state,
            10,
        ),
        _opening("", harm=False, examples=25),
        _opening(": a signed prekey signed by nobody", harm=True, examples=10),
    ]


def pairs() -> list[Pair]:
    """The family's pairs."""
    return _sessions()
