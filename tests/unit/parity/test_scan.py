"""The scan: what is missing is said to be, what is claimed is checked, and an emptied module empties its domain."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.requirements import require
from tests.unit.parity.test_typescript import WAPROTO, write, write_source
from tools.parity import scan_baileys_parity
from waton.errors import ParityError
from waton.parity import baseline, counterparts
from waton.parity.counterparts import Counterpart
from waton.parity.evidence import Domain, Evidence, Outcome, Row, Status
from waton.parity.known import Differences, known_differences
from waton.parity.own import Waton
from waton.parity.scan import claim, dead_modules, scan_parity, scan_rows, without_dead

WATON = Path(__file__).parents[3] / "waton"
EMPTIED = [
    ("protocol/noise.py", Domain.NOISE),
    ("protocol/stanza/usync.py", Domain.USYNC),
    ("client/addresses.py", Domain.LID_MAPPING),
    ("client/pairing.py", Domain.PAIRING),
    ("client/prekeys.py", Domain.PREKEYS),
    ("client/event_pipeline.py", Domain.EVENT_BUFFER),
    ("client/messages_recv.py", Domain.MESSAGES_RECV),
    ("client/messages.py", Domain.MESSAGES_SEND),
    ("protocol/binary_node.py", Domain.BINARY_CODEC),
]


@pytest.fixture
def baileys(tmp_path: Path) -> Path:
    return write_source(tmp_path / "baileys")


@pytest.fixture
def waton(tmp_path: Path) -> Path:
    """A copy to change. Its parity and lab are not read."""
    ignored = shutil.ignore_patterns("parity", "lab", "__pycache__", "*.so", "*_pb2.py*")
    return Path(shutil.copytree(WATON, tmp_path / "copy" / "waton", ignore=ignored))


def empty(path: Path) -> None:
    """Blanks and line ends in place of every line, so that the length stays."""
    text = path.read_text("utf-8")
    path.write_text("".join("\n" if letter == "\n" else " " for letter in text), "utf-8")


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def row(rows: list[Row], key: str) -> Row:
    return next(row for row in rows if row.key == f"scan/{key}")


def statuses(waton: Path, baileys: Path) -> dict[str, str]:
    return {name: told["status"] for name, told in scan_parity(waton, baileys)["domains"].items()}


def test_every_domain_has_a_status_and_its_modules(baileys: Path) -> None:
    found = scan_parity(WATON, baileys)
    assert set(found["domains"]) == {domain.value for domain in Domain}
    assert set(counterparts.MODULES) == set(Domain)
    assert found["baileys"] == {"version": "9.9.9", "web_version": "2.3000.77"}
    assert json.loads(json.dumps(found))["rows"][0]["evidence"] == "scan"
    keys = [(row["kind"], row["name"]) for row in found["rows"]]
    assert len(keys) == len(set(keys))
    assert not [row for row in found["rows"] if row["outcome"] in ("missing", "open", "left_out") and not row["note"]]
    # What was only read is never done.
    assert {told["status"] for told in found["domains"].values()} <= {Status.MISSING.value, Status.PARTIAL.value}


def test_the_same_twice(baileys: Path) -> None:
    assert scan_rows(WATON, baileys) == scan_rows(WATON, baileys)


@pytest.mark.parametrize(("module", "domain"), EMPTIED, ids=[domain.value for _, domain in EMPTIED])
def test_an_emptied_module_empties_its_domain_and_no_other(
    waton: Path, baileys: Path, module: str, domain: Domain
) -> None:
    before = statuses(waton, baileys)
    assert before[domain.value] == Status.PARTIAL.value
    size = (waton / module).stat().st_size
    empty(waton / module)
    assert abs((waton / module).stat().st_size - size) < 100  # bytes of letters that are no ASCII
    assert statuses(waton, baileys) == {**before, domain.value: Status.MISSING.value}
    assert module in dead_modules(waton)[domain]


def test_a_module_without_one_of_its_names_is_missing(waton: Path, baileys: Path) -> None:
    replace(waton / "protocol" / "noise.py", "def verify_chain(", "def verify_nothing(")
    found = row(scan_rows(waton, baileys), "module/noise")
    assert found.outcome is Outcome.MISSING
    assert found.note == "protocol/noise.py defines no verify_chain"


def test_good_rows_of_any_evidence_do_not_count_in_a_dead_domain() -> None:
    ran = Row(Domain.NOISE, Evidence.FUNCTION, "function", "handshake", Outcome.EQUAL)
    other = Row(Domain.USYNC, Evidence.WIRE, "stanza", "usync", Outcome.BETTER)
    found = without_dead([ran, other], {Domain.NOISE: ["protocol/noise.py"]})
    assert [each.outcome for each in found] == [Outcome.MISSING, Outcome.BETTER]
    assert "protocol/noise.py" in found[0].note


def test_a_removed_event_is_missing(waton: Path, baileys: Path) -> None:
    assert row(scan_rows(waton, baileys), "event/messages.upsert").outcome is Outcome.EQUAL
    replace(waton / "client" / "events.py", 'type: ClassVar[str] = "messages.upsert"', 'type: ClassVar[str] = "other"')
    rows = scan_rows(waton, baileys)
    assert row(rows, "event/messages.upsert").outcome is Outcome.MISSING
    assert row(rows, "event/other").outcome is Outcome.DIFFERS


@pytest.mark.parametrize(
    ("new", "note"),
    [
        ("    def next_tag(self) -> str:", "client/client.py defines no Client.next_id"),
        (
            "    def next_id(self) -> str:\n        raise NotImplementedError\n\n    def other(self) -> str:",
            "Client.next_id in client/client.py does nothing yet",
        ),
    ],
)
def test_a_claimed_method_that_is_gone_or_hollow_is_missing(waton: Path, baileys: Path, new: str, note: str) -> None:
    assert row(scan_rows(waton, baileys), "method/generateMessageTag").outcome is Outcome.EQUAL
    replace(waton / "client" / "client.py", "    def next_id(self) -> str:", new)
    found = row(scan_rows(waton, baileys), "method/generateMessageTag")
    assert (found.outcome, found.note) == (Outcome.MISSING, note)


def test_every_claim_of_the_tables_is_true() -> None:
    waton = Waton(WATON)
    tables = (
        counterparts.METHODS,
        counterparts.PARTS,
        counterparts.OPTIONS,
        counterparts.CONTENT,
        counterparts.IDENTITY_OUTCOMES,
    )
    lines = {name: line for table in tables for name, line in table.items() if line.symbols}
    assert {name: told for name, line in lines.items() if (told := claim(waton, line))[0] is Outcome.MISSING} == {}


def test_a_counterpart_that_lacks_something_is_open() -> None:
    waton = Waton(WATON)
    whole = Counterpart(Domain.NOISE, ("errors.py:WatonError",))
    assert claim(waton, whole) == (Outcome.EQUAL, "")
    assert claim(waton, Counterpart(Domain.NOISE, whole.symbols, "half of it")) == (Outcome.OPEN, "half of it")
    assert claim(waton, Counterpart(Domain.NOISE))[0] is Outcome.MISSING


def test_a_method_that_no_table_names_is_missing_in_its_layers_domain(baileys: Path) -> None:
    found = row(scan_rows(WATON, baileys), "method/toggle")
    assert (found.domain, found.outcome) == (Domain.CHATS, Outcome.MISSING)


def test_stanzas_sent_partly_sent_and_not_sent(baileys: Path) -> None:
    rows = scan_rows(WATON, baileys)
    assert row(rows, "stanza/iq set passive active").outcome is Outcome.EQUAL
    assert row(rows, "stanza/iq set w:g2 leave").outcome is Outcome.MISSING
    partly = row(rows, "stanza/presence *")
    assert partly.outcome is Outcome.OPEN
    assert "presence available" in partly.note
    # What only we send is a difference too, and has to be explained.
    assert row(rows, "stanza/iq get w:p ping").outcome is Outcome.DIFFERS


def test_a_stanza_that_no_part_of_the_client_sends_is_open(waton: Path, baileys: Path) -> None:
    replace(waton / "client" / "account.py", "stream.unified_session(", "stream.offline_batch(")
    source = (baileys / "src" / "Utils" / "validate.ts").read_text("utf-8")
    wanted = "{ tag: 'ib', attrs: {}, content: [{ tag: 'unified_session', attrs: {} }] }"
    write(baileys / "src" / "Utils" / "validate.ts", f"{source}\nexport const makeSession = () => ({wanted})")
    found = row(scan_rows(waton, baileys), "stanza/ib unified_session")
    assert (found.outcome, found.note) == (Outcome.OPEN, "the stanza is declared; no part of the client sends it")


def test_a_changed_token_is_found_by_its_index(waton: Path, baileys: Path) -> None:
    tokens = Waton(waton).tokens
    arrays = [f"[{', '.join(repr(word) for word in words)}]" for words in tokens.double]
    text = (
        f"export const SINGLE_BYTE_TOKENS = [{', '.join(repr(word) for word in tokens.single)}]\n"
        f"export const DOUBLE_BYTE_TOKENS = [{', '.join(arrays)}]"
    )
    write(baileys / "src" / "WABinary" / "constants.ts", text)
    assert row(scan_rows(waton, baileys), "tokens/double-byte 2").outcome is Outcome.EQUAL
    write(baileys / "src" / "WABinary" / "constants.ts", text.replace(repr(tokens.double[2][17]), "'moved'"))
    found = row(scan_rows(waton, baileys), "tokens/double-byte 2")
    assert found.outcome is Outcome.DIFFERS
    assert [(field.path, field.ours, field.theirs) for field in found.fields] == [("17", tokens.double[2][17], "moved")]


def test_a_protobuf_field_that_is_gone_or_other_is_found(waton: Path, baileys: Path) -> None:
    write(baileys / "WAProto" / "WAProto.proto", WAPROTO + "message Pushname { string id = 1; string pushname = 2; }")
    # The domain history has no module yet, so the row is missing; its fields tell what differs.
    assert row(scan_rows(waton, baileys), "proto/Pushname").fields == ()
    replace(waton / "protocol" / "proto" / "history.proto", "string pushname = 2;", "string name = 3;")
    replace(waton / "protocol" / "proto" / "history.proto", "string id = 1;", "bytes id = 1;")
    found = row(scan_rows(waton, baileys), "proto/Pushname")
    assert found.outcome is Outcome.DIFFERS
    assert [(field.path, field.ours, field.theirs, field.outcome) for field in found.fields] == [
        ("id", "bytes = 1", "string = 1", Outcome.DIFFERS),
        ("pushname", "", "string = 2", Outcome.MISSING),
    ]
    assert row(scan_rows(waton, baileys), "proto/SyncActionValue.Kind").outcome is Outcome.MISSING


def test_numbers_that_one_side_lacks(waton: Path, baileys: Path) -> None:
    rows = scan_rows(waton, baileys)
    assert row(rows, "nack-code/ParsingError").outcome is Outcome.EQUAL
    assert row(rows, "disconnect-reason/loggedOut").ours == "LOGGED_OUT, of stream code 401"
    assert row(rows, "disconnect-reason/REPLACED").ours == "REPLACED, of stream code 409 and 440"
    replace(waton / "protocol" / "stanza" / "receipt.py", "    PARSING = 487", "    PARSING = 486")
    rows = scan_rows(waton, baileys)
    assert row(rows, "nack-code/ParsingError").outcome is Outcome.MISSING
    assert row(rows, "nack-code/PARSING").outcome is Outcome.DIFFERS


def test_another_default_and_another_web_version_differ(waton: Path, baileys: Path) -> None:
    rows = scan_rows(waton, baileys, Differences([]))
    assert row(rows, "option/connectTimeoutMs").outcome is Outcome.EQUAL
    differing = row(rows, "option/keepAliveIntervalMs").fields
    assert [(field.path, field.ours, field.theirs) for field in differing] == [("default", "25.0", "30_000")]
    assert row(rows, "web-version/web client").outcome is Outcome.DIFFERS
    assert row(rows, "web-version/web client").theirs == "2.3000.77"


@pytest.mark.parametrize("kind", ["waton", "baileys"])
@pytest.mark.parametrize("make", [False, True], ids=["absent", "empty"])
def test_a_wrong_or_empty_path_is_an_error(tmp_path: Path, baileys: Path, kind: str, make: bool) -> None:
    wrong = tmp_path / "wrong"
    if make:
        wrong.mkdir()
    paths = {"waton": WATON, "baileys": baileys, kind: wrong}
    with pytest.raises(ParityError):
        scan_parity(paths["waton"], paths["baileys"])
    with pytest.raises(ParityError):
        # Each in the other's place.
        scan_parity(baileys, WATON)


def test_the_tool_renews_the_scan_in_a_baseline_and_keeps_what_was_run(baileys: Path, tmp_path: Path) -> None:
    out = tmp_path / "baseline.json"
    ran = Row(Domain.NOISE, Evidence.FUNCTION, "function", "handshake", Outcome.EQUAL)
    old = Row(Domain.NOISE, Evidence.SCAN, "method", "gone", Outcome.EQUAL)
    baseline.write(out, baseline.Baseline((ran, old), {"baileys": "1"}))
    command = ["--waton", str(WATON), "--baileys", str(baileys), "--out", str(out)]
    assert scan_baileys_parity.main(command) == 0
    written = baseline.read(out)
    assert written.versions == {"baileys": "9.9.9", "web": "2.3000.77"}
    assert {row.key for row in written.rows} == {ran.key, *(row.key for row in scan_rows(WATON, baileys))}


def test_the_tool_prints_the_domains_and_refuses_a_wrong_path(
    baileys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert scan_baileys_parity.main(["--waton", str(WATON), "--baileys", str(baileys)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("Baileys 9.9.9, web 2.3000.77: ")
    assert [line.split()[0] for line in told[2:]] == [domain.value for domain in Domain]
    assert scan_baileys_parity.main(["--waton", str(WATON), "--baileys", str(tmp_path / "absent")]) == 2
    assert "no Baileys at" in capsys.readouterr().err


@pytest.mark.peer
def test_the_pinned_baileys_has_no_difference_that_nobody_has_explained() -> None:
    table = known_differences()
    rows = scan_rows(WATON, require("baileys"), table)
    assert [row.key for row in rows if row.outcome is Outcome.DIFFERS] == []
    assert table.stale(Evidence.SCAN) == []
    assert len([row for row in rows if row.kind == "method"]) == 153


@pytest.mark.peer
@pytest.mark.parametrize(("module", "domain"), EMPTIED[:5], ids=[domain.value for _, domain in EMPTIED[:5]])
def test_an_emptied_module_empties_its_domain_of_the_pinned_baileys(waton: Path, module: str, domain: Domain) -> None:
    package = require("baileys")
    before = statuses(waton, package)
    empty(waton / module)
    assert statuses(waton, package) == {**before, domain.value: Status.MISSING.value}
