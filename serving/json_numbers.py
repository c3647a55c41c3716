"""Numbers from the JSON text of `calls` to a matrix, without a Python object per value.

Creating those objects takes most of the time of a batch of numbers. `parse_numbers` accepts only what it recognizes
with certainty: for anything else (a text, an array, an integer beyond 64 bits, different keys in some row) it returns
None, and decoding.py goes value by value, with the same result. So it does for everything where simdjson isn't
installed, as on a Python for which it has no wheel.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

try:
    import simdjson
except ImportError:
    simdjson = None  # type: ignore[assignment]

AVAILABLE = simdjson is not None
Matrix = np.ndarray[Any, Any]

# JSON words of a FLOAT64 column that aren't numbers, by their first character: the word, a number of the same length
# that replaces it while the text is parsed, and the word's value. BigQuery writes none of these numbers (-0.0 is
# written as 0); data that contains one itself is recognized by counting.
_NULL = b"null"
_WORDS = {
    b'"': (
        (b'"NaN"', b"-7e87", np.nan),
        (b'"Infinity"', b"-3.12e-302", np.inf),
        (b'"-Infinity"', b"-3.312e-302", -np.inf),
    ),
    b"n": ((_NULL, b"-0.0", np.nan),),
}
# What may follow a value in JSON; a digit would turn the replacement into another number.
_ENDS = np.isin(np.arange(256), np.frombuffer(b",]} \t\r\n", np.uint8))

_parsers = threading.local()  # a parser allocates much memory, so each thread reuses its own


@dataclass(frozen=True)
class Numbers:
    """Rows of FLOAT64 values.

    `matrix` is float64 of shape (rows, columns) with NaN for NULL; `nulls` is a mask of the same shape, None when there
    is no NULL; `names` are the keys in their order when the rows came as objects, None for positional rows.
    """

    matrix: Matrix
    nulls: Matrix | None = None
    names: tuple[str, ...] | None = None

    def null_mask(self) -> Matrix:
        """Return the mask of NULLs."""
        return np.zeros(self.matrix.shape, np.bool_, order="F") if self.nulls is None else self.nulls

    def take(self, rows: Matrix) -> "Numbers":
        """Return the rows at these indices."""
        # The matrix is laid out by column, so each column is taken from in turn.
        nulls = None if self.nulls is None else self.nulls.T.take(rows, axis=1).T
        return Numbers(self.matrix.T.take(rows, axis=1).T, nulls)

    @staticmethod
    def concat(parts: "Sequence[Numbers]") -> "Numbers":
        """Return the rows of all parts."""
        has_nulls = any(part.nulls is not None for part in parts)
        nulls = np.concatenate([part.null_mask() for part in parts]) if has_nulls else None
        return Numbers(np.concatenate([part.matrix for part in parts]), nulls)


def parse_numbers(text: bytes) -> Numbers | None:
    """Return the numbers in the JSON text of `calls`: an array of arrays, each of numbers or of one object of numbers.

    Return None when the text isn't JSON or holds anything else, such as rows of different length, and without simdjson.
    """
    if not AVAILABLE:
        return None
    try:
        return _parse(text)
    except (ValueError, TypeError, RuntimeError):  # what simdjson and this module raise for other texts
        return None


def _parse(text: bytes) -> Numbers | None:
    names = None
    if text.startswith(b"[[{"):
        names, text = _without_keys(text)
    replaced: list[_Replaced] = []
    for first, words in _WORDS.items():
        if first in text:  # looking for one character takes next to no time
            text = _replace_words(words, first, text, replaced)
    rows = _parser().parse(text)
    flat = np.frombuffer(rows.as_buffer(of_type="d"), np.float64)  # flattens nested arrays too
    widths = list(map(len, rows))  # faster than finding the commas in the text
    arrays = np.count_nonzero(np.frombuffer(text, np.uint8) == ord("["))
    width = widths[0] if widths else 0
    if not width or widths.count(width) != len(widths) or arrays != len(widths) + 1 or (names and len(names) != width):
        return None
    matrix = np.array(flat.reshape(len(widths), width), order="F")  # the memory layout of a DataFrame
    bits, nulls = matrix.view(np.int64), None
    for word in replaced:
        places = bits == word.bits
        if np.count_nonzero(places) != word.count:  # the data contains the replacement itself
            return None
        matrix[places] = word.value
        if word.text == _NULL:
            nulls = places
    return Numbers(matrix, nulls, names)


@dataclass(frozen=True)
class _Replaced:
    """A word that was replaced by a number in `count` places; `bits` is that number as int64."""

    text: bytes
    bits: np.int64
    value: float
    count: int


def _parser() -> Any:
    if not hasattr(_parsers, "own"):
        _parsers.own = simdjson.Parser()
    return _parsers.own


def _replace_words(
    words: Sequence[tuple[bytes, bytes, float]], first: bytes, text: bytes, replaced: list[_Replaced]
) -> bytes:
    """Return the text with numbers in place of these words, and append to `replaced` which.

    Raise ValueError when anything else starts with their first character.
    """
    characters = np.frombuffer(bytearray(text), np.uint8)
    starts = np.flatnonzero(characters == first[0])
    if first == b'"':
        starts = starts[::2]  # a text that contains a quote has a backslash, and is none of the words
    left = len(starts)
    for word, number, value in words:
        windows = _windows(characters, len(word))[:-1]  # something follows a word
        places = starts[starts < len(windows)]
        places = places[windows[places] == word]
        if len(places):
            if not _ENDS[characters[places + len(word)]].all():
                raise ValueError("a word goes on")
            windows[places] = number
            replaced.append(_Replaced(word, np.float64(number).view(np.int64), value, len(places)))
            left -= len(places)
    if left:
        raise ValueError("a text, or a word that isn't a number")
    return characters.tobytes()


def _without_keys(text: bytes) -> tuple[tuple[str, ...], bytes]:
    """Return the keys of the first object, and the text with every object turned into an array of its values.

    Raise ValueError unless every row is one object with these keys in this order, written the way the first one is.
    Each key but the first is expected right after a comma, which stays in the text: if the resulting array has as many
    values as there are keys, each value belongs to the key in its place.
    """
    if b"\\" in text or not text.endswith(b"}]]"):  # without escapes, quotes only enclose keys and texts
        raise ValueError("not as TO_JSON writes it")
    first = text[2 : text.index(b"}") + 1]
    names = tuple(orjson.loads(first))
    comma = b', "' if b', "' in first else b',"'
    keys = [(comma if at else b'[{"') + name.encode() + b'":' for at, name in enumerate(names)]
    characters = np.frombuffer(bytearray(text), np.uint8)
    quotes = np.flatnonzero(characters == ord('"'))
    starts = quotes[::2].reshape(-1, len(names)) - [key.index(b'"') for key in keys]
    ends = np.flatnonzero(characters == ord("}"))
    if len(ends) != len(starts) or (characters[ends + 1] != ord("]")).any():
        raise ValueError("an object does not end with its row")
    characters[ends] = ord(" ")
    lengths = np.array([len(key) for key in keys])
    for length in np.unique(lengths).tolist():
        alike = np.flatnonzero(lengths == length)
        windows = _windows(characters, length)  # compare and blank all keys of one length at once
        places = starts[:, alike].ravel()
        if places.max() >= len(windows) or windows[places].tobytes() != b"".join(keys[at] for at in alike) * len(
            starts
        ):
            raise ValueError("other keys than in the first row")
        blanks = b"".join(keys[at][:1] + b" " * (length - 1) for at in alike)
        windows[places] = np.frombuffer(blanks * len(starts), windows.dtype)
    return names, characters.tobytes()


def _windows(characters: np.ndarray[Any, Any], length: int) -> np.ndarray[Any, Any]:
    """Return a view with one item per position: the `length` bytes from there on."""
    return np.ndarray((max(0, len(characters) - length + 1),), f"S{length}", characters, strides=(1,))
