"""What holds for every widget."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anywidget
import ipywidgets
import nbclient
import nbformat
import pytest

from tests.browser.live_source import Pairing, Recording, Talk
from waton.errors import WatonError
from waton.widgets import ChatWidget, FramesWidget, PairingWidget
from waton.widgets.base import LiveWidget, answer_where_asked, said

MAKERS: dict[str, Callable[[], LiveWidget]] = {
    "pairing": lambda: PairingWidget(Pairing()),
    "frames": lambda: FramesWidget(Recording()),
    "chat": lambda: ChatWidget(Talk()),
}
CLASSES = [LiveWidget, PairingWidget, FramesWidget, ChatWidget]
ROOT = Path(__file__).parents[3]


@pytest.fixture(params=MAKERS)
def widget(request: pytest.FixtureRequest) -> LiveWidget:
    return MAKERS[request.param]()


def test_no_widget_has_state_of_its_own(widget: LiveWidget) -> None:
    """Traits are saved with the notebook: only how to draw may be one."""
    assert set(widget.get_state()) - set(ipywidgets.DOMWidget().get_state()) == {"_esm", "_css", "_anywidget_id"}
    widget.close()


def test_modules_are_small_and_fetch_nothing(widget: LiveWidget) -> None:
    module, style = widget.get_state()["_esm"], widget.get_state()["_css"]
    assert len(module.encode()) <= 60 * 1024
    assert not re.search(r"\bimport\b|\bfetch\(|XMLHttpRequest|innerHTML|eval\(|url\(", module + style)
    addresses = re.findall(r"https?://[^\s\"']+", module + style)
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}  # a name, not a place
    widget.close()


@pytest.mark.parametrize("kind", CLASSES)
def test_nothing_of_ipywidgets_is_overridden_by_accident(kind: type[LiveWidget]) -> None:
    """A method called `_send` once silenced a widget altogether."""
    ours = {name for name in vars(kind) if not name.startswith("__")}
    theirs = set(dir(anywidget.AnyWidget)) | set(vars(FramesWidget.__mro__[-1]))
    made_by_traitlets = {name for name in ours if re.search(r"trait|descriptor|instance_init|initial_value", name)}
    assert (ours & theirs) - made_by_traitlets <= {"close"}


@pytest.mark.parametrize("kind", CLASSES)
def test_attributes_of_instances_neither(kind: type[LiveWidget], widget: LiveWidget) -> None:
    plain = ipywidgets.DOMWidget()
    ours = set(vars(widget)) - set(vars(plain))
    assert not ours & set(dir(anywidget.AnyWidget))
    plain.close()
    widget.close()


def test_closing_stops_following_and_may_be_done_twice() -> None:
    talk = Talk()
    widget = ChatWidget(talk)
    assert len(talk.subscribers.callbacks) == 1
    widget.close()
    widget.close()
    assert talk.subscribers.callbacks == []
    assert repr(widget) == "<Chat: closed>"


def test_an_error_in_one_line() -> None:
    assert said(WatonError("the sentence")) == "the sentence"
    assert said(KeyError("k")) == "KeyError: 'k'"
    assert said(ValueError()) == "ValueError"


def test_messages_go_where_the_front_end_sent_them() -> None:
    class Comm:
        def _reply_subshell_for(self, data: object, default: str) -> str:
            return "elsewhere"

    comm = Comm()
    answer_where_asked(comm)
    assert comm._reply_subshell_for({}, "here") == "here"
    answer_where_asked(object())  # a comm without the detour


def test_a_notebook_run_without_a_browser(tmp_path: Path) -> None:
    cells = [
        "from tests.browser.live_source import *\nfrom waton.widgets import *\npairing = Pairing(); pairing.show_qr()",
        "PairingWidget(pairing)",
        "recording = Recording(); recording.cross(10); FramesWidget(recording)",
        "recording.cross(10); pairing.pair(); ChatWidget(Talk())",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    client = nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(ROOT)}})
    client.execute()
    shown = [output["data"]["text/plain"] for cell in notebook.cells for output in cell.outputs]
    assert shown == [
        "<Pairing: waiting for a phone to scan; the QR is shown in a notebook>",
        "<Frames: 20 traces recorded; the table is live in a notebook>",
        "<Chat: 0 messages; the pane is live in a notebook>",
    ]
    saved = nbformat.writes(notebook)
    assert "Qr5ecretRef" not in saved
    assert "491510000" not in saved


def test_nothing_is_left_running_when_python_ends() -> None:
    code = "from tests.unit.widgets.test_base import MAKERS\nfor make in MAKERS.values(): print(make())"
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("<Pairing: connecting>")
