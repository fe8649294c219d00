"""Questions: the same answers as the journal itself, whatever was asked before, with the same columns always."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from tests.unit.capture.traces import trace
from waton.capture.analysis import Analysis
from waton.capture.journal import Journal
from waton.capture.recorder import Recorder
from waton.errors import CaptureError
from waton.protocol.binary_node import Node, decode_node, encode_node, to_xml
from waton.protocol.trace import Layer, Trace, Tracer, Way

COLUMNS = {
    "frames": "time way name size seq parent run connection",
    "nodes": "time way tag id type xmlns sender recipient size seq parent run connection",
    "messages": "time way kind id encryption sender recipient size transition committed detail seq parent run"
    " connection",
    "transitions": "time machine before after cause transition committed detail seq run connection",
    "events": "time type id cause size transition committed detail seq run connection",
}
LAYERS = {
    "frames": Layer.FRAME,
    "nodes": Layer.NODE,
    "messages": Layer.MESSAGE,
    "transitions": Layer.STATE,
    "events": Layer.EVENT,
}
DTYPES = {
    "time": "datetime64[us, UTC]",
    "way": "category",
    "committed": "bool",
    "detail": "object",
    **dict.fromkeys(["size", "seq", "run", "connection"], "int64"),
    **dict.fromkeys(["parent", "cause", "transition"], "Int64"),
}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path / "journal.db")
    yield opened
    opened.close()


@pytest.fixture
def analysis(journal: Journal) -> Iterator[Analysis]:
    made = Analysis(journal.path)
    yield made
    made.close()


def ask(analysis: Analysis, name: str) -> pd.DataFrame:
    frame = getattr(analysis, name)()
    assert isinstance(frame, pd.DataFrame)
    return frame


def counts(journal: Journal) -> dict[str, int]:
    with closing(sqlite3.connect(journal.path)) as connection:
        return dict(connection.execute("SELECT layer, count(*) FROM trace GROUP BY layer"))


# --- shape


@pytest.mark.parametrize("is_empty", [True, False])
@pytest.mark.parametrize("name", COLUMNS)
def test_columns_and_dtypes_are_the_same_with_rows_and_without(
    journal: Journal, analysis: Analysis, name: str, is_empty: bool
) -> None:
    run = journal.begin_run("waton", "client")
    if not is_empty:
        journal.append(run, [trace(1, LAYERS[name]), trace(2, LAYERS[name], parent=None)])
    frame = ask(analysis, name)
    assert len(frame) == (0 if is_empty else 2)
    assert list(frame.columns) == COLUMNS[name].split()
    assert {column: str(kind) for column, kind in frame.dtypes.items()} == {
        column: DTYPES.get(column, str(pd.Series(["x"], dtype="str").dtype)) for column in frame.columns
    }


def test_values_are_what_was_traced(journal: Journal, analysis: Analysis) -> None:
    run = journal.begin_run("waton", "client")
    journal.append(run, [trace(1, Layer.MESSAGE, transition=9), trace(2, Layer.NODE)])
    [node] = analysis.nodes().to_dict("records")
    assert node == {
        "time": pd.Timestamp("2023-11-14T22:13:20.250Z"),
        "way": "in",
        "tag": "name 2",
        "id": "id 2",
        "type": "kind 2",
        "xmlns": "xmlns 2",
        "sender": "sender 2",
        "recipient": "recipient 2",
        "size": 20,
        "seq": 2,
        "parent": 1,
        "run": run,
        "connection": 1,
    }
    [message] = analysis.messages().to_dict("records")
    assert (message["kind"], message["encryption"], message["transition"], message["committed"]) == (
        "name 1",
        "kind 1",
        9,
        True,
    )


def test_transitions_tell_what_changed_and_why(journal: Journal, analysis: Analysis) -> None:
    run = journal.begin_run("waton", "client")
    details = ['{"before": "a", "after": "b", "why": 3}', "", "[1]", "not json", '{"error": "é"}']
    journal.append(run, [trace(seq, Layer.STATE, detail=text) for seq, text in enumerate(details, 1)])
    frame = analysis.transitions()
    assert list(frame["before"]) == ["a", "", "", "", ""]
    assert list(frame["after"]) == ["b", "", "", "", ""]
    assert list(frame["detail"]) == [{"why": 3}, {}, {"value": [1]}, {"text": "not json"}, {"error": "é"}]
    assert list(frame["cause"]) == [pd.NA, 1, 2, 3, 4]


def test_nodes_bring_their_xml_when_asked(journal: Journal, analysis: Analysis) -> None:
    run = journal.begin_run("waton", "client")
    nodes = [Node("iq", {"id": str(seq), "type": "get"}, [Node("ping", None, b"\x00<&>")]) for seq in range(1, 4)]
    written = [trace(seq, Layer.NODE, data=encode_node(node)) for seq, node in enumerate(nodes, 1)]
    journal.append(run, [*written, trace(4, Layer.NODE, data=b"\x00\xff broken"), trace(5, Layer.NODE, data=b"")])
    frame = analysis.nodes(xml=True)
    assert list(frame.columns) == [*COLUMNS["nodes"].split(), "xml"]
    assert list(frame["xml"][:3]) == [to_xml(decode_node(made.data)) for made in written]
    assert "ping" in frame["xml"][0]
    assert "cannot decode node" in frame["xml"][3]
    assert frame["xml"][4] == ""
    assert list(analysis.nodes(xml=True, last=3)["seq"]) == [3, 4, 5]
    assert list(analysis.nodes(xml=True, last=3)["xml"]) == list(frame["xml"][2:])


def test_xml_of_no_nodes_is_still_a_column(analysis: Analysis) -> None:
    assert list(analysis.nodes(xml=True).columns) == [*COLUMNS["nodes"].split(), "xml"]


# --- keeping up


def test_stanzas_are_decoded_by_their_rows(journal: Journal, analysis: Analysis) -> None:
    node = Node("message", {"id": "M1"}, b"content")
    written = [
        trace(1, Layer.NODE, data=encode_node(node)),
        trace(2, Layer.NODE, data=b"no node"),
        trace(3, Layer.NODE, data=b""),
    ]
    journal.append(journal.begin_run("waton", "client"), written)
    rows = [int(row) for row in analysis.sql("SELECT row FROM trace ORDER BY seq")["row"]]
    assert analysis.stanzas(rows) == {rows[0]: node}
    assert analysis.stanzas(rows[1:]) == {}
    assert analysis.stanzas([]) == {}


def test_every_question_sees_what_was_recorded_since(journal: Journal, analysis: Analysis) -> None:
    first, second = journal.begin_run("waton", "client"), journal.begin_run("lab", "lab")
    seen = 0
    for start in range(1, 2001, 250):
        for run in (second, first):
            layers = [list(Layer)[seq % len(Layer)] for seq in range(start, start + 250)]
            journal.append(run, [trace(seq, layer) for seq, layer in enumerate(layers, start)])
        for name, layer in LAYERS.items():
            assert len(ask(analysis, name)) == counts(journal)[layer.value]
        everything = analysis.sql("SELECT count(*) AS n, count(DISTINCT (run, seq)) AS d, max(row) AS m FROM trace")
        seen += 500
        assert everything.to_dict("records") == [{"n": seen, "d": seen, "m": seen}]
    assert analysis.sql("SELECT run, seq FROM trace ORDER BY row").values.tolist() == [
        [row.run, row.trace.seq] for row in journal.rows(limit=10_000)
    ]


def test_newest_is_last_and_last_asks_for_the_newest(journal: Journal, analysis: Analysis) -> None:
    run = journal.begin_run("waton", "client")
    journal.append(run, [trace(seq) for seq in (3, 1, 2, 5, 4)])
    assert list(analysis.frames()["seq"]) == [3, 1, 2, 5, 4]
    assert list(analysis.frames(last=2)["seq"]) == [5, 4]
    assert len(analysis.frames(last=0)) == 0


def test_what_is_flagged_after_it_was_seen_is_seen_as_flagged(journal: Journal, analysis: Analysis) -> None:
    run = journal.begin_run("waton", "client")
    journal.append(run, [trace(1, Layer.MESSAGE, transition=1), trace(2, Layer.MESSAGE, transition=2)])
    assert list(analysis.messages()["committed"]) == [True, True]
    journal.settle(run, {1})
    assert list(analysis.messages()["committed"]) == [True, False]
    later = Analysis(journal.path)
    assert list(later.messages()["committed"]) == [True, False]


def test_questions_while_two_threads_record(journal: Journal, analysis: Analysis) -> None:
    """Asked from three threads at once; each answer is a whole prefix, and the last is everything."""
    recorder = Recorder(journal, client="waton", vantage="client")
    tracers = [threading.Thread(target=_record, args=(recorder, first)) for first in (1, 2)]
    failures: list[str] = []

    def question() -> None:
        known = 0
        while known < 6000:
            rows = analysis.sql("SELECT row FROM trace ORDER BY row")["row"].tolist()
            if rows != list(range(1, len(rows) + 1)) or len(rows) < known:
                failures.append(f"{known} {len(rows)}")
                return
            known = len(rows)

    questions = [threading.Thread(target=question) for _ in range(3)]
    for thread in [*tracers, *questions]:
        thread.start()
    for thread in tracers:
        thread.join()
    recorder.close()
    for thread in questions:
        thread.join()
    assert failures == []
    assert len(analysis.frames()) == 6000


def _record(recorder: Recorder, first: int) -> None:
    for seq in range(first, 6001, 2):
        recorder([trace(seq)])


def test_an_answer_outlives_the_next_question(journal: Journal, analysis: Analysis) -> None:
    tracer = Tracer(lambda traces: journal.append(run, list(traces)))
    run = journal.begin_run("waton", "client")
    tracer.add(Layer.FRAME, Way.IN, "stanza", at=1.0)
    first = analysis.frames()
    tracer.add(Layer.FRAME, Way.IN, "stanza", at=2.0)
    assert len(analysis.frames()) == 2
    assert len(first) == 1


def test_after_close_a_question_starts_anew(journal: Journal, analysis: Analysis) -> None:
    run = journal.begin_run("waton", "client")
    journal.append(run, [trace(1)])
    assert len(analysis.frames()) == 1
    analysis.close()
    analysis.close()
    assert len(analysis.frames()) == 1


# --- any query


def test_sql_over_traces_runs_and_views(journal: Journal, analysis: Analysis) -> None:
    run = journal.begin_run("waton", "client", {"x": 1})
    journal.append(run, [trace(1, Layer.NODE), trace(2, Layer.NODE)])
    assert analysis.sql("SELECT tag FROM nodes WHERE size > 10")["tag"].tolist() == ["name 2"]
    assert analysis.sql("SELECT client, meta ->> '$.x' AS x, closed FROM run").values.tolist() == [
        ["waton", "1", False]
    ]
    both = analysis.sql("SELECT a.time, b.time FROM trace a JOIN trace b ON a.parent = b.seq")
    assert [str(kind) for kind in both.dtypes] == ["datetime64[us, UTC]"] * 2
    assert both.iloc[0, 0] - both.iloc[0, 1] == pd.Timedelta("125ms")


def test_times_are_utc_wherever_the_machine_is(
    journal: Journal, analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    run = journal.begin_run("waton", "client")
    journal.append(run, [trace(1, at=0.0)])
    assert analysis.sql("SELECT extract(hour FROM time) AS h FROM trace")["h"].tolist() == [0]
    assert analysis.frames()["time"][0] == pd.Timestamp(0, tz="UTC")


def test_a_wrong_query_is_duckdbs_error_and_harms_nothing(analysis: Analysis) -> None:
    with pytest.raises(duckdb.Error):
        analysis.sql("SELECT nothing FROM nowhere")
    assert len(analysis.frames()) == 0


def test_a_query_does_not_fetch_extensions(analysis: Analysis) -> None:
    """Nor anything else from outside."""
    asked = analysis.sql("SELECT value FROM duckdb_settings() WHERE name = 'autoinstall_known_extensions'")
    assert asked["value"].tolist() == ["false"]


def test_a_journal_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no such file"):
        Analysis(tmp_path / "journal.db")


def test_no_trace_is_shown_in_a_repr(journal: Journal) -> None:
    secret = Trace(1, None, 0.0, Layer.MESSAGE, Way.IN, "text", data=b"secret", sender="15550001234@s.whatsapp.net")
    recorder = Recorder(journal, client="waton", vantage="client")
    recorder([secret])
    recorder.close()
    for shown in (repr(secret), repr(recorder), repr(journal)):
        assert "secret" not in shown
        assert "1555" not in shown
