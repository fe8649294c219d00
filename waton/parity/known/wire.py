"""Known differences in what the two clients say on the wire, and in the events they emit."""

from collections.abc import Iterator

from waton.parity.known import Known, better, left_out, missing, open_, wire_delivery

_TESTS = "tests/peers/parity/test_better.py::"


_BEGINS_ANEW = "a session that Baileys has replaced for nothing begins anew"


def _anew(*places: str) -> Iterator[Known]:
    """Where Baileys gives a privacy token that it has given."""
    for place in places:
        yield better(
            f"wire/{place}*/iq set privacy tokens*",
            "Baileys forgets that it has given its token, and gives it anew with every message",
            _TESTS + "test_baileys_gives_its_token_anew_with_every_message",
        )


def _replaced(*places: str) -> Iterator[Known]:
    """Where Baileys opens sessions anew that are healthy."""
    test = _TESTS + "test_baileys_replaces_sessions_that_are_healthy"
    for place in places:
        yield better(
            f"wire/stanza/{place}/iq get encrypt key*",
            "Baileys fetches bundles of devices it has healthy sessions with, and uses up their one-time prekeys",
            test,
        )
        yield better(f"wire/stanza/{place}/message text *#message/participants/*/enc@type", _BEGINS_ANEW, test)


KNOWN: tuple[Known, ...] = (
    # --- what we do better
    better(
        "wire/stanza/*/presence",
        "Baileys takes every change of its credentials for a new name, and announces one that is not there",
        _TESTS + "test_baileys_announces_a_name_that_is_none",
    ),
    better(
        "wire/stanza/server-ping/*",
        "Baileys leaves the server's pings unanswered",
        _TESTS + "test_baileys_leaves_pings_unanswered",
    ),
    better(
        "wire/stanza/prekey-top-up/low count/iq set encrypt registration#iq/list/keys@count",
        "Baileys refills with 5 keys, so that the server asks again after the next contacts",
        _TESTS + "test_baileys_refills_with_five_keys",
    ),
    better(
        "wire/event/pair*/first start-up/connection.update c[lo]*",
        "the restart after pairing is the client's business; Baileys closes and leaves it to the application",
        _TESTS + "test_baileys_stays_closed_when_the_connection_is_lost",
    ),
    # --- start-up
    missing("wire/stanza/*/iq set w:sync:app:state sync", "waton asks for no app state"),
    # --- sending
    better(
        "wire/stanza/*/message text *#message/cstoken",
        "Baileys shows no token of its own making, and is refused as a stranger where that would do",
        _TESTS + "test_baileys_is_a_stranger_where_a_client_token_would_do",
    ),
    *_anew("stanza/send-text/second text", "stanza/send-text/by phone number", "stanza/devices-changed/next text"),
    *_anew("stanza/negative-acks", "stanza/lid-learnt-late/to the LID", "stanza/identity-change-notified"),
    *_replaced("send-text/by phone number", "send-text-to-pn-group/*", "lid-learnt-late/to *"),
    better(
        "wire/stanza/lid-learnt-late/to */message text *#message/device-identity/*",
        _BEGINS_ANEW,
        _TESTS + "test_baileys_replaces_sessions_that_are_healthy",
    ),
    better(
        "wire/stanza/device-list-by-key-index/text/*#*?200000000001002:1@lid?*",
        "whoever the server names as a contact's device reads what Baileys writes to that contact",
        _TESTS + "test_baileys_writes_to_a_device_that_only_the_server_knows",
    ),
    better(
        "wire/stanza/lid-learnt-late/*/iq get usync usync*",
        "Baileys asks for the LID of a number four times for a message that comes, and five for one that goes",
        _TESTS + "test_baileys_asks_for_the_same_lid_time_and_again",
    ),
    left_out(
        "wire/event/negative-acks/*#messages.update/update/messageStubParameters(2)",
        "a sentence for people beside the code",
    ),
    # --- events
    missing("wire/event/*/creds.update", "waton stores this change of its credentials without telling"),
    missing("wire/event/*/chats.up* *", "waton keeps no list of chats"),
    missing("wire/event/*/contacts.update *", "waton keeps no list of contacts"),
    better(
        "wire/event/*/lid-mapping.update *",
        "Baileys learns whose number belongs to which LID, and tells nobody",
        _TESTS + "test_baileys_keeps_the_mappings_it_learns_to_itself",
    ),
    better(
        "wire/event/receive-text/from the own phone/messages.upsert *#messages.upsert/key/remoteJidAlt",
        "of a message that our phone has sent, Baileys gives our own number as the other address of the chat",
        _TESTS + "test_baileys_takes_our_number_for_the_other_address_of_a_chat",
    ),
    better(
        "wire/stanza/duplicate-delivery/once more/*",
        "Baileys refuses a message that it has read before, as one that it could not parse",
        _TESTS + "test_baileys_refuses_what_it_has_read_before",
    ),
    better(
        "wire/event/receive-changes/* by another/messages.[ur][pe][df]*",
        "Baileys lets everybody in a group change what others have written",
        _TESTS + "test_baileys_lets_anybody_change_what_another_wrote",
    ),
    left_out(
        "wire/event/receive-changes/*/messages.upsert *",
        "Baileys tells of each change a second time, as the message that brings it; the change itself is compared",
    ),
    missing("wire/event/incoming-call/*/messages.upsert CALL*", "waton makes no message of a missed call"),
    open_("wire/event/incoming-call/*/call *#call/is*", "waton does not repeat what a call's offer said"),
    left_out("wire/event/*/messages.media-update *#*/$error", "a sentence beside the code"),
    open_("wire/event/*/messages.media-update *#*/code", "waton tells the phone's code, Baileys one of HTTP"),
    missing(
        "wire/event/pair*/*/messages.up* <id of the phone's *",
        "waton takes what the phone shares, and does not tell of it as a message",
    ),
    missing("wire/event/*/messaging-history.*", "waton keeps history chunks and does not decode them"),
    *wire_delivery.KNOWN,
)
