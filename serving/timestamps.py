"""Many timestamps at once: texts as BigQuery writes them, by arithmetic on their digits.

NumPy's own parser takes one text at a time, which takes three times as long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_END = b"\n"  # of each text
_FIELDS = ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19), (20, 26))  # from the year to the microsecond
_LARGEST = np.array([9999, 12, 31, 23, 59, 59, 999_999.0])
_SECOND, _MINUTE, _HOUR = 1_000_000, 60_000_000, 3_600_000_000  # microseconds


@dataclass(frozen=True)
class _Form:
    """Texts of one length: which characters are digits, what the others are, and what a digit counts in each field."""

    is_digit: Array
    marks: Array
    weights: Array

    @classmethod
    def of(cls, pattern: str) -> "_Form":
        characters = np.frombuffer(pattern.encode(), np.uint8)
        is_digit = characters == ord("d")
        weights = np.zeros((len(_FIELDS), len(pattern)))
        for field, (first, end) in enumerate(_FIELDS):
            for at in range(first, min(end, len(pattern))):
                weights[field, at] = 10 ** (end - 1 - at)
        return cls(is_digit, characters[~is_digit], weights[:, is_digit])


_FORMS = {
    len(pattern): _Form.of(pattern)
    for pattern in ("dddd-dd-ddTdd:dd:ddZ", "dddd-dd-ddTdd:dd:dd.dddZ", "dddd-dd-ddTdd:dd:dd.ddddddZ")
}


def parse(texts: Sequence[str]) -> Array | None:
    """Return texts like 2017-03-06T12:34:56.789012Z as datetime64[us]; None if one of them isn't written so."""
    text = "\n".join([*texts, ""]).encode("utf-8", "replace")
    characters = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(characters == _END[0])
    if len(ends) != len(texts):
        return None
    lengths = np.diff(ends, prepend=-1) - 1
    moments = np.empty(len(texts), "datetime64[us]")
    for length in np.flatnonzero(np.bincount(lengths)).tolist():
        if length not in _FORMS:
            return None
        alike = np.flatnonzero(lengths == length)
        windows = np.ndarray((len(characters) - length + 1,), f"S{length}", characters, strides=(1,))
        found = _parse_alike(windows[ends[alike] - length], _FORMS[length])
        if found is None:
            return None
        moments[alike] = found
    return moments


def _parse_alike(texts: Array, form: _Form) -> Array | None:
    """Return texts of one length as datetime64[us]."""
    characters = texts.view(np.uint8).reshape(len(texts), -1)
    digits = characters[:, form.is_digit] - np.uint8(ord("0"))
    if (digits > 9).any() or (characters[:, ~form.is_digit] != form.marks).any():
        return None
    fields = form.weights @ digits.T.astype(np.float64)
    if (fields.max(axis=1) > _LARGEST).any() or fields[1:3].min() < 1:  # no month or day is 0
        return None
    year, month, day, hour, minute, second, fraction = fields.astype(np.int64)
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    if (days.astype("datetime64[M]") != months).any():  # such as February 30
        return None
    moments: Array = days.astype("datetime64[us]") + (hour * _HOUR + minute * _MINUTE + second * _SECOND + fraction)
    return moments
