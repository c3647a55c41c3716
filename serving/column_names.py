"""The names of columns in SQL: those of arguments, and the keys by which TO_JSON of a row names them.

BigQuery ignores case in the names of columns and arguments, and allows fewer characters than a DataFrame does.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

MAX_NAME_LENGTH = 128  # characters of an argument name


def argument_names(columns: Sequence[str]) -> list[str]:
    """Return an argument name for each column, all distinct even if case is ignored.

    Letters lose their accents, and other characters that an identifier can't have become underscores.
    """
    taken: set[str] = set()
    names = []
    for position, column in enumerate(columns):
        plain = "".join(letter for letter in unicodedata.normalize("NFKD", column) if not unicodedata.combining(letter))
        stem = re.sub(r"\W", "_", plain, flags=re.ASCII)[: MAX_NAME_LENGTH - 6] or f"x{position}"
        stem = f"_{stem}" if stem[0].isdigit() else stem
        name, count = stem, 1
        while name.lower() in taken:
            count += 1
            name = f"{stem}_{count}"
        taken.add(name.lower())
        names.append(name)
    return names


@dataclass(frozen=True)
class Keys:
    """The key that means each column, and the keys of columns for which that isn't clear."""

    found: Mapping[str, str]
    unclear: Mapping[str, Sequence[str]]


def keys_of_columns(columns: Sequence[str], keys: Iterable[str]) -> Keys:
    """Return which key of an object means which column; a column that no key fits is in neither mapping.

    A key is the column's name, or else, ignoring case, its name or its argument's. A key that would fit two columns
    means neither, and so does a column that two keys would fit.
    """
    keys = list(keys)
    found = {column: column for column in set(columns).intersection(keys)}
    fitting: dict[str, set[str]] = {}
    for column, argument in zip(columns, argument_names(columns), strict=True):
        for name in (column, argument):
            fitting.setdefault(name.casefold(), set()).add(column)
    candidates: dict[str, list[str]] = {}
    for key in keys:
        for column in fitting.get(key.casefold(), set()).difference(found):
            candidates.setdefault(column, []).append(key)
    unclear = {}
    for column, fits in candidates.items():
        if len(fits) == 1 and fits[0] not in found and len(fitting[fits[0].casefold()]) == 1:
            found[column] = fits[0]
        else:
            unclear[column] = fits
    return Keys(found, unclear)
