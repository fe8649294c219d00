"""The delivery notebook as somebody runs it: choose faults, send, watch, count; and its timeline as a widget."""

import pytest
from playwright.sync_api import FloatRect

from tests.browser.conftest import ROOT, Jupyter, LabPage
from tests.browser.test_live_session import cell_of

pytestmark = pytest.mark.browser

NOTEBOOK = ROOT / "notebooks" / "delivery_lab.ipynb"
TIMELINE = ".waton-timeline"
READY = f"{TIMELINE}[data-ready='true']"
PLOT = f"{TIMELINE} .waton-plot"
CANVAS = f"{TIMELINE} .waton-canvas"
OVERFLOW = "(selector) => { const e = document.querySelector(selector); return e.scrollWidth - e.clientWidth; }"
SETUP = "from tests.unit.widgets.test_timeline import *"
FINISHED = """() => {
    const panel = [...window.jupyterapp.shell.widgets('main')].find((widget) => widget.sessionContext);
    const cells = panel.content.model.sharedModel.cells;
    return cells[cells.length - 1].outputs.length > 0;
}"""
"""The last cell has shown its summary."""
INK = """(canvas) => {
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const seen = new Set();
    for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 200) seen.add(data.slice(at, at + 3).join());
    return seen.size;
}"""
"""How many colours are on a canvas."""


def show(jupyter: Jupyter, name: str, cell: str = "widget = TimelineWidget(TIMELINE); widget", **how: str) -> LabPage:
    """Open a notebook with this cell, run it, and have it in sight with its widget drawn."""
    page = jupyter.open(jupyter.write(f"{name}.ipynb", [SETUP, cell]), **how)
    page.run_all()
    page.show_cell(1)
    page.wait_for(READY)
    page.wait_until("document.querySelector('.waton-timeline').dataset.zoom !== undefined")
    return page


def number(page: LabPage, name: str) -> float:
    return float(page.data(TIMELINE, name))


def canvas(page: LabPage) -> FloatRect:
    box = page.wait_for(CANVAS).bounding_box()
    assert box is not None
    return box


def place(page: LabPage, seconds: float, y: float) -> tuple[float, float]:
    """Where on the page a moment of the test's timeline is, y pixels below the canvas's top."""
    box, start = canvas(page), 1_750_000_000.0
    share = (start + seconds - number(page, "from")) / (number(page, "to") - number(page, "from"))
    return box["x"] + share * box["width"], box["y"] + y


def wait_zoom(page: LabPage, condition: str) -> None:
    page.wait_until(f"((zoom) => {condition})(Number(document.querySelector('{TIMELINE}').dataset.zoom))")


# --- the notebook ----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(240)
def test_choose_faults_send_watch_and_count(jupyter: Jupyter) -> None:
    page = jupyter.open(jupyter.copy(NOTEBOOK))
    sending = cell_of(page, "async def send(chat")
    page.show_cell(sending)
    page.command("notebook:run-all-above")
    page.show_cell(cell_of(page, "choice = Dropdown"))
    page.wait_for(".widget-dropdown select").select_option("hostile")
    page.wait_until("document.querySelector('.widget-dropdown select').value === 'hostile'")
    page.show_cell(cell_of(page, "session.timeline_widget"))
    page.wait_for(READY)

    # Messages appear while they are being sent.
    page.show_cell(sending)
    page.start("notebook:run-all-below")
    page.show_cell(cell_of(page, "session.timeline_widget"))
    page.wait_until(f"Number(document.querySelector('{TIMELINE}').dataset.spans) > 30")
    page.screenshot("delivery-under-way")
    page.page.wait_for_function(FINISHED, timeout=120_000)
    assert page.execute("print(choice.value, is_settled(), len(TEXTS))").split() == ["hostile", "True", "30"]
    assert int(page.execute("print(len(lab.faults.table()))")) > 20

    # All that was done to them, in its lane and on the messages it was done to.
    page.wait_until(f"Number(document.querySelector('{TIMELINE}').dataset.points) > 60")
    legend = page.page.locator(f"{TIMELINE} .waton-chip").all_inner_texts()
    assert {"open", "connecting", "sent, until the ack", "once more", "fault: line broken"} <= set(legend)
    assert {"Ada", "Bo", "the group"} <= set(page.page.locator(f"{TIMELINE} .waton-label").all_inner_texts())
    page.screenshot("delivery-light", TIMELINE)
    page.set_theme("dark")
    page.wait_data(TIMELINE, "theme", "dark")
    page.screenshot("delivery-dark", TIMELINE)
    assert page.console_errors == []

    # The picture stays; neither an address nor a phone number is in what the views say.
    page.show_cell(cell_of(page, "widget.freeze()"))
    page.wait_for(".jp-RenderedSVG img")
    page.screenshot("delivery-picture")
    saved = page.saved()
    assert "image/svg+xml" in saved
    svg = page.execute("print(widget.freeze().svg)")
    numbers = page.execute("print(*(phone.pn.user for phone in lab.phones), *(phone.lid.user for phone in lab.phones))")
    assert not [number for number in numbers.split() if number in svg]


