"""The table of iq handlers, asked as a client asks."""

from hashlib import sha1

import pytest

from tests.unit.lab.worlds import Bench, Companion, pn
from waton._core import x25519_public_key, xeddsa_sign
from waton.errors import IqError
from waton.jid import SERVER, Jid
from waton.lab.answers import TABLE
from waton.lab.phone import Phone
from waton.protocol import proto
from waton.protocol.binary_node import Node, require_child
from waton.protocol.stanza import encrypt, iq, usync
from waton.protocol.stanza.usync import DeviceEntry

GET, SET = iq.IqType.GET, iq.IqType.SET


@pytest.fixture
async def ada(bench: Bench) -> Phone:
    return (await bench.phones("Ada"))[0]


@pytest.fixture
def companion(bench: Bench, ada: Phone) -> Companion:
    made = Companion.link(bench, ada)
    made.login()
    return made


def refusal(answer: Node) -> int:
    """The code of an error answer."""
    with pytest.raises(IqError) as refused:
        iq.raise_for_error(answer)
    return refused.value.code


def content_of(answer: Node, *path: str) -> Node:
    node = iq.raise_for_error(answer)
    for tag in path:
        node = require_child(node, tag)
    return node


# --- encrypt


def test_prekeys_are_counted_and_digested(companion: Companion) -> None:
    assert encrypt.prekey_count(companion.ask("encrypt", GET, [Node("count")])) == 0
    assert refusal(companion.ask("encrypt", GET, [Node("digest")])) == 404
    iq.raise_for_error(companion.publish(count=3))
    assert encrypt.prekey_count(companion.ask("encrypt", GET, [Node("count")])) == 3
    mine = companion.credentials
    publics = [x25519_public_key(private) for private in companion.prekeys.values()]
    expected = sha1(
        mine.identity_key.public + mine.signed_prekey.public + mine.signed_prekey_signature + b"".join(publics)
    )
    digest = content_of(companion.ask("encrypt", GET, [Node("digest")]), "digest")
    assert require_child(digest, "hash").content == expected.digest()
    assert [child.content for child in require_child(digest, "list").children()] == [
        id.to_bytes(3, "big") for id in (1, 2, 3)
    ]


def test_an_upload_of_another_identity_or_a_bad_signature_is_refused(bench: Bench, companion: Companion) -> None:
    prekey = [(1, x25519_public_key(bench.entropy.take(32)))]
    good = encrypt.upload_content(companion.credentials, prekey)
    foreign = [Node("identity", None, bytes(32)) if child.tag == "identity" else child for child in good]
    assert refusal(companion.ask("encrypt", SET, foreign)) == 406
    skey = require_child(Node("iq", None, good), "skey")
    tampered = Node("skey", None, [*skey.children()[:2], Node("signature", None, bytes(64))])
    assert refusal(companion.ask("encrypt", SET, [*good[:-1], tampered])) == 406
    assert encrypt.prekey_count(companion.ask("encrypt", GET, [Node("count")])) == 0


def test_bundles_come_one_key_at_a_time_and_fail_one_user_at_a_time(bench: Bench, companion: Companion) -> None:
    companion.publish(count=10)
    phone = companion.device.account.lid
    users = [companion.device.lid, phone, pn("19999999999"), companion.device.lid.with_device(9)]
    answer = content_of(companion.ask("encrypt", GET, encrypt.bundles_query(users)), "list").children("user")
    assert [user.attrs["jid"] for user in answer] == users
    assert [user.child("error") is None for user in answer] == [True, True, False, False]
    assert require_child(answer[0], "identity").content == companion.credentials.identity_key.public
    assert require_child(answer[0], "device-identity").content == b"signed identity"
    assert answer[1].child("device-identity") is None
    assert require_child(answer[2], "error").attrs["code"] == "404"
    first = require_child(require_child(answer[0], "key"), "id").content
    again = content_of(companion.ask("encrypt", GET, encrypt.bundles_query([companion.device.pn])), "list")
    second = require_child(require_child(again.children()[0], "key"), "id").content
    assert (first, second) == ((1).to_bytes(3, "big"), (2).to_bytes(3, "big"))


def test_a_device_is_told_when_its_prekeys_run_low(companion: Companion) -> None:
    companion.publish(count=6)
    companion.endpoint.take()
    for _ in range(2):
        companion.ask("encrypt", GET, encrypt.bundles_query([companion.device.lid]))
    (told,) = companion.endpoint.take("notification")
    assert told.attrs["type"] == "encrypt"
    assert told.attrs["from"] == SERVER
    assert require_child(told, "count").attrs["value"] == "4"


