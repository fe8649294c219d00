"""usync: the question as asked, the answer as read, and both halves against each other."""

from __future__ import annotations

import pytest

from waton.jid import Jid
from waton.protocol.binary_node import Node, StanzaError
from waton.protocol.stanza import usync
from waton.protocol.stanza.usync import Context, DeviceEntry, Mode, Protocol, Query, UserAsked, UserResult
from waton.protocol.stanza.usync_profiles import About, BotCommand, BotProfile, Disappearing

ADA = Jid.parse("4915000000001@s.whatsapp.net")
BEA = Jid.parse("77000000000002@lid")


def answered(*users: Node) -> Node:
    return Node("iq", {"type": "result"}, [Node("usync", None, [Node("list", None, list(users))])])


def devices(*entries: dict[str, str | Jid | None], signed: bytes | None = None) -> Node:
    children = [Node("device-list", None, [Node("device", entry) for entry in entries])]
    if signed is not None:
        children.append(Node("key-index-list", {"ts": "5"}, signed))
    return Node("devices", {"version": "2"}, children)


def test_the_question_for_devices() -> None:
    # Source: Baileys WAUSync: context message, mode query, index 0, last true.
    node = usync.devices_query("7.1-3", [ADA.with_device(4), BEA])
    assert node.attrs == {"context": "message", "mode": "query", "sid": "7.1-3", "last": "true", "index": "0"}
    query, listed = node.children()
    assert query.children() == [Node("devices", {"version": "2"}), Node("lid")]
    assert [user.attrs for user in listed.children()] == [{"jid": ADA}, {"jid": BEA}]
    assert [child.tag for child in usync.devices_query("1", [ADA], with_lid=False).children()[0].children()] == [
        "devices"
    ]


@pytest.mark.parametrize("phone", ["4915000000001", "+4915000000001"])
def test_the_question_for_a_number(phone: str) -> None:
    node = usync.contact_query("1", [phone])
    assert node.attrs["context"] == "interactive"
    assert node.children()[1].children() == [Node("user", None, [Node("contact", None, b"+4915000000001")])]


def test_an_answer_for_devices() -> None:
    lid = Node("lid", {"val": Jid.parse("77000000000001@lid")})
    entries = devices(
        {"id": "0"},
        {"id": "4", "key-index": "2"},
        {"id": "9"},
        {"id": "99", "key-index": "0", "is_hosted": "true"},
        signed=b"signed list",
    )
    [found] = usync.parse_result(answered(Node("user", {"jid": ADA}, [entries, lid])))
    assert found == UserResult(
        ADA,
        (DeviceEntry(0), DeviceEntry(4, 2), DeviceEntry(9), DeviceEntry(99, 0, is_hosted=True)),
        b"signed list",
        Jid.parse("77000000000001@lid"),
        None,
    )


def test_a_companion_without_key_index_does_not_count() -> None:
    # Source: Baileys extractDeviceJids; such a companion is not vouched for. Key indexes count from 1.
    result = UserResult(ADA, (DeviceEntry(0), DeviceEntry(4, 2), DeviceEntry(9), DeviceEntry(7, 0)))
    assert result.device_jids() == [ADA, ADA.with_device(4)]


@pytest.mark.parametrize(("user", "server"), [("77000000000001@lid", "hosted.lid"), (str(ADA), "hosted")])
def test_a_hosted_device_has_a_server_of_its_own(user: str, server: str) -> None:
    jid = Jid.parse(user)
    result = UserResult(jid, (DeviceEntry(0), DeviceEntry(99, 1, is_hosted=True), DeviceEntry(4, 2)))
    assert [str(device) for device in result.device_jids()] == [
        user,
        f"{jid.user}:99@{server}",
        str(jid.with_device(4)),
    ]


@pytest.mark.parametrize(("said", "registered"), [("in", True), ("out", False), ("invalid", False)])
def test_an_answer_for_a_number(said: str, registered: bool) -> None:
    user = Node("user", {"jid": ADA}, [Node("contact", {"type": said}, b"+4915000000001")])
    [found] = usync.parse_result(answered(user))
    assert (found.jid, found.is_registered, found.devices) == (ADA, registered, ())