# --- the widget ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_timeline_is_drawn(jupyter: Jupyter, theme: str) -> None:
    page = show(jupyter, f"timeline-{theme}", theme=theme)
    assert (number(page, "spans"), number(page, "points"), number(page, "lanes")) == (7, 44, 3)
    assert number(page, "drawn") == 51
    assert page.page.locator(f"{TIMELINE} .waton-label").all_inner_texts() == ["connection", "Ada", "Bo & <Co>"]
    assert page.wait_for(CANVAS).evaluate(INK) > 8
    page.screenshot(f"timeline-{theme}", TIMELINE)
    page.page.set_viewport_size({"width": 720, "height": 900})
    page.wait_until(f"document.querySelector('{CANVAS}').clientWidth < 560")
    page.screenshot(f"timeline-narrow-{theme}", TIMELINE)
    assert page.page.evaluate(OVERFLOW, TIMELINE) <= 0
    assert page.console_errors == []


def test_dragging_over_a_stretch_zooms_into_it(jupyter: Jupyter) -> None:
    page = show(jupyter, "timeline-drag")
    assert number(page, "zoom") == 1
    page.page.mouse.move(*place(page, 1, 40))
    page.page.mouse.down()
    page.page.mouse.move(*place(page, 2, 60))
    page.page.mouse.move(*place(page, 3, 60))
    page.page.mouse.up()
    wait_zoom(page, "zoom > 4")
    assert number(page, "from") == pytest.approx(1_750_000_001, abs=0.02)
    assert number(page, "to") == pytest.approx(1_750_000_003, abs=0.02)
    # what lies outside is not drawn: two bars of Ada's, her line's beginning, and the connection
    assert number(page, "drawn") == 5
    page.click(f"{TIMELINE} .waton-whole")
    wait_zoom(page, "zoom === 1")


def test_the_wheel_zooms_where_the_pointer_is_once_the_view_is_meant(jupyter: Jupyter) -> None:
    page = show(jupyter, "timeline-wheel")
    page.page.mouse.move(*place(page, 5, 40))
    page.page.evaluate("document.activeElement.blur()")
    page.page.mouse.wheel(0, -240)
    page.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert number(page, "zoom") == 1  # the page is scrolled, not the time
    page.show_cell(1)
    page.page.mouse.click(*place(page, 1, 82))
    page.page.mouse.move(*place(page, 5, 40))
    page.page.mouse.wheel(0, -240)
    wait_zoom(page, "zoom > 2")
    middle = (number(page, "from") + number(page, "to")) / 2
    assert middle == pytest.approx(1_750_000_005, abs=0.1)
    page.page.mouse.wheel(0, 2400)
    page.page.mouse.wheel(0, 2400)
    wait_zoom(page, "zoom === 1")


