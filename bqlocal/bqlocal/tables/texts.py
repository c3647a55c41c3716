"""The texts of one column, with what every question about its type needs, found out once."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bqlocal.tables.hints import listed
from bqlocal.tables.numbers import NULL_WORDS

_NULL_WORDS = pa.array(sorted(NULL_WORDS))


class Texts:
    """The texts of a column, without NULL markers."""

    def __init__(self, name: str, texts: pa.ChunkedArray, rows: np.ndarray, markers: Sequence[str]) -> None:
        self.name, self.rows = name, rows
        trimmed = pc.utf8_trim_whitespace(texts)
        if markers:
            marked = pc.is_in(trimmed, pa.array(markers))
            texts, trimmed = (pc.if_else(marked, None, each) for each in (texts, trimmed))
        self.texts, self.trimmed = texts, trimmed
        self.is_word = pc.fill_null(pc.is_in(pc.utf8_lower(trimmed), _NULL_WORDS), False)
        self.values = pc.if_else(self.is_word, None, trimmed) if pc.any(self.is_word).as_py() else trimmed

    @cached_property
    def distinct(self) -> list[str]:
        """The different values, null words excepted."""
        return [text for text in pc.unique(self.values).to_pylist() if text is not None]

    def matches(self, pattern: str) -> bool:
        """Tell whether a value matches."""
        return bool(pc.any(pc.match_substring_regex(self.values, pattern)).as_py())

    def mapped(self, values: dict[str, object], to: pa.DataType) -> pa.ChunkedArray:
        """Return what a mapping makes of each value, NULL for those that it doesn't have."""
        keys = pa.array(list(values), pa.string())
        places = pc.index_in(self.values, keys)
        return pa.chunked_array([pa.array(list(values.values()), to).take(chunk) for chunk in _chunks(places)], to)

    def words(self) -> tuple[tuple[str, str], ...]:
        """Return a note on the words that are NULL in this column, blank cells included."""
        found = [text for text in pc.unique(self.trimmed.filter(self.is_word)).to_pylist() if text]
        return (("as NULL", f"{', '.join(map(repr, found[:6]))} in {self.name}"),) if found else ()

    def listed(self, texts: Sequence[str]) -> str:
        """Return some texts with their counts and first rows."""
        return listed(self.trimmed, self.rows, texts)


def _chunks(values: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return values.chunks if isinstance(values, pa.ChunkedArray) else [values]