def test_an_answer_that_says_little() -> None:
    users = (
        Node("user", {"jid": ADA}),
        Node("user", {"jid": BEA}, [Node("devices", None, [Node("error", {"code": "404"})]), Node("lid")]),
        Node("user", {"jid": BEA}, [Node("devices", None, [Node("key-index-list", {"ts": "1"})])]),
    )
    assert usync.parse_result(answered(*users)) == [UserResult(ADA), UserResult(BEA), UserResult(BEA)]
    assert usync.parse_result(answered()) == []
    assert usync.parse_result(answered(Node("user"), users[0])) == [UserResult(ADA)]  # one without an address is nobody


@pytest.mark.parametrize(
    "answer",
    [
        Node("iq"),
        Node("iq", None, [Node("usync")]),
        answered(Node("user", {"jid": "1:x@lid"})),
        answered(Node("user", {"jid": ADA}, [devices({})])),
        answered(Node("user", {"jid": ADA}, [devices({"id": "one"})])),
        answered(Node("user", {"jid": ADA}, [devices({"id": "-1"})])),
        answered(Node("user", {"jid": ADA}, [devices({"id": "65536"})])),
        answered(Node("user", {"jid": ADA}, [devices({"id": "1", "key-index": ""})])),
        answered(Node("user", {"jid": ADA}, [Node("lid", {"val": "1:x@lid"})])),
    ],
)
def test_a_malformed_answer(answer: Node) -> None:
    with pytest.raises(StanzaError):
        usync.parse_result(answer)


def test_the_largest_device_number() -> None:
    [found] = usync.parse_result(answered(Node("user", {"jid": ADA}, [devices({"id": "65535", "key-index": "1"})])))
    assert found.device_jids() == [ADA.with_device(65535)]


def test_both_halves_understand_each_other() -> None:
    asked = Query.from_node(Node("iq", None, [usync.devices_query("7.1-3", [ADA, BEA])]))
    assert asked == Query("7.1-3", "query", "message", ("devices", "lid"), (UserAsked(ADA), UserAsked(BEA)))
    entries = (DeviceEntry(0), DeviceEntry(3, 1), DeviceEntry(99, 2, is_hosted=True))
    user = Node("user", {"jid": ADA}, [usync.devices_node(entries, b"signed", 5)])
    answer = asked.answer([user])
    assert answer.attrs == {"sid": "7.1-3", "mode": "query", "context": "message", "index": "0", "last": "true"}
    assert usync.parse_result(Node("iq", None, [answer])) == [UserResult(ADA, entries, b"signed")]


@pytest.mark.parametrize(
    ("contact", "phone"),
    [(b"+4915", "4915"), (b"4915@c.us", "4915"), (b"4915", "4915"), (b"", ""), (b"+49a", ""), (b"\xff\xfe", "")],
)
def test_the_number_that_is_asked_for(contact: bytes, phone: str) -> None:
    assert UserAsked(None, contact).phone == phone


def test_a_malformed_question() -> None:
    for request in (Node("iq"), Node("iq", None, [Node("usync")])):
        with pytest.raises(StanzaError):
            Query.from_node(request)


def test_one_user_that_does_not_parse_costs_nobody_else() -> None:
    users = (
        Node("user", {"jid": ADA}, [devices({"id": "one"})]),
        Node("user", {"jid": BEA}, [devices({"id": "0"})]),
        Node("user", {"jid": "1:x@lid"}),
        Node("user"),
    )
    odd, good = usync.parse_each(answered(*users))
    assert (odd.jid, odd.devices, odd.error) == (ADA, (), 0)
    assert (good, good.error) == (UserResult(BEA, (DeviceEntry(0),)), None)
    with pytest.raises(StanzaError):
        usync.parse_each(Node("iq"))


@pytest.mark.parametrize(("said", "code"), [("404", 404), ("", 500), ("many", 500), ("9" * 12, 500)])
def test_an_error_in_the_place_of_devices(said: str, code: int) -> None:
    user = Node("user", {"jid": ADA}, [Node("devices", None, [Node("error", {"code": said})])])
    for parse in (usync.parse_result, usync.parse_each):
        [found] = parse(answered(user))
        assert (found, found.error) == (UserResult(ADA), code)


# --- people: names, about texts, bots ---------------------------------------------------------------------------------


def test_a_question_of_every_protocol() -> None:
    # Source: Baileys WAUSync/Protocols getQueryElement.
    node = usync.query("1", tuple(Protocol), [], context=Context.BACKGROUND, mode=Mode.DELTA)
    assert (node.attrs["context"], node.attrs["mode"]) == ("background", "delta")
    assert node.children()[0].children() == [
        Node("devices", {"version": "2"}),
        Node("lid"),
        Node("contact"),
        Node("status"),
        Node("disappearing_mode"),
        Node("username"),
        Node("bot", None, [Node("profile", {"v": "1"})]),
    ]


