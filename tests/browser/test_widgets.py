"""The widgets in JupyterLab, each with a source of the test's own (live_source)."""

import json
import re
import struct

import pytest
from playwright.sync_api import WebSocket

from tests.browser.conftest import Jupyter, LabPage

pytestmark = pytest.mark.browser

SETUP = """
from tests.browser.live_source import *
from waton.widgets import *
"""
PAIRING, FRAMES, CHAT = (f".waton-{name}" for name in ("pairing", "frames", "chat"))
READY = "[data-ready='true']"


def show(jupyter: Jupyter, name: str, *cells: str, theme: str = "light") -> LabPage:
    """Open a notebook with these cells after the set-up, run it, and scroll to its second cell."""
    page = jupyter.open(jupyter.write(f"{name}.ipynb", [SETUP, *cells]), theme=theme)
    page.run_all()
    page.show_cell(1)
    return page


# --- pairing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pairing_tells_the_story(jupyter: Jupyter, theme: str) -> None:
    page = show(
        jupyter, f"pairing-{theme}", "pairing = Pairing(); widget = PairingWidget(pairing); widget", theme=theme
    )
    page.wait_data(PAIRING, "status", "connecting")
    page.execute("pairing.show_qr()")
    page.wait_data(PAIRING, "status", "qr")
    assert page.text(".waton-number") == "Code 1 of 6"
    assert re.fullmatch(r"(60|5\d) s left", page.text(".waton-seconds"))
    page.screenshot(f"pairing-{theme}", PAIRING)
    first = page.wait_for(".waton-qr path").get_attribute("d")

    page.execute("pairing.show_qr(left=4, seconds=20)")
    page.wait_until("document.querySelector('.waton-number').textContent === 'Code 2 of 6'")
    assert page.wait_for(".waton-qr path").get_attribute("d") != first

    page.click(".waton-scan")
    page.wait_until("document.querySelector('.waton-scan').disabled")
    assert page.text(".waton-state") == "The lab’s phone is scanning…"
    page.execute("assert pairing.scan.is_set(); pairing.scanned.set_result(None); pairing.pair()")
    page.wait_data(PAIRING, "status", "paired")
    assert page.page.locator(".waton-qr").count() == 0
    page.execute("pairing.step('open', me=ME, lid=MY_LID)")
    page.wait_data(PAIRING, "status", "open")
    assert page.text(".waton-state") == "Open as 491510000099@s.whatsapp.net"
    assert "77000000000099@lid" in page.text(".waton-who")
    page.screenshot(f"paired-{theme}", PAIRING)
    assert page.console_errors == []


def test_a_saved_notebook_holds_no_qr_and_no_address(jupyter: Jupyter) -> None:
    page = show(jupyter, "saved", "pairing = Pairing(); pairing.show_qr(); widget = PairingWidget(pairing); widget")
    path = page.wait_for(".waton-qr path").get_attribute("d") or ""
    while_shown = page.saved()
    page.execute("pairing.pair()")
    page.wait_data(PAIRING, "status", "paired")
    after = page.saved()
    assert "widget-view+json" in while_shown
    for saved in (while_shown, after):
        assert "Qr5ecretRef" not in saved
        assert path[:40] not in saved
        assert "491510000099" not in saved
    state = page.execute("import json, ipywidgets; print(json.dumps(ipywidgets.Widget.get_manager_state()))")
    assert "Qr5ecretRef" not in state
    assert path[:40] not in state


def test_what_goes_wrong_is_said(jupyter: Jupyter) -> None:
    page = show(jupyter, "wrong", "pairing = Pairing(); pairing.show_qr(); widget = PairingWidget(pairing); widget")
    page.click(".waton-scan")
    page.wait_until("document.querySelector('.waton-scan').disabled")
    page.execute("pairing.scanned.set_exception(LabError('the phone has no network'))")
    assert page.text(f"{PAIRING} .waton-error") == "lab: the phone has no network"
    assert not page.wait_for(".waton-scan").is_disabled()
    page.execute("pairing.step('reconnecting', error=LabError('the line is dead'), retry_at=time.time() + 30)")
    page.wait_data(PAIRING, "status", "reconnecting")
    assert re.fullmatch(r"Reconnecting in (30|2\d) s: lab: the line is dead", page.text(".waton-state"))
    page.execute("pairing.step('closed', error=LabError('logged out'))")
    page.wait_data(PAIRING, "status", "closed")
    assert page.text(".waton-state") == "Closed: lab: logged out"


