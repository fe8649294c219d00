"""Privacy: who takes no messages from strangers, the tokens that make somebody known, and the switches for clients.

An account may be restricted. Then a message of another person needs a token, or it is acknowledged with error 463 and
goes nowhere: the token that the restricted account gave to the author's account, not too old by the buckets of time, or
the author's own client token (cstoken) if the restricted account takes those. Copies between one account's own devices,
peer messages and answers to a retry need none.

Tokens are bytes of the service's own making, one for each pair of accounts; giving one again makes it younger. They are
told to all devices of whom they are given to. Everything lives with the accounts' profiles, so it outlasts a restart.

Source: facts of the service as whatsapp-rust's tests of privacy tokens and Baileys Utils/tc-token-utils.ts see it.
Guess: whether a token given earlier still counts after a newer one; here it is the same one. Two tokens in a row from
the service would settle it.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from waton.jid import Jid
from waton.lab.world import Account, World
from waton.protocol.binary_node import content_bytes
from waton.protocol.stanza.message import OutgoingMessage
from waton.protocol.stanza.privacy import CS_TOKEN, TC_TOKEN, Buckets, ContactToken, TokenNotification, cs_token

if TYPE_CHECKING:
    from waton.lab.service import Service

TOKEN_MISSING: Final = 463
"""Source: Baileys Utils/decode-wa-message.ts MessageAccountRestriction."""
PROPS: Final[Mapping[str, str]] = {
    "10518": "1",
    "9666": "1",
    "14303": "1",
    "24941": "1",
    "865": "604800",
    "909": "4",
    "996": "604800",
    "997": "4",
}
"""What the lab says to clients: show contacts' tokens with messages and picture queries, give to LIDs, show client
tokens; seconds and number of buckets, for tokens received and given. See waton.client.privacy_tokens.Switches."""
_TOKEN_BYTES: Final = 32
_SALT_BYTES: Final = 32
_RESTRICTED, _SALT = "restricted", "nct_salt"
_CONTACTS_ONLY, _CLIENT_TOKENS_TOO = "contacts", "client_tokens"


# --- restricting ------------------------------------------------------------------------------------------------------


def restrict(world: World, account: Account, *, client_tokens: bool = True) -> None:
    """Take no messages from strangers. client_tokens: who shows a valid cstoken is no stranger."""
    world.set_profile(account, _RESTRICTED, _CLIENT_TOKENS_TOO if client_tokens else _CONTACTS_ONLY)


def unrestrict(world: World, account: Account) -> None:
    """Take everybody's messages, as at first."""
    world.set_profile(account, _RESTRICTED, "")


def is_restricted(world: World, account: Account) -> bool:
    """The account takes no messages from strangers."""
    return bool(world.profile(account, _RESTRICTED))


def refuses(world: World, author: Account, recipient: Account, message: OutgoingMessage) -> bool:
    """Whether a message is a stranger's that the recipient does not take."""
    takes = world.profile(recipient, _RESTRICTED)
    if not takes or author.id == recipient.id or message.category == "peer":
        return False
    encs = [*(enc for _, enc in message.encs), *([] if message.bare is None else [message.bare])]
    if encs and all(enc.count is not None for enc in encs):
        return False  # the recipient has asked for it
    shown = {child.tag: content_bytes(child) for child in message.extra if child.tag in (TC_TOKEN, CS_TOKEN)}
    if _is_given(world, recipient, author, shown.get(TC_TOKEN)):
        return False
    own = shown.get(CS_TOKEN)
    is_own = own is not None and hmac.compare_digest(own, cs_token(nct_salt(world, author), recipient.lid))
    return not (is_own and takes == _CLIENT_TOKENS_TOO)


def _is_given(world: World, giver: Account, to: Account, shown: bytes | None) -> bool:
    given = token_of(world, giver, to)
    if shown is None or given is None or not hmac.compare_digest(given.token, shown):
        return False
    return not Buckets().is_expired(given.t, world.clock.now())


# --- tokens -----------------------------------------------------------------------------------------------------------


def token_of(world: World, giver: Account, to: Account) -> ContactToken | None:
    """What one account gave another; None when nothing."""
    record = world.profile(giver, f"{TC_TOKEN}:{to.id}")
    if not record:
        return None
    values = json.loads(record)
    return ContactToken(bytes.fromhex(values["token"]), values["t"])


def give(service: Service, giver: Account, contact: Jid, t: int, parent: int | None = None) -> None:
    """Give a contact a token, and tell all their devices. Nothing for somebody unknown or the giver itself.

    Args:
        service: the service.
        giver: who trusts.
        contact: who is trusted, by PN or LID.
        t: Unix seconds, as the giver says; an older one than the last changes nothing.
        parent: the trace it came with.
    """
    world = service.world
    to = world.find(contact)
    if to is None or to.id == giver.id:
        return
    before = token_of(world, giver, to)
    if before is not None and before.t > t:
        return
    token = world.entropy.take(_TOKEN_BYTES) if before is None else before.token
    world.set_profile(giver, f"{TC_TOKEN}:{to.id}", json.dumps({"token": token.hex(), "t": t}))
    world.note("lab.privacy_token", parent, giver=giver.id, to=to.id)
    for device in world.devices(to):
        told = TokenNotification(giver.pn, giver.lid, (ContactToken(token, t, device.pn),))
        service.deliveries.put(device, told.to_node(world.fresh_id(), world.t()), parent)


def nct_salt(world: World, account: Account) -> bytes:
    """The key of an account's client tokens, made when first asked for."""
    kept = world.profile(account, _SALT)
    if not kept:
        kept = world.entropy.take(_SALT_BYTES).hex()
        world.set_profile(account, _SALT, kept)
    return bytes.fromhex(kept)
