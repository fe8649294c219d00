"""The quick way says what json says."""

import json
from enum import StrEnum

from hypothesis import given
from hypothesis import strategies as st

from waton.utils.flat_json import flat_json


class Word(StrEnum):
    QUOTED = 'a "quote"'


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.floats() | st.booleans() | st.just(Word.QUOTED)))
def test_it_says_what_json_says(values: dict[str, str | int | float]) -> None:
    assert flat_json(values) == json.dumps(values)
