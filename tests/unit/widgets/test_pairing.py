"""The pairing widget's side in Python: what a view is told in each state."""

import pytest

from tests.browser.live_source import ME, MY_LID, Pairing
from tests.unit.widgets.conftest import Show
from waton.errors import LabError
from waton.widgets import PairingWidget


def test_the_states(show: Show) -> None:
    pairing = Pairing()
    _, front = show(lambda: PairingWidget(pairing))
    assert front.ask("hello", "state")["status"] == "connecting"
    pairing.show_qr(left=5, seconds=60)
    state = front.next("state")
    assert (state["qr"]["number"], state["qr"]["of"], state["qr"]["lasts"]) == (1, 6, 60)
    assert 50 < state["qr"]["expires_in"] <= 60
    pairing.show_qr(left=4, seconds=20)
    state = front.next("state")
    assert (state["qr"]["number"], state["qr"]["of"], state["qr"]["lasts"]) == (2, 6, 20)
    pairing.step("open", me=ME, lid=MY_LID)
    state = front.next("state")
    assert (state["qr"], state["me"], state["lid"]) == (None, "491510000099@s.whatsapp.net", "77000000000099@lid")
    pairing.step("closed", error=LabError("logged out"))
    assert front.next("state")["reason"] == "lab: logged out"


def test_the_button(show: Show) -> None:
    pairing = Pairing()
    _, front = show(lambda: PairingWidget(pairing))
    pairing.show_qr()
    front.next("state")
    assert front.ask("scan", "state")["scanning"] is True
    assert pairing.scan.is_set()
    assert pairing.scanned is not None
    pairing.scanned.set_exception(LabError("no network"))
    assert front.next("state")["scanning"] is False
    assert front.next("error")["text"] == "lab: no network"


def test_no_phone_no_button(show: Show) -> None:
    pairing = Pairing(can_scan=False)
    _, front = show(lambda: PairingWidget(pairing))
    assert front.ask("hello", "state")["can_scan"] is False
    assert front.ask("scan", "error")["text"] == "lab: there is no phone"


@pytest.mark.parametrize("status", ["idle", "connecting", "qr", "paired", "open", "reconnecting", "closed"])
def test_text_for_a_place_without_a_browser(show: Show, status: str) -> None:
    pairing = Pairing()
    widget, _ = show(lambda: PairingWidget(pairing))
    pairing.step(status, me=ME, qr="2@secret")
    assert repr(widget).startswith("<Pairing: ")
    assert "secret" not in repr(widget)
    assert "4915" not in repr(widget)