def test_the_keyboard(jupyter: Jupyter) -> None:
    page = show(jupyter, "timeline-keys")
    page.wait_for(PLOT).focus()
    page.page.keyboard.press("+")
    page.page.keyboard.press("+")
    wait_zoom(page, "zoom === 4")
    before = number(page, "from")
    page.page.keyboard.press("ArrowLeft")
    page.wait_until(f"Number(document.querySelector('{TIMELINE}').dataset.from) < {before}")
    page.page.keyboard.press("End")
    page.wait_until(f"Number(document.querySelector('{TIMELINE}').dataset.to) > 1750000010")
    page.page.keyboard.press("0")
    wait_zoom(page, "zoom === 1")
    page.page.keyboard.press("n")
    page.page.keyboard.press("n")
    page.wait_data(TIMELINE, "told", "sent")
    assert "text sent: delivered" in page.text(f"{TIMELINE} .waton-card")
    page.page.keyboard.press("p")
    page.wait_data(TIMELINE, "told", "open")
    page.page.keyboard.press("Escape")
    page.wait_until(f"document.querySelector('{TIMELINE} .waton-card').hidden")
    assert page.page.locator(".jp-Cell").count() == 2  # no key got through to the notebook


def test_pointing_at_a_mark_tells_about_it(jupyter: Jupyter) -> None:
    page = show(jupyter, "timeline-card")
    page.page.mouse.move(*place(page, 5, 40))
    page.page.mouse.move(*place(page, 2, 35))
    page.wait_data(TIMELINE, "told", "again")  # a point lies on a bar: the point is meant
    card = page.text(f"{TIMELINE} .waton-card")
    assert "written again" in card
    assert "M1" in card
    assert "Ada" in card
    page.page.mouse.move(*place(page, 4, 47))
    page.wait_data(TIMELINE, "told", "sent")
    assert "still under way" in page.text(f"{TIMELINE} .waton-card")
    page.screenshot("timeline-card", TIMELINE)
    page.page.mouse.click(*place(page, 4, 47))
    page.page.mouse.move(*place(page, 9, 60))
    assert "still under way" in page.text(f"{TIMELINE} .waton-card")  # pinned
    page.page.mouse.click(*place(page, 9, 60))
    page.wait_until(f"document.querySelector('{TIMELINE} .waton-card').hidden")


def test_the_legend_hides_a_kind(jupyter: Jupyter) -> None:
    page = show(jupyter, "timeline-legend")
    chip = page.wait_for(f"{TIMELINE} .waton-chip[data-kind='late']")
    chip.click()
    page.wait_data(TIMELINE, "drawn", 11)
    assert chip.get_attribute("aria-pressed") == "false"
    chip.click()
    page.wait_data(TIMELINE, "drawn", 51)


def test_it_follows_and_a_zoomed_view_stays(jupyter: Jupyter) -> None:
    cell = "source = Source(); widget = TimelineWidget(source.read, source.on_change); widget"
    page = show(jupyter, "timeline-live", cell)
    end = number(page, "to")
    page.execute("source.grow(10)")
    page.wait_until(f"Number(document.querySelector('{TIMELINE}').dataset.to) > {end + 9}")
    page.page.mouse.move(*place(page, 1, 40))
    page.page.mouse.down()
    page.page.mouse.move(*place(page, 3, 60))
    page.page.mouse.up()
    wait_zoom(page, "zoom > 4")
    start = number(page, "from")
    zoom = number(page, "zoom")
    page.execute("source.grow(10)")
    wait_zoom(page, f"zoom > {zoom + 1}")  # the whole is longer, what is seen is the same
    assert number(page, "from") == start


def test_a_timeline_of_nothing_says_so(jupyter: Jupyter) -> None:
    page = jupyter.open(jupyter.write("timeline-empty.ipynb", [SETUP, "TimelineWidget(Timeline(0.0, 0.0))"]))
    page.run_all()
    page.show_cell(1)
    assert page.text(f"{READY} .waton-nothing") == "Nothing was recorded in this time"
    assert page.console_errors == []
