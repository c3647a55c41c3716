"""The `calls` of a request that hold nothing but numbers: from JSON text to a matrix without a Python object for each.

A batch of numbers spends most of its time in making objects that are thrown away at once. The rule: what is not
plainly recognised (a text, an array, a number beyond 64 bits, another key in some row) is not taken here, and goes
value by value through columns.py, with the same result.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import simdjson

# What FLOAT64 is in JSON where it is no number: the word, a number of as many characters that stands in for it while
# parsing, and what it means; by the character that begins them and, once those before are replaced, nothing else.
# BigQuery writes none of these numbers, -0.0 as 0; where data holds one itself, it is noticed by their count.
_NULL = b"null"
_WORDS = {
    b'"': (
        (b'"NaN"', b"-7e87", np.nan),
        (b'"Infinity"', b"-3.12e-302", np.inf),
        (b'"-Infinity"', b"-3.312e-302", -np.inf),
    ),
    b"n": ((_NULL, b"-0.0", np.nan),),
}
# What may follow a value in JSON; a digit would make another number of the one that stands in.
_ENDS = np.isin(np.arange(256), np.frombuffer(b",]} \t\r\n", np.uint8))

Matrix = np.ndarray[Any, Any]


class NumericCalls:
    """One row of numbers for each call, positional or as one object with the same keys in every call.

    `names` are those keys in their order, None for positional rows. Raise ValueError, TypeError or RuntimeError when
    the text is no JSON array of arrays of such numbers.
    """

    _parser = threading.local()  # a parser allocates much, so it is used again; one for each thread

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.names: Sequence[str] | None = None
        if text.startswith(b"[[{"):
            self.names, text = _without_keys(text)
        self._words: list[tuple[bytes, np.int64, float, int]] = []
        for begin, words in _WORDS.items():
            if begin in text:  # to look for one character takes next to no time
                text = self._with_numbers_for(words, begin, text)
        if not hasattr(self._parser, "own"):
            self._parser.own = simdjson.Parser()
        rows = self._parser.own.parse(text)
        self._flat = np.frombuffer(rows.as_buffer(of_type="d"), np.float64)  # of arrays in arrays too
        self._widths = list(map(len, rows))  # one step per row, which takes less than to find commas in all the text
        self._opened = np.count_nonzero(np.frombuffer(text, np.uint8) == ord("["))

    def matrix(self, width: int) -> tuple[Matrix, Matrix | None] | None:
        """Return float64 values of shape (rows, width), NaN where NULL is, and where that is, None for nowhere.

        None when the rows have another width, or hold something that would be taken for NULL, NaN or an infinity.
        """
        rows = len(self._widths)
        if not rows or self._widths.count(width) != rows or self._opened != rows + 1:
            return None
        matrix = np.array(self._flat.reshape(rows, width), order="F")  # as a DataFrame lies in memory
        bits, nulls = matrix.view(np.int64), None
        for word, number, meaning, times in self._words:
            places = bits == number
            if np.count_nonzero(places) != times:  # the data holds the number itself
                return None
            matrix[places] = meaning
            if word == _NULL:
                nulls = places
        return matrix, nulls

    def _with_numbers_for(self, words: Sequence[tuple[bytes, bytes, float]], begin: bytes, text: bytes) -> bytes:
        """Return the text with numbers for these words, and note them; ValueError when something else begins so."""
        characters = np.frombuffer(bytearray(text), np.uint8)
        begins = np.flatnonzero(characters == begin[0])
        if begin == b'"':
            begins = begins[::2]  # a text that holds a quote itself has a backslash, and is none of the words
        left = len(begins)
        for word, number, meaning in words:
            windows = _windows(characters, len(word))[:-1]  # something follows
            places = begins[begins < len(windows)]
            places = places[windows[places] == word]
            if len(places):
                if not _ENDS[characters[places + len(word)]].all():
                    raise ValueError("a word goes on")
                windows[places] = number
                self._words.append((word, np.float64(number).view(np.int64), meaning, len(places)))
                left -= len(places)
        if left:
            raise ValueError("a text, or a word that is no number")
        return characters.tobytes()


def _without_keys(text: bytes) -> tuple[list[str], bytes]:
    """Return the keys of the first object, and the text with every object turned into an array of its values.

    ValueError unless every row is one object with these keys in this order, written as the first one is. Each key but
    the first is found right behind a comma, which stays: an array of as many values as there are keys then has each
    value where its own key was.
    """
    if b"\\" in text or not text.endswith(b"}]]"):  # without escapes, quotes stand around keys and texts only
        raise ValueError("not as TO_JSON writes it")
    first = text[2 : text.index(b"}") + 1]
    names = list(orjson.loads(first))
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
        windows = _windows(characters, length)  # the keys of one length are compared and blanked at once
        places = starts[:, alike].ravel()
        if places.max() >= len(windows) or windows[places].tobytes() != b"".join(keys[at] for at in alike) * len(
            starts
        ):
            raise ValueError("the keys are not those of the first row")
        blanks = b"".join(keys[at][:1] + b" " * (length - 1) for at in alike)
        windows[places] = np.frombuffer(blanks * len(starts), windows.dtype)
    return names, characters.tobytes()


def _windows(characters: np.ndarray[Any, Any], length: int) -> np.ndarray[Any, Any]:
    """Return as many bytes from every position on, as one item each."""
    return np.ndarray((max(0, len(characters) - length + 1),), f"S{length}", characters, strides=(1,))
