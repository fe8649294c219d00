"""Tables: rows of values as a DataFrame with the same columns and dtypes, whatever the rows, none of them included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import pandas as pd

TIME: Final = "datetime64[us, UTC]"
TEXT: Final = "str"
WHOLE: Final = "Int64"
NUMBER: Final = "Float64"
OBJECT: Final = "object"


def table(columns: Mapping[str, str], rows: Iterable[Sequence[object]]) -> pd.DataFrame:
    """A DataFrame of these columns.

    Args:
        columns: name to dtype, one of the above. Times are given as Unix seconds, rounded to microseconds.
        rows: values in the order of the columns; None is missing.
    """
    values = list(rows)
    made = {name: _column([row[place] for row in values], dtype) for place, (name, dtype) in enumerate(columns.items())}
    return pd.DataFrame(made, columns=list(columns))


def _column(values: Sequence[object], dtype: str) -> pd.Series:
    if dtype == TIME:
        micros = [None if value is None else round(float(str(value)) * 1_000_000) for value in values]
        whole = pd.Series(micros, dtype="Int64")
        return pd.to_datetime(whole, unit="us", utc=True).astype(TIME)
    return pd.Series(list(values), dtype=dtype)
