"""The ordeal: a client that receives and sends by a plan, and dies by another one.

`Ordeal.run` gives the victim one life after the other. Each gets its share of the messages, some of them while nobody
is there to take them, and dies at the moment it is lit for; the first lives go through every kind of moment once, the
others are drawn. A life that comes to nothing more gets more to do, and in the end is killed from outside. The last
life is left alone until all is done, and then everybody says one thing more.

What was posted, broken, told and read is kept for the verdict (delivery_verdict.py); nothing is judged here.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tests.crash.delivery_cast import BAILEYS, Cast
from tests.crash.delivery_plan import Death, Plan, Text
from tests.crash.delivery_points import NEEDS, Need
from tests.crash.delivery_process import InVain, Victim
from waton.lab.world import Device
from waton.protocol.binary_node import Node, get_jid, get_text, require_jid, require_text
from waton.protocol.trace import Layer, Trace, Way

_MORE = 8
"""How often a life that comes to nothing is given more to do."""


class Watch:
    """A lab's trace sink that keeps the messages clients wrote, and every request for a resend."""

    def __init__(self) -> None:
        self.messages: list[Trace] = []
        self.retries: list[str] = []
        """The message ids of all retry receipts, as often as they passed."""

    def __call__(self, traces: Sequence[Trace]) -> None:
        for trace in traces:
            if trace.layer is not Layer.NODE:
                continue
            if trace.name == "message" and trace.way is Way.IN:
                self.messages.append(trace)
            elif trace.name == "receipt" and trace.kind == "retry":
                self.retries.append(trace.id)


@dataclass(slots=True)
class _Trap:
    """Breaks the ciphertexts of a message on its way to a device."""

    device: tuple[int, int]
    left: int
    """How often it is delivered broken."""
    id: str = ""
    """Of the message that fell into it."""


