"""The live notebook as a new user meets it: run all cells, press the button, talk, look at the frames."""

import pytest

from tests.browser.conftest import KERNEL, ROOT, Jupyter, LabPage

pytestmark = pytest.mark.browser

PAIRING, FRAMES, CHAT = (f".waton-{name}" for name in ("pairing", "frames", "chat"))
NOTEBOOK = ROOT / "notebooks" / "live_session.ipynb"


def cell_of(page: LabPage, source: str) -> int:
    """The number of the first cell whose source contains this."""
    return page.page.evaluate(
        """(source) => [...window.jupyterapp.shell.widgets('main')].find((widget) => widget.sessionContext)
            .content.model.sharedModel.cells.findIndex((cell) => cell.source.includes(source))""",
        source,
    )


def test_run_all_scan_talk_and_look(jupyter: Jupyter) -> None:
    page = jupyter.open(jupyter.copy(NOTEBOOK))
    page.run_all(wait=False)

    page.show_cell(cell_of(page, "session.pairing_widget()"))
    page.wait_data(PAIRING, "status", "qr")
    page.screenshot("live-qr")
    page.click(".waton-scan")
    page.wait_data(PAIRING, "status", "open")
    assert "Open as" in page.text(".waton-state")
    page.screenshot("live-open")

    page.show_cell(cell_of(page, "session.chat_widget"))
    page.wait_for(f"{CHAT}[data-ready='true']")
    page.wait_until("document.body.innerText.includes('You said: Hello from a notebook')")
    box = page.wait_for(f"{CHAT} .waton-text")
    box.fill("typed by hand")
    box.press("Enter")
    page.wait_until("document.querySelector('.waton-chat').innerText.includes('You said: typed by hand')")
    page.screenshot("live-chat")

    page.show_cell(cell_of(page, "session.frames_widget()"))
    page.wait_for(f"{FRAMES}[data-ready='true']")
    page.wait_until("document.querySelector('.waton-frames').innerText.includes('message')")
    page.screenshot("live-frames")
    assert page.console_errors == []

    # The QR held a secret; the saved notebook does not.
    assert "linked_devices" not in page.saved()
    assert int(page.execute("print(len(session.nodes()))")) > 40
    me = page.execute("print(session.me)")

    # The same account after the kernel, and with it the lab, was started anew: there is nothing to scan.
    page.page.evaluate(f"async () => {{ {KERNEL} await kernel.restart(); }}")
    page.wait_until(f"() => {{ {KERNEL} return kernel.status === 'idle'; }}")
    page.run_all()
    page.show_cell(cell_of(page, "session.pairing_widget()"))
    page.wait_data(PAIRING, "status", "open")
    assert page.execute("print(session.me)") == me
    assert page.execute("print(sorted(set(session.nodes()['run'])))").strip() == "[1, 2]"
