"""Scalars from the JSON text of `calls` to a matrix, without a Python object per number.

Creating those objects takes most of the time of a batch. `parse_table` accepts only what it recognizes with certainty:
for anything else (an array, an integer beyond 64 bits, different keys in some row) it returns
None, and decoding.py goes through the parsed values, with the same result. So it does for everything where simdjson
isn't installed, as on a Python for which it has no wheel.

simdjson puts nothing but numbers into an array, so json_text.py replaces everything else by numbers that stand for it.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serving.json_text import TEXT, WORDS, blank_keys, find_quotes, replace_texts, replace_words

try:
    import simdjson
except ImportError:
    simdjson = None  # type: ignore[assignment]

AVAILABLE = simdjson is not None
Array = np.ndarray[Any, Any]

_VALUES = {b"null": np.nan, b"true": 1.0, b"false": 0.0}
_parsers = threading.local()  # a parser allocates much memory, so each thread reuses its own


@dataclass(frozen=True)
class Table:
    """Rows of JSON scalars, one array per column.

    `columns` is float64 of shape (columns, rows): the numbers, 1 and 0 for true and false, NaN for everything else.
    `nulls` and `booleans` are masks of the same shape, None when there is no such value. `texts` maps a column with
    texts to an object array of them, with None elsewhere. `names` are the keys in their order when the rows came as
    objects, None for positional rows.
    """

    columns: Array
    nulls: Array | None = None
    booleans: Array | None = None
    texts: Mapping[int, Array] = field(default_factory=dict)
    names: tuple[str, ...] | None = None


def parse_table(text: bytes) -> Table | None:
    """Return the scalars in the JSON text of `calls`: an array of arrays, each of scalars or of one object of scalars.

    Return None when the text isn't JSON or holds anything else, such as rows of different length, and without simdjson.
    """
    if not AVAILABLE or not text.startswith(b"[[") or not text.endswith(b"]]"):
        return None
    try:
        return _parse(text)
    except (ValueError, TypeError, RuntimeError):  # what simdjson and this module raise for other texts
        return None


def _parse(text: bytes) -> Table:
    names: tuple[str, ...] | None = None
    texts: list[str] = []
    if b'"' in text:
        characters = np.frombuffer(bytearray(text), np.uint8)
        quotes = find_quotes(text, characters)
        if text.startswith(b"[[{"):
            names, quotes = blank_keys(text, characters, quotes)
            text = characters.tobytes()
        if len(quotes):
            text, texts = replace_texts(characters, quotes)
    text, counts = replace_words(text)
    columns = _columns(text)
    if names is not None and len(names) != len(columns):
        raise ValueError("an object lacks a value")
    masks = {word: columns == float(WORDS[word]) for word in counts}
    if any(np.count_nonzero(mask) != counts[word] for word, mask in masks.items()):
        raise ValueError("the data contains the number that stands for a word")
    by_column = _by_column(texts, columns) if texts else {}
    for word, mask in masks.items():
        columns[mask] = _VALUES[word]
    booleans = [masks[word] for word in (b"true", b"false") if word in masks]
    return Table(columns, masks.get(b"null"), np.logical_or.reduce(booleans) if booleans else None, by_column, names)


def _columns(text: bytes) -> Array:
    """Return the numbers in an array of arrays; raise ValueError unless these are rows of equal length."""
    rows = _parser().parse(text)
    flat = np.frombuffer(rows.as_buffer(of_type="d"), np.float64)  # flattens nested arrays too
    widths = list(map(len, rows))  # faster than finding the commas in the text
    width = widths[0] if widths else 0
    arrays = np.count_nonzero(np.frombuffer(text, np.uint8) == ord("["))
    if not width or widths.count(width) != len(widths) or arrays != len(widths) + 1:
        raise ValueError("not an array of arrays of equal length")
    return np.array(flat.reshape(len(widths), width).T, order="C")


def _parser() -> Any:
    if not hasattr(_parsers, "own"):
        _parsers.own = simdjson.Parser()
    return _parsers.own


def _by_column(texts: list[str], columns: Array) -> Mapping[int, Array]:
    """Return the texts, which are in the order of rows, as one array per column, and put NaN in their places."""
    places = columns == float(TEXT)
    if np.count_nonzero(places) != len(texts):
        raise ValueError("the data contains the number that stands for a text")
    columns[places] = np.nan
    used = np.flatnonzero(places.any(axis=1))
    found = np.full((len(used), columns.shape[1]), None, object)
    if found.size == len(texts):
        found.T[:] = np.array(texts, object).reshape(found.T.shape)
    else:
        found.T[places[used].T] = texts
    return dict(zip(used.tolist(), found, strict=True))
