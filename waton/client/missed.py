"""Missed devices: those that the server knows and a message of ours was not made for.

The server's ack tells its own participant hash when it is another than ours. The unit of work that takes the ack notes
that, so that neither a crash nor a lost connection forgets it; then the lists are asked for anew, and whoever the
message was not made for gets it, each in a unit of its own. What the network prevents is done after the next login.

Source: whatsmeow send.go compares the hashes and says so in its log; Baileys sends none and reads none.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from waton.client.event_pipeline import Step
from waton.client.groups import takes_part
from waton.client.sent_messages import SentMessage
from waton.errors import IqError
from waton.jid import Jid
from waton.ports import RecordKind

if TYPE_CHECKING:
    from waton.client.client import Client


class Missed:
    """What one client still owes to devices that it did not know of."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def note(self, step: Step, id: str, until: float) -> None:
        """Message `id` was not made for everybody; serve them after the commit. until: Unix seconds."""
        step.save(RecordKind.MISSED, id, b"{}", until=until)
        step.transition("message", "acknowledged", "devices missed", id=id)

        async def begin() -> None:
            self._client.background(self.serve(id))

        step.then(begin)

    async def open(self) -> None:
        """A login is complete: serve whom an earlier connection could not."""
        for id in await self._client.store.keys(RecordKind.MISSED):
            with suppress(IqError):  # not now; the others may be served
                await self.serve(id)

    async def serve(self, id: str) -> None:
        """Send message `id` to all that have not had it. Raises Disconnected, QueryTimeout, IqError: it is owed on."""
        client = self._client
        async with client.hold_names([f"missed:{id}"]):
            owed = await client.store.load_many(RecordKind.MISSED, [id])
            record = await client.store.load(RecordKind.SENT_MESSAGE, id) if owed else None
            if record is not None:
                await self._serve(id, SentMessage.from_bytes(record))
            if owed:
                async with client.pipeline.step() as step:
                    step.save(RecordKind.MISSED, id, None)

    async def _serve(self, id: str, sent: SentMessage) -> None:
        try:
            devices = await self._devices(sent)
            for device in devices:
                await self._client.retries.send_to(id, device)
        except IqError as error:
            if not error.is_final:
                raise
            # We are not in this group any more, say: nobody there is owed anything.

    async def _devices(self, sent: SentMessage) -> list[Jid]:
        """Whom the server knows now, and who has not had it."""
        client, chat = self._client, sent.chat
        for user in {jid.bare for jid in (*sent.devices, client.sender.own_address(sent))}:
            client.devices.forget(user)
        if sent.is_group:
            listed = await client.groups.devices(await client.groups.metadata(chat, fresh=True))
        else:
            found = await client.people.devices_of([chat, client.sender.own_address(sent)])
            listed = [jid for result in found.values() for jid in result.device_jids()]
        missed = [jid for jid in listed if jid not in sent.devices and not client.is_this_device(jid)]
        return [jid for jid in missed if takes_part(jid) or not sent.is_group]