def test_the_button_works_while_a_cell_waits_for_it(jupyter: Jupyter) -> None:
    cells = [
        "pairing = Pairing(); pairing.show_qr(); widget = PairingWidget(pairing); widget",
        "print('pressed' if pairing.scan.wait(60) else 'never')",
    ]
    page = jupyter.open(jupyter.write("busy.ipynb", [SETUP, *cells]))
    page.run_all(wait=False)
    page.click(".waton-scan")
    page.wait_until("document.querySelectorAll('.jp-CodeCell')[2].innerText.includes('pressed')")


def test_a_view_asks_until_it_is_answered(jupyter: Jupyter) -> None:
    deaf = """
class HardOfHearing(PairingWidget):
    heard = 0
    def receive(self, message):
        self.heard += 1
        if self.heard > 2:
            super().receive(message)
widget = HardOfHearing(Pairing()); widget"""
    page = show(jupyter, "deaf", deaf)
    page.wait_data(PAIRING, "status", "connecting")


# --- frames ----------------------------------------------------------------------------------------------------------

RECORDING = "recording = Recording(); recording.cross({count}); widget = FramesWidget(recording); widget"


def is_widgets(payload: str | bytes) -> bool:
    """True for a message from a widget: the header, the second part of Jupyter's frame, says comm_msg."""
    if isinstance(payload, str) or len(payload) < 24:
        return False
    _, header, parent = struct.unpack_from("<3Q", payload, 8)
    return json.loads(payload[header:parent])["msg_type"] == "comm_msg"


def names(page: LabPage) -> set[str]:
    """The tags of the rows that are drawn."""
    return set(page.page.locator(".waton-spacer .waton-row:not([hidden]) .waton-c2").all_inner_texts())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_frames_show_rows_and_their_xml(jupyter: Jupyter, theme: str) -> None:
    page = show(jupyter, f"frames-{theme}", RECORDING.format(count=200), theme=theme)
    page.wait_data(FRAMES, "rows", 200)
    assert page.data(FRAMES, "recorded") == "400"
    page.click(".waton-row[data-tag='message']")
    assert '<enc v="2" type="msg">' in page.text(".waton-detail[data-seq] .waton-detail-text")
    assert "Ada &lt;Lovelace&gt;" in page.text(".waton-detail-text")
    page.execute("recording.cross(30)")
    page.wait_data(FRAMES, "total", 230)
    assert page.text(".waton-jump") == "↓ 30 new"
    page.screenshot(f"frames-{theme}", FRAMES)
    page.click(".waton-jump")
    page.wait_data(FRAMES, "rows", 230)
    assert page.data(FRAMES, "mode") == "following"
    assert page.console_errors == []


def test_the_filter_and_its_errors(jupyter: Jupyter) -> None:
    page = show(jupyter, "filter", RECORDING.format(count=400))
    page.wait_data(FRAMES, "rows", 400)
    box = page.wait_for(".waton-filter")
    box.fill("tag:iq xmlns:encrypt -ping way:out")
    page.wait_data(FRAMES, "rows", 50)
    assert names(page) == {"iq"}
    box.fill("tga:iq")
    assert "there is no key 'tga'" in page.text(f"{FRAMES} .waton-problem")
    assert page.data(FRAMES, "rows") == "50"
    page.screenshot("frames-filter-error", FRAMES)
    box.fill("tag:message")
    page.wait_data(FRAMES, "matched", 50)
    page.wait_until("document.querySelector('.waton-frames .waton-problem').hidden")
    page.execute("recording.cross(80)")
    page.wait_data(FRAMES, "rows", 60)
    assert names(page) == {"message"}


def test_the_keyboard(jupyter: Jupyter) -> None:
    page = show(jupyter, "keys", RECORDING.format(count=100), "1 + 1")
    page.wait_data(FRAMES, "rows", 100)
    page.click(".waton-row[data-seq='192']")
    cell = "() => [...window.jupyterapp.shell.widgets('main')].find((w) => w.sessionContext).content.activeCellIndex"
    before = page.page.evaluate(cell)
    page.page.keyboard.press("j")
    page.wait_data(FRAMES, "selected", 194)
    page.wait_data(".waton-detail", "seq", 194)
    page.page.keyboard.press("ArrowUp")
    page.page.keyboard.press("k")
    page.wait_data(FRAMES, "selected", 190)
    page.page.keyboard.press("g")
    page.wait_data(FRAMES, "selected", 2)
    page.page.keyboard.press("Escape")
    page.wait_until("document.querySelector('.waton-detail').hidden")
    assert page.page.evaluate(cell) == before
    page.page.keyboard.press("/")
    page.page.keyboard.type("dd j")  # in command mode "dd" would delete the cell
    assert page.wait_for(".waton-filter").input_value() == "dd j"
    assert page.page.locator(".jp-Cell").count() == 3
    page.page.keyboard.press("Escape")
    page.page.keyboard.press("f")
    page.wait_data(FRAMES, "mode", "following")
    page.page.keyboard.press(" ")
    page.wait_data(FRAMES, "mode", "paused")