def test_only_the_newest_low_count_waits_for_a_device_that_is_away(bench: Bench, companion: Companion) -> None:
    companion.publish(count=3)
    device = bench.service.world.locate(companion.device.lid)
    assert device is not None
    other = Companion.link(bench, bench.lab.phones[0])
    other.login()
    companion.logout()
    for _ in range(3):
        other.ask("encrypt", GET, encrypt.bundles_query([companion.device.lid]))
    waiting = companion.login().take("notification")
    assert [require_child(node, "count").attrs["value"] for node in waiting] == ["0"]


def test_a_signed_prekey_is_rotated_if_its_signature_holds(bench: Bench, companion: Companion) -> None:
    companion.publish()
    public = x25519_public_key(bench.entropy.take(32))
    signature = xeddsa_sign(companion.credentials.identity_key.private, b"\x05" + public, bench.entropy.take(64))

    def rotate(signed_with: bytes) -> Node:
        skey = Node(
            "skey",
            None,
            [
                Node("id", None, b"\0\0\x02"),
                Node("value", None, public),
                Node("signature", None, signed_with),
            ],
        )
        return companion.ask("encrypt", SET, [Node("rotate", None, [skey])])

    assert refusal(rotate(bytes(64))) == 406
    iq.raise_for_error(rotate(signature))
    device = bench.service.world.locate(companion.device.lid)
    assert device is not None
    assert device.signed_prekey is not None
    assert (device.signed_prekey.id, device.signed_prekey.value) == (2, public)


# --- usync


async def test_usync_lists_devices_with_the_signed_key_index_list(bench: Bench, companion: Companion) -> None:
    (bob,) = await bench.phones("Bob")
    asked = [bob.pn, companion.device.account.lid]
    answer = companion.ask("usync", GET, [usync.devices_query("s1", asked)])
    users = usync.parse_result(answer)
    assert [user.jid for user in users] == asked
    assert users[0].devices == (DeviceEntry(0),)
    assert users[1].devices == (DeviceEntry(0), DeviceEntry(1, key_index=1))
    assert users[0].lid == bob.lid
    # A user asked for by LID gets no <lid>.
    assert users[1].lid is None
    assert require_child(answer, "usync").attrs["sid"] == "s1"


def test_usync_knows_who_is_registered(companion: Companion) -> None:
    known = companion.device.account.pn.user
    users = usync.parse_result(companion.ask("usync", GET, [usync.contact_query("s", [known, "19999999999"])]))
    assert [(user.jid.user, user.is_registered) for user in users] == [(known, True), ("19999999999", False)]
    assert users[0].lid == companion.device.account.lid


def test_usync_takes_whatsmeows_way_to_ask_for_a_number(companion: Companion) -> None:
    number = companion.device.account.pn.user
    query = Node(
        "usync",
        {"sid": "s", "mode": "query", "context": "interactive"},
        [
            Node("query", None, [Node("contact"), Node("status"), Node("business")]),
            Node("list", None, [Node("user", None, [Node("contact", None, f"{number}@c.us".encode())])]),
        ],
    )
    (user,) = require_child(content_of(companion.ask("usync", GET, [query]), "usync"), "list").children()
    assert [child.tag for child in user.children()] == ["contact", "status"]
    assert require_child(user, "contact").content == f"{number}@c.us".encode()


def test_the_about_text_is_what_was_set(companion: Companion) -> None:
    iq.raise_for_error(companion.ask("status", SET, [Node("status", None, b"In the lab")]))
    query = Node(
        "usync",
        {"sid": "s", "mode": "query", "context": "interactive"},
        [
            Node("query", None, [Node("status")]),
            Node("list", None, [Node("user", {"jid": companion.device.account.lid})]),
        ],
    )
    (user,) = require_child(content_of(companion.ask("usync", GET, [query]), "usync"), "list").children()
    assert require_child(user, "status").content == b"In the lab"


# --- account settings


def test_privacy_is_kept(companion: Companion) -> None:
    def categories(answer: Node) -> dict[str, str | Jid]:
        return {one.attrs["name"].__str__(): one.attrs["value"] for one in content_of(answer, "privacy").children()}

    before = categories(companion.ask("privacy", GET, [Node("privacy")]))
    assert before["readreceipts"] == "all"
    change = Node("privacy", None, [Node("category", {"name": "readreceipts", "value": "none"})])
    assert categories(companion.ask("privacy", SET, [change])) == {"readreceipts": "none"}
    assert categories(companion.ask("privacy", GET, [Node("privacy")])) == {**before, "readreceipts": "none"}


def test_blocking_and_unblocking(companion: Companion) -> None:
    bob = Jid("200000000009999", "lid")

    def blocked(answer: Node) -> list[str | Jid]:
        return [item.attrs["jid"] for item in content_of(answer, "list").children("item")]

    assert blocked(companion.ask("blocklist", GET, [])) == []
    assert blocked(companion.ask("blocklist", SET, [Node("item", {"jid": bob, "action": "block"})])) == [bob]
    assert blocked(companion.ask("blocklist", GET, [])) == [bob]
    assert blocked(companion.ask("blocklist", SET, [Node("item", {"jid": bob, "action": "unblock"})])) == []


