"""The real Baileys handleIdentityChange beside ours, on the same notifications with the same answers from the world.

Where we mean to be equal the result codes and the calls must be; where we mean to be better, both sides are pinned, so
that neither can change unseen. Each story is a list of notifications, taken one after the other with one debounce.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator
from dataclasses import asdict, dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.requirements import require
from tests.unit.client.test_identity_change_handler import Context
from waton.client.identity_change_handler import handle_identity_change
from waton.errors import Disconnected, DisconnectReason, StorageError
from waton.jid import Jid
from waton.protocol.binary_node import Node

pytestmark = pytest.mark.peer

_PROGRAM = """
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'
import readline from 'node:readline'
const file = join(process.argv[1], 'lib/Utils/identity-change-handler.js')
const { handleIdentityChange } = await import(pathToFileURL(file))
const quiet = { info() {}, debug() {}, warn() {}, error() {}, trace() {} }
for await (const line of readline.createInterface({ input: process.stdin })) {
  const story = JSON.parse(line)
  const seen = new Map()
  const told = []
  for (const step of story) {
    const calls = []
    const context = {
      meId: '4915000000009:2@s.whatsapp.net', meLid: '77000000000009:2@lid', logger: quiet, debounceCache: seen,
      validateSession: async jid => {
        calls.push(['session?', jid])
        if (step.store_fails) throw new Error('store')
        return { exists: step.has_session }
      },
      onBeforeSessionRefresh: jid => calls.push(['before', jid]),
      assertSessions: async (jids, force) => {
        calls.push(['refresh', jids[0]])
        if (!force || jids.length !== 1) throw new Error('not as we do it')
        if (step.refresh_fails) throw new Error('network')
        return true
      }
    }
    const attrs = { type: 'encrypt', id: '1' }
    for (const name of ['from', 'offline']) if (step[name] !== null) attrs[name] = step[name]
    const content = step.has_identity ? [{ tag: 'identity', attrs: {}, content: Buffer.from('key') }] : []
    let code = 'raised'
    try { code = (await handleIdentityChange({ tag: 'notification', attrs, content }, context)).action } catch {}
    told.push([code, calls])
  }
  console.log(JSON.stringify(told))
}
"""

Told = list[tuple[str, list[tuple[str, str]]]]
"""For each step: the code, and the calls with their address."""


@dataclass(frozen=True)
class Step:
    """One notification, and what the world answers to what is asked because of it."""

    # The member is named as the attribute is.
    from_: str | None = "4915000000001@s.whatsapp.net"
    offline: str | None = None
    has_identity: bool = True
    has_session: bool = True
    refresh_fails: bool = False
    store_fails: bool = False


@dataclass
class Oracle:
    """Baileys' function, in a Node process of its own."""

    process: subprocess.Popen[str]

    def tell(self, story: list[Step]) -> Told:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        lines = [{name.rstrip("_"): value for name, value in asdict(step).items()} for step in story]
        self.process.stdin.write(json.dumps(lines) + "\n")
        self.process.stdin.flush()
        return [
            (code, [(name, jid) for name, jid in calls]) for code, calls in json.loads(self.process.stdout.readline())
        ]


@pytest.fixture(scope="module")
def baileys() -> Generator[Oracle]:
    command = [str(require("node")), "--input-type=module", "-e", _PROGRAM, str(require("baileys"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Oracle(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(10)


async def ours(story: list[Step]) -> Told:
    """The same story, told by us."""
    context, told = Context(), Told()
    for step in story:
        jid = None if step.from_ is None else Jid.parse(step.from_)
        context.sessions = {jid} if step.has_session and jid is not None else set()
        context.store_fails = StorageError("session") if step.store_fails else None
        context.refresh_fails = Disconnected(DisconnectReason.LOST) if step.refresh_fails else None
        context.calls.clear()
        content = [Node("identity", None, b"key")] if step.has_identity else []
        node = Node(
            "notification", {"from": step.from_, "id": "1", "type": "encrypt", "offline": step.offline}, content
        )
        try:
            code = (await handle_identity_change(node, context)).code.value
        except StorageError:
            code = "raised"
        told.append((code, [(name, str(jid)) for name, jid in context.calls]))
    return told


ADA, BEA = "4915000000001@s.whatsapp.net", "77000000000002@lid"
EQUAL: dict[str, tuple[list[Step], list[str]]] = {
    "a companion": ([Step("4915000000001:5@s.whatsapp.net")], ["skipped_companion_device"]),
    "a primary device": ([Step()], ["session_refreshed"]),
    "our phone, by number": ([Step("4915000000009@s.whatsapp.net")], ["skipped_self_primary"]),
    "our phone, by LID": ([Step("77000000000009@lid")], ["skipped_self_primary"]),
    "no session": ([Step(has_session=False)], ["skipped_no_session"]),
    "from the queue": ([Step(offline="0")], ["skipped_offline"]),
    "from the queue, no session": ([Step(offline="1", has_session=False)], ["skipped_no_session"]),
    "not from the queue": ([Step(offline="")], ["session_refreshed"]),
    "twice": ([Step(), Step()], ["session_refreshed", "debounced"]),
    "two contacts": ([Step(), Step(BEA)], ["session_refreshed", "session_refreshed"]),
    "the network fails": ([Step(refresh_fails=True)], ["session_refresh_failed"]),
    "the store fails": ([Step(store_fails=True)], ["raised"]),
    "nobody": ([Step(None)], ["invalid_notification"]),
    "no identity": ([Step(has_identity=False)], ["no_identity_node"]),
    "nobody and no identity": ([Step(None, has_identity=False)], ["invalid_notification"]),
    "a LID": ([Step(BEA)], ["session_refreshed"]),
}


@pytest.mark.parametrize("name", EQUAL)
async def test_the_same_code_and_the_same_calls(baileys: Oracle, name: str) -> None:
    story, codes = EQUAL[name]
    theirs = baileys.tell(story)
    assert [code for code, _ in theirs] == codes
    assert await ours(story) == theirs


@pytest.mark.parametrize(
    ("first", "what_we_do"),
    [
        (Step(has_session=False), "session_refreshed"),
        (Step(offline="1"), "session_refreshed"),
        (Step(refresh_fails=True), "session_refreshed"),
        (Step(store_fails=True), "session_refreshed"),
    ],
    ids=["no session", "offline", "network", "store"],
)
async def test_what_did_nothing_silences_the_next_change_there_and_not_here(
    baileys: Oracle, first: Step, what_we_do: str
) -> None:
    story = [first, Step()]
    theirs, mine = baileys.tell(story), await ours(story)
    assert theirs[0] == mine[0]
    assert (theirs[1], mine[1][0]) == (("debounced", []), what_we_do)


STEPS = st.builds(
    Step,
    st.sampled_from([None, ADA, BEA, "4915000000001:7@s.whatsapp.net", "77000000000009@lid", "77000000000002:1@lid"]),
    st.sampled_from([None, "", "0", "12"]),
    *[st.booleans()] * 4,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(step=STEPS)
async def test_any_single_notification_is_taken_alike(baileys: Oracle, step: Step) -> None:
    assert await ours([step]) == baileys.tell([step])
