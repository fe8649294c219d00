"""Known differences in what the two clients say on the wire, and in the events they emit."""

from waton.parity.known import Known, better, left_out, missing, open_

_TESTS = "tests/peers/parity/test_better.py::"

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
        "wire/stanza/send-text/by phone number/iq get encrypt key",
        "Baileys fetches bundles of devices it has healthy sessions with, and uses up their one-time prekeys",
        _TESTS + "test_baileys_replaces_sessions_that_are_healthy",
    ),
    better(
        "wire/stanza/send-text/by phone number/message text *#*/enc@type",
        "a session that Baileys has replaced for nothing begins anew",
        _TESTS + "test_baileys_replaces_sessions_that_are_healthy",
    ),
    better(
        "wire/event/pair*/first start-up/connection.update c[lo]*",
        "the restart after pairing is the client's business; Baileys closes and leaves it to the application",
        _TESTS + "test_baileys_stays_closed_when_the_connection_is_lost",
    ),
    left_out(
        "wire/stanza/pair-by-code/first start-up/ack notification link_code_companion_reg *",
        "Baileys acknowledges when it has answered the phone; the restart is faster, and ends its connection",
    ),
    # --- start-up
    missing("wire/stanza/*/iq get encrypt digest", "waton does not check the keys it has published"),
    missing("wire/stanza/*/iq get abt props", "waton asks for no A/B props"),
    missing("wire/stanza/*/iq get blocklist", "waton does not ask for the blocklist"),
    missing("wire/stanza/*/iq get privacy privacy", "waton does not ask for the privacy settings"),
    missing("wire/stanza/*/ib unified_session #2", "waton does not repeat its session id when it announces itself"),
    missing("wire/stanza/*/iq set w:sync:app:state sync", "waton asks for no app state"),
    # --- sending
    open_("wire/*#*/messageSecret", "waton puts no messageSecret into what it sends; reporting tokens need it"),
    missing("wire/stanza/*/iq set privacy tokens", "waton issues no privacy tokens to whom it writes"),
    open_(
        "wire/stanza/devices-changed/next text/iq get usync usync",
        "waton asks for the whole device list again; Baileys applies what the notification says",
    ),
    # --- events
    open_("wire/event/*#*/receivedPendingNotifications", "waton does not tell whether the offline queue is drained"),
    missing(
        "wire/event/*/connection.update receivedPendingNotifications",
        "waton does not tell that the offline queue is drained",
    ),
    missing("wire/event/*/connection.update isOnline", "waton does not tell that it has announced itself"),
    missing("wire/event/*/creds.update", "waton stores this change of its credentials without telling"),
    missing("wire/event/*/chats.update *", "waton keeps no list of chats"),
    missing("wire/event/*/contacts.update *", "waton keeps no list of contacts"),
    open_(
        "wire/event/*/messages.upsert *#messages.upsert/broadcast", "waton does not say whether a chat is a broadcast"
    ),
    open_(
        "wire/event/*/messages.upsert *#messages.upsert/key/addressingMode",
        "a message's key does not say by which address it came",
    ),
    open_(
        "wire/event/*/messages.upsert *#messages.upsert/key/remoteJidAlt",
        "a message's key does not hold the chat's other address",
    ),
    missing(
        "wire/event/pair*/*/messages.up* <id of the phone's *",
        "waton takes what the phone shares, and does not tell of it as a message",
    ),
    missing("wire/event/*/messaging-history.*", "waton keeps history chunks and does not decode them"),
    missing(
        "wire/event/receive-text/from the own phone/messages.update *",
        "waton does not tell how far a message of the account's other devices has got",
    ),
)