# --- the rest of the table


def test_app_state_is_empty_and_refuses_patches(companion: Companion) -> None:
    collections = [
        Node("collection", {"name": "regular", "version": "0", "return_snapshot": "true"}),
        Node("collection", {"name": "critical_block", "version": "0"}, [Node("patch", None, b"x")]),
    ]
    sync = content_of(companion.ask("w:sync:app:state", SET, [Node("sync", None, collections)]), "sync")
    empty, refused = sync.children("collection")
    assert (empty.attrs["version"], empty.content) == ("0", None)
    assert (refused.attrs["type"], require_child(refused, "error").attrs["code"]) == ("error", "400")


@pytest.mark.parametrize(
    ("xmlns", "type", "content"),
    [
        ("w:p", GET, [Node("ping")]),
        ("w:p", GET, []),
        ("urn:xmpp:whatsapp:dirty", SET, [Node("clean", {"type": "account_sync"})]),
        ("passive", SET, [Node("passive")]),
        ("privacy", SET, [Node("tokens", None, [])]),
    ],
)
def test_an_empty_result_is_enough(
    bench: Bench, companion: Companion, xmlns: str, type: iq.IqType, content: list[Node]
) -> None:
    answer = iq.raise_for_error(companion.ask(xmlns, type, content))
    assert answer.content in (None, [])
    assert bench.service.unanswered == {}


def test_a_ping_is_answered_with_the_servers_time(bench: Bench, companion: Companion) -> None:
    answer = iq.raise_for_error(companion.ask("w:p", GET, [Node("ping")]))
    assert answer.attrs["t"] == str(bench.service.world.t())


def test_media_hosts_and_props_have_what_clients_insist_on(bench: Bench, companion: Companion) -> None:
    media = content_of(companion.ask("w:m", SET, [Node("media_conn")]), "media_conn")
    assert {"auth", "ttl", "auth_ttl", "max_buckets"} <= set(media.attrs)
    assert len(media.children("host")) == 1
    assert content_of(companion.ask("abt", GET, [Node("props", {"protocol": "1"})]), "props").attrs["hash"]
    assert refusal(companion.ask("w:profile:picture", GET, [Node("picture", {"type": "image"})])) == 404
    assert refusal(companion.ask("md", SET, [Node("link_code_companion_reg", {"stage": "companion_hello"})])) == 405


def test_an_unknown_question_gets_an_empty_result_and_is_counted(bench: Bench, companion: Companion) -> None:
    answer = iq.raise_for_error(companion.ask("w:never:heard:of", GET, [Node("thing")]))
    assert answer.content in (None, [])
    assert bench.service.unanswered == {("w:never:heard:of", "thing"): 1}
    assert [trace.detail for trace in bench.traces if trace.name == "lab.unanswered"] == [
        '{"xmlns": "w:never:heard:of", "child": "thing"}'
    ]


def test_a_malformed_question_is_a_bad_request_and_changes_nothing(companion: Companion) -> None:
    assert refusal(companion.ask("encrypt", SET, [Node("registration", None, b"\0\0\0\1")])) == 400
    assert refusal(companion.ask("usync", GET, [Node("usync")])) == 400
    assert refusal(companion.ask("blocklist", SET, [Node("item", {"action": "block"})])) == 400


def test_every_handler_says_what_it_does() -> None:
    assert [key for key, handler in TABLE.items() if not handler.__doc__] == []


# --- unlinking


async def test_a_companion_unlinks_itself_and_nobody_else(bench: Bench, ada: Phone, companion: Companion) -> None:
    other = Companion.link(bench, ada)
    other.login()

    def unlink(jid: Jid) -> list[Node]:
        return [Node("remove-companion-device", {"jid": jid, "reason": "user_initiated"})]

    (bob,) = await bench.phones("Bob")
    assert refusal(companion.ask("md", SET, unlink(other.device.pn))) == 403
    assert refusal(companion.ask("md", SET, unlink(bob.pn))) == 404
    assert refusal(companion.ask("md", SET, unlink(ada.pn))) == 404
    iq.raise_for_error(companion.ask("md", SET, unlink(companion.device.pn)))
    (farewell,) = companion.endpoint.take("stream:error")
    assert require_child(farewell, "conflict").attrs["type"] == "device_removed"
    assert companion.endpoint.ended
    assert ada.companions == [other.device.pn]
    # The other companion is told, with a list that no longer has the index.
    (told,) = other.endpoint.take("notification")
    signed = require_child(require_child(told, "remove"), "key-index-list").content
    assert isinstance(signed, bytes)
    details = proto.ADVKeyIndexList.FromString(proto.ADVSignedKeyIndexList.FromString(signed).details)
    assert list(details.validIndexes) == [0, 2]