UNDER_WAY = """
view = next(iter(widget._views.values()))
before = {"turn": view.turn - 1, "following": True, "counters": view.counters}
late = [9999, 0, "in", "late", "", "", "", "", 1]
widget.post(lambda: widget.push({"type": "rows", "view": view.name, "rows": [late], **before}))
"""
"""Rows that were sent just before the view was held."""


def test_scrolling_up_holds_the_view_still(jupyter: Jupyter) -> None:
    page = show(jupyter, "scroll", RECORDING.format(count=3000))
    page.wait_data(FRAMES, "rows", 1000)
    page.wait_for(".waton-scroller").hover()
    page.page.mouse.wheel(0, -2000)
    page.wait_data(FRAMES, "mode", "held")
    top = "document.querySelector('.waton-scroller').scrollTop"
    place = page.page.evaluate(top)
    page.execute(UNDER_WAY)
    page.execute("recording.cross(500)")
    page.wait_data(FRAMES, "total", 3500)
    assert page.page.evaluate(top) == place
    assert page.data(FRAMES, "rows") == "1000"
    assert page.text(".waton-jump") == "↓ 500 new"

    page.page.mouse.wheel(0, -100_000)
    page.wait_data(FRAMES, "rows", 2000)
    page.page.mouse.wheel(0, -100_000)
    page.wait_data(FRAMES, "rows", 3000)
    page.page.mouse.wheel(0, -100_000)
    page.wait_for(".waton-row[data-seq='2']")
    page.page.mouse.wheel(0, 1_000_000)
    page.wait_data(FRAMES, "mode", "following")
    page.wait_for(".waton-row[data-seq='7000']")


def test_a_flood_is_counted_whole_and_sent_in_few_messages(jupyter: Jupyter) -> None:
    """6,000 stanzas a second (12,000 traces) for three seconds, each told by itself."""
    page = jupyter.open(jupyter.write("flood.ipynb", [SETUP, RECORDING.format(count=0)]))
    pushes: list[int] = []

    def opened(line: WebSocket) -> None:
        line.on("framereceived", lambda payload: pushes.append(len(payload)) if is_widgets(payload) else None)

    page.page.on("websocket", opened)
    page.load()
    page.run_all()
    page.show_cell(1)
    page.wait_data(FRAMES, "ready", "true")
    pushes.clear()
    took = float(page.execute("print(recording.flood(3, 6000))"))
    page.wait_data(FRAMES, "total", 18_000)
    page.wait_data(FRAMES, "recorded", 36_000)
    page.wait_for(".waton-row[data-seq='36000']")
    print(f"{len(pushes)} messages in {took:.2f} s, the largest {max(pushes)} bytes")
    assert 0 < len(pushes) <= 20 * (took + 1)
    assert max(pushes) < 256 * 1024
    assert int(page.data(FRAMES, "rows")) <= 5000
    page.screenshot("frames-flood", FRAMES)
    page.wait_data(FRAMES, "rate", 0)
    assert page.execute("print(len(widget._rows), widget._total)").split() == ["18000", "18000"]


def test_a_flood_does_not_move_what_is_read(jupyter: Jupyter) -> None:
    page = show(jupyter, "still", RECORDING.format(count=1000))
    page.wait_data(FRAMES, "rows", 1000)
    page.wait_for(".waton-scroller").hover()
    page.execute("flooding = threading.Thread(target=recording.flood, args=(3, 2000)); flooding.start()")
    page.wait_until("Number(document.querySelector('.waton-frames').dataset.total) > 2000")
    page.page.mouse.wheel(0, -1500)
    page.wait_data(FRAMES, "mode", "held")
    seen = page.page.locator(".waton-spacer .waton-row:not([hidden])").evaluate_all(
        "rows => rows.map(row => row.dataset.seq)"
    )
    page.execute("flooding.join()")
    page.wait_data(FRAMES, "total", 7000)
    now = page.page.locator(".waton-spacer .waton-row:not([hidden])").evaluate_all(
        "rows => rows.map(row => row.dataset.seq)"
    )
    assert page.data(FRAMES, "mode") == "held"
    assert set(now) == set(seen)


