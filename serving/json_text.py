"""Replaces what isn't a number in the JSON text of `calls`, in place, by a number that stands for it.

simdjson puts nothing but numbers into an array. So each text and each word becomes a number that hardly any data
contains (a reader finds data that does by counting), and each key of an object becomes blanks. All of this takes a few
calls of NumPy, however many there are. Every function raises ValueError for JSON that isn't written as BigQuery writes
it, and leaves JSON that is invalid invalid.
"""

from typing import Any

import numpy as np
import orjson

Characters = np.ndarray[Any, np.dtype[np.uint8]]
Positions = np.ndarray[Any, np.dtype[np.intp]]

TEXT = b"7e9"  # as long as the shortest text
WORDS = {b"null": b"-8e9", b"true": b"-6e9", b"false": b"-5e87"}

_BLANK, _QUOTE = b' "'
_BLANKS = b" \t\r\n"
# What may stand before and after a value; beside a digit, a replacement would become a part of another number. Nothing
# that ends with a digit can be followed by a sign.
_BEFORE = np.isin(np.arange(256), np.frombuffer(b"[,:" + _BLANKS, np.uint8))
_AFTER = np.isin(np.arange(256), np.frombuffer(b"],}" + _BLANKS, np.uint8))


def find_quotes(text: bytes, characters: Characters) -> Positions:
    """Return where texts and keys begin and end."""
    if b"\\" in text:
        plain = np.frombuffer(text.replace(b"\\\\", b"  "), np.uint8)  # leaves no backslash that is escaped itself
        quotes = np.flatnonzero(plain == _QUOTE)
        quotes = quotes[plain[quotes - 1] != ord("\\")]
    else:
        quotes = np.flatnonzero(characters == _QUOTE)
    if len(quotes) % 2:
        raise ValueError("a text does not end")
    return quotes


def replace_texts(characters: Characters, quotes: Positions) -> tuple[bytes, list[str]]:
    """Return the JSON with TEXT and blanks in place of each text, and the texts."""
    starts, lengths = quotes[::2], np.diff(quotes)[::2] + 1
    if not (_BEFORE[characters[starts - 1]].all() and _AFTER[characters[quotes[1::2] + 1]].all()):
        raise ValueError("something beside a text")
    sizes = lengths + 1  # with a comma
    ends = np.cumsum(sizes)
    inside = np.arange(ends[-1]) + np.repeat(starts - ends + sizes, sizes)
    content = characters[inside]
    content[ends - 1] = ord(",")
    texts: list[str] = orjson.loads(b"[%b]" % content[:-1].tobytes())
    marks = characters[inside[ends - 1]]
    characters[inside] = _BLANK
    characters[inside[ends - 1]] = marks
    if lengths.min() < len(TEXT):  # an empty text has no room for a number
        characters[starts] = _QUOTE
        return characters.tobytes().replace(b'" ', TEXT), texts
    _windows(characters, len(TEXT))[starts] = TEXT
    return characters.tobytes(), texts


def replace_words(text: bytes) -> tuple[bytes, dict[bytes, int]]:
    """Return the JSON with a number in place of each `null`, `true` and `false`, and how many there were of each.

    Texts and keys must have been replaced before. Raise ValueError if anything else starts with a letter of theirs.
    """
    counts: dict[bytes, int] = {}
    if np.frombuffer(text, np.uint8).max() <= ord("e"):  # nothing but digits and exponents
        return text, counts
    for word, number in WORDS.items():
        if word[:1] in text:
            characters = np.frombuffer(bytearray(text), np.uint8)
            starts = np.flatnonzero(characters == word[0])
            windows = _windows(characters, len(word))
            if starts[-1] >= len(windows) or (windows[starts] != word).any():
                raise ValueError("a word that JSON does not have")
            if not _AFTER[characters[starts + len(word)]].all():
                raise ValueError("something after a word")
            windows[starts] = number
            counts[word] = len(starts)
            text = characters.tobytes()
    return text, counts


def blank_keys(text: bytes, characters: Characters, quotes: Positions) -> tuple[tuple[str, ...], Positions]:
    """Turn every object into an array of its values; return the keys of the first one, and the quotes around texts.

    Raise ValueError unless every row is one object with these keys in this order, written the way the first one is.
    Each key but the first is expected right after a comma, which stays in the text: if the resulting array has as many
    values as there are keys, each value belongs to the key in its place.
    """
    if not text.endswith(b"}]]"):
        raise ValueError("not as TO_JSON writes it")
    first = text[2 : text.index(b"}]") + 1]
    names = tuple(orjson.loads(first))
    comma = b', "' if b', "' in first else b',"'
    keys = [(comma if at else b'[{"') + name.encode() + b'":' for at, name in enumerate(names)]
    ends = np.flatnonzero(characters == ord("}"))
    starts, texts = quotes[::2], quotes[:0]
    if len(starts) != len(ends) * len(names):  # there are texts beside keys
        ends = ends[np.searchsorted(quotes, ends) % 2 == 0]  # those that aren't within a text
        before = characters[starts - 1]
        is_key = np.where(before == _BLANK, characters[starts - 2], before) != ord(":")
        starts, texts = starts[is_key], quotes[np.repeat(~is_key, 2)]
    if len(starts) != len(ends) * len(names) or (characters[ends + 1] != ord("]")).any():
        raise ValueError("an object does not end with its row, or has other keys than the first")
    starts = starts.reshape(-1, len(names)) - [key.index(b'"') for key in keys]
    characters[ends] = _BLANK
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
    return names, texts


def _windows(characters: Characters, length: int) -> np.ndarray[Any, Any]:
    """Return a view with one item per position: the `length` bytes from there on."""
    return np.ndarray((max(0, len(characters) - length + 1),), f"S{length}", characters, strides=(1,))
