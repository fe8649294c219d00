"""Known differences in what the two sources declare."""

from waton.parity.known import Known, better, left_out

KNOWN: tuple[Known, ...] = (
    better(
        "scan/stanza/iq error error",
        "the server is told of a pairing that does not verify; Baileys' check cannot fail",
        "tests/peers/parity/test_functions.py::test_baileys_pairs_with_a_wrong_account_signature",
    ),
    left_out(
        "scan/event/messages.undecryptable",
        "Baileys tells the same as a messages.upsert of type CIPHERTEXT; ask-for-a-message-again is to compare the two",
    ),
    left_out("scan/event/messages.refused", "Baileys obeys whoever asks; there is nothing like it"),
    left_out("scan/event/messages.resent", "Baileys answers requests for a message in silence"),
    left_out("scan/event/identity.changed", "Baileys tells nobody that an identity changed"),
    left_out("scan/disconnect-reason/LOCAL", "a close of our own has a number; Baileys hands back the caller's error"),
    left_out("scan/disconnect-reason/PROTOCOL", "Baileys throws what it cannot understand inside an event listener"),
    left_out("scan/disconnect-reason/REFUSED", "Baileys tells the number of a refused login, whatever it is"),
    *(
        left_out(f"scan/disconnect-reason/{name}", f"Baileys tells the server's {code} without naming it")
        for name, code in (
            ("BAD_REQUEST", 400),
            ("TEMPORARY_BAN", 402),
            ("CLIENT_OUTDATED", 405),
            ("UNKNOWN_LOGOUT", 406),
            ("BAD_USER_AGENT", 409),
            ("TOKEN_EXPIRED", 413),
            ("TOKEN_INVALID", 414),
            ("NOT_FOUND", 415),
            ("CLIENT_UNKNOWN", 418),
            ("RATE_LIMITED", 429),
            ("EXPERIMENTAL", 501),
            ("DEVICE_REMOVED", 516),
        )
    ),
    left_out(
        "scan/option/keepAliveIntervalMs#default",
        "each pause is drawn from 20 to 30 s, so that pings keep no beat; 35 s of silence end the connection in both",
    ),
    left_out("scan/option/mobile", "gone from Baileys; only the field is left"),
    left_out("scan/option/printQRInTerminal", "gone from Baileys; only the field is left"),
    left_out("scan/option/logger", "waton records traces instead of writing log lines"),
    left_out(
        "scan/option/transactionOpts", "one stanza is one transaction of the store; there is nothing to try again"
    ),
    left_out(
        "scan/option/makeSignalRepository",
        "the ratchet is waton's own so that its inside can be shown; nothing else can be put in its place",
    ),
    left_out(
        "scan/option/enableRecentMessageCache",
        "what was sent is a record of the store, kept for seven days: by it a send is done once, also after a crash",
    ),
    left_out(
        "scan/option/userDevicesCache",
        "device lists that matter for longer than five minutes are records of the store, which can be any",
    ),
    left_out(
        "scan/part/MessageRetryManager.clear",
        "counters are records of the store that are forgotten in time; there is no cache to clear",
    ),
    left_out("scan/part/LIDMappingStore.close", "the mappings are records of the store; there is no cache to close"),
)