@pytest.mark.parametrize(
    ("user", "protocols", "said"),
    [
        (UserAsked(ADA), [Protocol.STATUS, Protocol.USERNAME, Protocol.DEVICES], None),
        (UserAsked(ADA), [Protocol.CONTACT], [Node("contact")]),
        (UserAsked(None, username="ada"), [Protocol.CONTACT], [Node("contact", {"username": "ada"})]),
        (
            UserAsked(None, username="ada", username_key="1234", lid=BEA),
            [Protocol.CONTACT, Protocol.LID],
            [Node("contact", {"username": "ada", "pin": "1234", "lid": BEA}), Node("lid", {"jid": BEA})],
        ),
        (UserAsked(ADA), [Protocol.BOT], [Node("bot", None, [Node("profile")])]),
        (
            UserAsked(ADA, persona_id="7"),
            [Protocol.BOT],
            [Node("bot", None, [Node("profile", {"persona_id": "7"})])],
        ),
    ],
)
def test_what_is_said_of_a_user(user: UserAsked, protocols: list[Protocol], said: list[Node] | None) -> None:
    node = user.to_node(protocols)
    assert node.attrs == ({} if user.jid is None else {"jid": user.jid})
    assert (node.children() or None) == said


@pytest.mark.parametrize(
    ("node", "about"),
    [
        (Node("status", {"t": "5"}, "Høi".encode()), About("Høi", 5)),
        (Node("status", None, "available"), About("available")),
        (Node("status", {"code": "401", "t": "5"}), About(None, 5, is_hidden=True)),
        (Node("status", {"code": "404"}), About(None)),
        (Node("status", None, b"\xff"), About("\N{REPLACEMENT CHARACTER}")),
    ],
)
def test_an_about_text(node: Node, about: About) -> None:
    [found] = usync.parse_result(answered(Node("user", {"jid": ADA}, [node])))
    assert found.about == about
    assert "Høi" not in repr(found)


def test_what_else_an_answer_says() -> None:
    children = [
        Node("disappearing_mode", {"duration": "86400", "t": "7"}),
        Node("username", None, b"ada"),
        Node("contact", {"type": "in"}, b"+4915"),
    ]
    [found] = usync.parse_result(answered(Node("user", {"jid": ADA}, children)))
    assert (found.disappearing, found.username, found.asked) == (Disappearing(86_400, 7), "ada", b"+4915")
    [nothing] = usync.parse_result(
        answered(Node("user", {"jid": ADA}, [Node("username"), Node("status", None, [Node("error", {"code": "5"})])]))
    )
    assert (nothing.username, nothing.about, nothing.disappearing, nothing.bot) == (None, None, None, None)


def test_a_bot_s_profile() -> None:
    def said(tag: str, text: str) -> Node:
        return Node(tag, None, text.encode())

    commands = [
        said("description", "what it can do"),
        Node("command", None, [said("name", "/imagine"), said("description", "draws")]),
        Node("command"),
    ]
    profile = [
        Node("default"),
        said("name", "Clip"),
        said("category", "helper"),
        Node("commands", None, commands),
        Node("prompts", None, [Node("prompt", None, [said("emoji", "📎"), said("text", "Write a letter")])]),
    ]
    bot = Node("bot", None, [Node("profile", {"persona_id": "7"}, profile)])
    [found] = usync.parse_result(answered(Node("user", {"jid": ADA}, [bot])))
    assert found.bot == BotProfile(
        ADA,
        name="Clip",
        category="helper",
        persona_id="7",
        is_default=True,
        commands_description="what it can do",
        commands=(BotCommand("/imagine", "draws"), BotCommand("", "")),
        prompts=("📎 Write a letter",),
    )
    [bare] = usync.parse_result(answered(Node("user", {"jid": ADA}, [Node("bot", None, [Node("profile")])])))
    assert bare.bot == BotProfile(ADA)
    with pytest.raises(StanzaError):
        usync.parse_result(answered(Node("user", {"jid": ADA}, [Node("bot")])))
    with pytest.raises(StanzaError):
        usync.parse_result(answered(Node("user", {"jid": ADA}, [Node("disappearing_mode", {"duration": "long"})])))
