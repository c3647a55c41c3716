"""Says what a column of texts looks like, when it isn't clear enough to be read as anything else."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bqlocal.tables import dates, numbers
from bqlocal.tables.reading import Reading

LOOKED_AT = 5000  # different texts of a column
MOSTLY = 0.5  # share of the rows
MAX_LISTED = 6  # texts
_CODE = re.compile(r"(?=.*\d)(?=.*[^\W\d_])[\w][\w \-./#]*|0\d+")

_VERSION = re.compile(r"v?\d{1,3}(\.\d{1,3}){2,}", re.IGNORECASE)  # 1.10.0, and addresses such as 10.0.0.1

_NAME = r"(?!(?:[A-Z]{3}|Rs\.?|kr\.?|Fr\.?|RM|Rp\.?)\s)[^\W\d_]+[-_#\s]*\d"  # A12 and song 7, but not EUR 7

_UNIT = re.compile(
    r"[$€£¥₹-]{0,2}[\d.,']+(\s*[^\W\d_]{2,}|\s*[^\w\s]|\s+[^\W\d_])?.{0,3}|[^\w\s]\s*[\d.,']+"
)  # not 12a

HintKind = Literal[
    "ambiguous number", "ambiguous date", "number", "mixed units", "numbers and texts", "dates and texts", "code",
    "time", "far date", "null word",
]  # fmt: skip


@dataclass(frozen=True)
class Hint:
    """What a column of texts looks like, and texts that show it."""

    kind: HintKind
    column: str
    example: str


# Kind -> the sentence around the columns.
SENTENCES: dict[HintKind, tuple[str, str]] = {
    "number": ("These texts look like numbers", "--read number=COLUMN reads them"),
    "ambiguous number": (
        "These texts can be read as two numbers each",
        "--read decimal=. or decimal=, says which, with number=COLUMN for a currency or unit",
    ),
    "ambiguous date": (
        "The day and month of these dates can be exchanged, so they stay text",
        "--read dayfirst=true or dayfirst=false says which is which",
    ),
    "mixed units": ("These numbers have several units and stay text", "convert them to one unit in the file"),
    "numbers and texts": (
        "Numbers with other texts among them stay text",
        "--read number=COLUMN makes NULL of what isn't a number",
    ),
    "dates and texts": ("Dates with other texts among them stay text", "--read null-marker=TEXT makes a text NULL"),
    "code": ("Codes stay text", "--read number=COLUMN would read them as numbers"),
    "time": ("Times stay text", "write them as numbers, such as minutes, or as dates, such as 2024-06-05"),
    "far date": ("No model takes these, so the column stays text", "--read null-marker=DATE makes one NULL"),
    "null word": (
        "These may mean NULL, but are texts among texts, as BigQuery will send them",
        "--read null-marker=TEXT makes them NULL",
    ),
}


def sentences(hints: Sequence[Hint]) -> list[str]:
    """Return one sentence for each kind of hint, with all of its columns."""
    return [
        f"{start}: {', '.join(f'{hint.column} ({hint.example})' for hint in hints if hint.kind == kind)}; {option}."
        for kind, (start, option) in SENTENCES.items()
        if any(hint.kind == kind for hint in hints)
    ]


def hint(name: str, values: pa.ChunkedArray, rows: np.ndarray, distinct: Sequence[str], reading: Reading) -> list[Hint]:
    """Return what most rows of a column of texts look like."""
    looked_at = distinct[:LOOKED_AT]
    if not looked_at or not any(character.isdigit() for text in looked_at[:200] for character in text):
        return []
    counts = _counts(values)
    total = sum(counts[text] for text in looked_at)

    def share(texts: Sequence[str]) -> float:
        return sum(counts[text] for text in texts) / total

    like = dates.time_like(looked_at)
    if like:
        return [Hint("time", name, f"{like} such as {looked_at[0]!r}")]
    plain = [text for text in looked_at if _is_plain(text)]
    others = sorted(set(looked_at) - set(plain), key=looked_at.index)
    if others and all(map(_CODE.fullmatch, others)) and share(plain) >= MOSTLY and not _has_unit(others):
        return [Hint("code", name, repr(others[0]))]
    if all(map(_VERSION.fullmatch, looked_at)):
        return []
    dated = [text for text in looked_at if dates.dates([text], reading.day_first is not False) is not None]
    if share(dated) >= MOSTLY:
        rest = [text for text in looked_at if text not in set(dated)]
        return [Hint("dates and texts", name, listed(values, rows, rest) if rest else repr(looked_at[0]))]
    allowed = numbers.allowed_notations(reading.decimal, reading.thousands)
    try:
        found = numbers.measures(looked_at, allowed)
    except numbers.MixedUnitsError as error:
        if share([text for text in looked_at if _UNIT.fullmatch(text)]) >= MOSTLY:
            return [Hint("mixed units", name, " and ".join(map(repr, error.args)))]
        return []
    except numbers.AmbiguousError:
        like_numbers = [text for text in looked_at if re.search(r"\d[.,]\d", text)]
        if like_numbers and share([text for text in looked_at if re.match(r"\W{0,4}\d", text)]) >= MOSTLY:
            return [Hint("ambiguous number", name, repr(like_numbers[0]))]
        return []
    read = [text for text, number in found.values.items() if number is not None]
    read = [text for text in read if not re.match(_NAME, text)]
    if share(read) < MOSTLY:
        return []
    if found.unread and (set(read) == set(plain) or not found.unit):
        return [Hint("numbers and texts", name, listed(values, rows, found.unread))]
    return [Hint("number", name, repr(next((text for text in read if text not in set(plain)), read[0])))]


def listed(values: pa.ChunkedArray, rows: np.ndarray, texts: Sequence[str]) -> str:
    """Return texts with their counts and first rows, such as 'n/k' (3 rows, first in row 17)."""
    counts = _counts(values)
    parts = []
    for text in sorted(texts, key=lambda text: -counts.get(text, 0))[:MAX_LISTED]:
        at = pc.index(values, pa.scalar(text, pa.string())).as_py()
        where = f"in row {rows[at]}" if counts[text] == 1 else f"{counts[text]:,} rows, first in row {rows[at]}"
        parts.append(f"{text!r} ({where})")
    more = len(texts) - len(parts)
    return ", ".join(parts) + (f" and {more:,} more" if more > 0 else "")


def _counts(values: pa.ChunkedArray) -> Mapping[str, int]:
    return {
        entry["values"]: entry["counts"] for entry in pc.value_counts(values).to_pylist() if entry["values"] is not None
    }


def _is_plain(text: str) -> bool:
    try:
        numbers.value(numbers.spaced(text), numbers.PLAIN)
    except ValueError:
        return False
    return True


def _has_unit(texts: Sequence[str]) -> bool:
    """Tell whether the texts are numbers with one unit, and not codes."""
    try:
        found = numbers.measures(texts)
    except ValueError:
        return False
    return 2 * len(found.unread) < len(texts)