@dataclass(slots=True)
class Ordeal:
    """One run of a plan."""

    cast: Cast
    victim: Victim
    plan: Plan
    flaw: str = ""
    posted: dict[str, Text] = field(default_factory=dict[str, Text])
    """What was sent to the victim, by id, in order."""
    broken: set[str] = field(default_factory=set[str])
    """The ids of messages whose ciphertext was broken on its way, to the victim or from it."""
    ends: list[str] = field(default_factory=list[str])
    """How each life ended: its moment, or "idle" and the moment it did not come to: it was killed from outside."""
    stop: str = ""
    """Why it did not come to its end."""
    _dice: random.Random = field(init=False)
    _waiting: list[Text] = field(init=False)
    _until: int = 0
    _traps: list[_Trap] = field(default_factory=list[_Trap])

    def __post_init__(self) -> None:
        self._dice = random.Random(f"ordeal {self.plan.seed}")
        self._waiting = list(self.plan.incoming)
        deliveries = self.cast.lab.service.deliveries
        put = deliveries.put

        def meddle(device: Device, node: Node, parent: int | None = None) -> None:
            put(device, self._meddle(device, node), parent)

        deliveries.put = meddle

    @property
    def device(self) -> Device | None:
        """The victim, as the lab knows it; None before it is paired."""
        world = self.cast.lab.service.world
        return next((one for one in world.devices(self.cast.owner.account) if one.number), None)

    async def run(self) -> None:
        """All lives, the last included, until it comes to a stop. No life is left afterwards."""
        try:
            await self._run()
        except InVain as error:
            self.stop = str(error)
            await self.victim.kill()

    async def _run(self) -> None:
        for number, death in enumerate(self.plan.deaths):
            await self._live_and_die(number, death)
        number = len(self.plan.deaths)
        self._until = len(self.plan.outgoing) - self.plan.afterwards
        await self.victim.live(number, Death(""), self._until, self.flaw)
        if not self.plan.deaths:
            await self._pair()
        await self._post(len(self._waiting))
        await self.victim.until("everything is told and sent", lambda: self._is_dead or self._is_idle)
        await self._say_more()
        await self.victim.end()

    async def _live_and_die(self, number: int, death: Death) -> None:
        self._arrange(NEEDS[death.moment])
        lives = len(self.plan.deaths) - number
        incoming = self._share(len(self._waiting), lives)
        before = self._dice.randint(0, incoming)
        await self._post(before)
        self._until += self._share(self._unsent, lives)
        await self.victim.live(number, death, self._until, self.flaw)
        if number == 0:
            await self._pair()
        await self._post(incoming - before)
        await self.victim.until(f"life {number} dies or is done", lambda: self._is_dead or self._is_idle)
        for _ in range(_MORE):
            if not self._is_dead:
                await self._give_more(number, lives)
        self.ends.append(death.moment if self._is_dead else f"idle ({death.moment})")
        await self.victim.kill()
        if self.victim.code != -signal.SIGKILL:
            raise InVain(f"life {number} ended with {self.victim.code}; {self.victim.last_words()}")

    @property
    def _unsent(self) -> int:
        """How many messages the victim was not told to send yet."""
        return len(self.plan.outgoing) - self.plan.afterwards - self._until

    def _share(self, left: int, lives: int) -> int:
        """How many of so many messages a life gets, when as many lives are still to come: one is left for each."""
        return min(left, 1 + self._dice.randint(0, min(2, max(left - lives, 0))))

    async def _give_more(self, number: int, lives: int) -> None:
        await self._post(int(len(self._waiting) > lives))
        if self._unsent > lives and not self._is_dead:
            self._until += 1
            self.victim.send(self._until)
        await self.victim.until(f"life {number} dies or is done", lambda: self._is_dead or self._is_idle)

    async def _pair(self) -> None:
        victim = self.victim
        await victim.until("a QR", lambda: any(line["what"] == "qr" for line in victim.story) or self._is_dead)
        await self.cast.owner.scan(next((line["text"] for line in victim.story if line["what"] == "qr"), ""))

    async def _say_more(self) -> None:
        """After everything: one more text each way in each chat, from everybody."""
        self._traps.clear()
        self._until = len(self.plan.outgoing)
        self.victim.send(self._until)
        for chat in self.cast.chats.values():
            for author in chat.authors:
                await self._say(Text(len(self.posted), chat.name, author, f"{author} after all in {chat.name}"))
        await self.victim.until("what is said after everything", lambda: self._is_dead or self._is_idle)
        if self.cast.baileys is not None:
            with suppress(TimeoutError):  # the verdict names what it has not read
                for one in self.plan.outgoing[-self.plan.afterwards :]:
                    if BAILEYS in self.cast.chats[one.chat].readers:
                        await self.cast.baileys.message(one.text)

    # --- where it stands ----------------------------------------------------------------------------------------------

    @property
    def _is_dead(self) -> bool:
        return self.victim.pid is None

    @property
    def _is_idle(self) -> bool:
        """The present life has logged in, and all that it knows of is done."""
        told = self.victim.told
        return self._is_silent and len(told) >= len(self.posted) and told >= self.posted.keys()

    @property
    def _is_silent(self) -> bool:
        """It has logged in, and everything that it was told to send is with the server."""
        victim = self.victim
        return victim.is_open and all(one.id in victim.accepted for one in self.plan.outgoing[: self._until])

    # --- what is said to it -------------------------------------------------------------------------------------------

    async def _post(self, count: int) -> None:
        """Send the victim the next messages of the plan; none before it has keys that somebody could use.

        Baileys sends nothing to anybody when one of the devices has none.
        """
        device = self.device
        is_ready = device is not None and device.signed_prekey is not None
        for _ in range(min(count, len(self._waiting)) if is_ready else 0):
            one = self._waiting.pop(0)
            await self._say(one)

    async def _say(self, one: Text) -> None:
        if one.author == BAILEYS:  # see delivery_cast.py for why it must not be disturbed
            await self.victim.until("the victim is silent", lambda: self._is_dead or self._is_silent)
        self.posted[await self.cast.say(one.author, self.cast.chats[one.chat], one.text)] = one

    # --- what is arranged ---------------------------------------------------------------------------------------------

    def _arrange(self, need: Need) -> None:
        device = self.device
        if device is None:
            return  # the first life needs nothing: everything is new to it
        match need:
            case Need.LOW_PREKEYS if self.ends[-1] not in ("prekeys stored", "prekeys written"):
                # Not while an upload is pending: it is repeated, and what was handed out of it meanwhile is so twice.
                world = self.cast.lab.service.world
                while world.prekey_count(device) > 1:
                    world.take_bundle(device)
            case Need.UNREADABLE | Need.UNREADABLE_TWICE:
                self._traps.append(_Trap(device.key, 2 if need is Need.UNREADABLE_TWICE else 1))
            case Need.UNREAD_BY_PEER:
                reader = self.cast.phones[self._dice.choice(("Ada", "Bea", "Cal"))]
                self._traps.append(_Trap((reader.account.id, 0), 1))
            case _:
                pass

    def _meddle(self, device: Device, node: Node) -> Node:
        """Break this message, if it is the first that may be broken on the way to a device with a trap."""
        for trap in self._traps:
            if trap.device == device.key and self._may_break(node, trap):
                trap.id = require_text(node, "id")
                self.broken.add(trap.id)
                trap.left -= 1
                if not trap.left:
                    self._traps.remove(trap)
                return Node(node.tag, {**node.attrs}, [_broken(child) for child in node.children()])
        return node

    def _may_break(self, node: Node, trap: _Trap) -> bool:
        """A message of the plan between the victim and a phone, that tells no keys, else what follows is lost with it.

        Not one of Baileys': asked for it again, Baileys throws its session away, and with it what is under way.
        """
        victim = self.device
        if node.tag != "message" or get_text(node, "category") == "peer" or victim is None:
            return False
        if trap.id:
            return require_text(node, "id") == trap.id
        author = get_jid(node, "participant") or require_jid(node, "from")
        is_victims = author in (victim.pn, victim.lid)
        if is_victims == (trap.device == victim.key) or (not is_victims and author.device):
            return False
        kinds = [get_text(enc, "type") for enc in node.children("enc")]
        return require_text(node, "id") not in self.broken and kinds in (["msg"], ["skmsg"])


def _broken(child: Node) -> Node:
    if child.tag != "enc" or not isinstance(child.content, bytes):
        return child
    return Node(child.tag, {**child.attrs}, child.content[:-1] + bytes([child.content[-1] ^ 1]))