def test_two_views_of_one_widget(jupyter: Jupyter) -> None:
    page = show(jupyter, "two", RECORDING.format(count=80), "widget")
    page.wait_until("document.querySelectorAll('.waton-frames[data-rows=\"80\"]').length === 2")
    page.page.locator(".waton-filter").first.fill("tag:iq")
    page.wait_data(FRAMES, "rows", 30)
    assert page.page.locator(FRAMES).nth(1).get_attribute("data-rows") == "80"


# --- chat ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_chat(jupyter: Jupyter, theme: str) -> None:
    cell = "talk = Talk(); talk.upsert('A1', 'Are you there?'); widget = ChatWidget(talk, to='491510000001'); widget"
    page = show(jupyter, f"chat-{theme}", cell, theme=theme)
    page.wait_data(CHAT, "count", 1)
    page.page.locator(".waton-text").fill("Yes, writing from a notebook")
    page.page.keyboard.press("Enter")
    page.wait_data(".waton-own", "status", "pending")
    page.execute("talk.upsert('M1', 'Yes, writing from a notebook', from_me=True); talk.sent[0][2].set_result('M1')")
    page.execute("assert talk.sent[0][:2] == ('491510000001', 'Yes, writing from a notebook')")
    for status, label in (("SERVER_ACK", "sent"), ("DELIVERED", "delivered"), ("READ", "read")):
        page.execute(f"talk.receipt('M1', '{status}')")
        page.wait_data(".waton-own", "status", status.lower())
        assert page.wait_for(".waton-own .waton-tick").get_attribute("aria-label") == label
    page.execute("talk.receipt('M1', 'DELIVERED')")  # late, from another device
    page.execute("talk.upsert('A2', 'That is ' + 'very ' * 40 + 'long')")
    page.wait_data(CHAT, "count", 3)
    assert page.data(".waton-own", "status") == "read"
    page.screenshot(f"chat-{theme}", CHAT)

    page.page.locator(".waton-to").fill("nobody")
    page.page.locator(".waton-text").fill("Hello?")
    page.click(".waton-send")
    assert page.text(".waton-own[data-status='error'] .waton-problem") == (
        "Not sent: ValueError: that is neither a number nor an address"
    )
    assert page.console_errors == []


def test_shift_enter_in_the_box_is_a_new_line(jupyter: Jupyter) -> None:
    page = show(jupyter, "newline", "talk = Talk(); widget = ChatWidget(talk, to='491510000001'); widget")
    page.wait_data(CHAT, "count", 0)
    page.click(".waton-text")
    page.page.keyboard.type("one")
    page.page.keyboard.press("Shift+Enter")
    page.page.keyboard.type("two")
    assert page.wait_for(".waton-text").input_value() == "one\ntwo"
    assert page.execute("print(len(talk.subscribers.callbacks))") == "1\n"  # the cell did not run again


# --- lives -----------------------------------------------------------------------------------------------------------


def test_a_reloaded_page_shows_everything_again(jupyter: Jupyter) -> None:
    page = show(
        jupyter,
        "reload",
        "pairing = Pairing(); pairing.show_qr(); widget = PairingWidget(pairing); widget",
        RECORDING.format(count=100),
        "talk = Talk(); talk.upsert('A1', 'Are you there?'); chat = ChatWidget(talk); chat",
    )
    page.save()
    page.execute("pairing.pair(); recording.cross(20); talk.upsert('A2', 'Hello?')")
    page.load()
    page.show_cell(1)
    page.wait_data(PAIRING, "status", "paired")
    page.show_cell(2)
    page.wait_data(FRAMES, "rows", 120)
    page.show_cell(3)
    page.wait_data(CHAT, "count", 2)
    page.execute("recording.cross(5)")
    page.show_cell(2)
    page.wait_data(FRAMES, "total", 125)


def test_a_cell_that_runs_again_closes_what_it_made_before(jupyter: Jupyter) -> None:
    page = show(
        jupyter, "again", "recording = Recording(); talk = Talk()", "FramesWidget(recording)", "ChatWidget(talk)"
    )
    page.show_cell(3)
    page.wait_data(CHAT, "ready", "true")
    for cell in (2, 3):
        page.show_cell(cell)
        page.command("notebook:run-cell")
    page.wait_data(CHAT, "ready", "true")
    page.wait_data(FRAMES, "ready", "true")
    assert page.execute("print(len(recording.subscribers.callbacks), len(talk.subscribers.callbacks))") == "1 1\n"
    assert page.page.locator(FRAMES).count() == 1
