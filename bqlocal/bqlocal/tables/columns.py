"""Gives a column of texts its type: numbers, booleans, dates or texts, decided by all of its values.

A cell such as NA or ? is NULL where everything else is a number, a boolean or a date; among texts it is a text. Codes
with leading zeros stay texts.
"""

import datetime
import re
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from bqlocal.errors import SourceError
from bqlocal.tables import dates, numbers
from bqlocal.tables.hints import Hint, hint
from bqlocal.tables.reading import Column, Kind, Reading
from bqlocal.tables.texts import Texts

CODE = r"^\s*[-+]?(0\d+|\d{19,}|0[xX].+)\s*$"  # leading zeros, more digits than an INT64, or hexadecimal
GROUPED = r"^[-+]?[1-9]\d{0,2}(\.\d{3})+$"  # 1.234, which may be 1234
_TIME = r"^([01]\d|2[0-3]):[0-5]\d:[0-5]\d$"
_TYPES: dict[Kind, pa.DataType] = {
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "datetime": pa.timestamp("us"),
}


@dataclass(frozen=True)
class Typed:
    """A column with its type, how its texts were read, and what it looks like if it stayed text."""

    values: pa.ChunkedArray
    column: Column | None  # None where the source has a type
    notes: tuple[tuple[str, str], ...] = ()  # what was guessed or made NULL, and where
    hints: tuple[Hint, ...] = ()
    grouped: bool | None = None  # whether every fraction looks like a group of thousands; None without fractions


def typed(texts: Texts, reading: Reading, *, guess_numbers: bool = True, guess_dates: bool = True) -> Typed:
    """Return the column with the type that was asked for, or else guessed; raise SourceError if it doesn't fit."""
    wanted = reading.columns.get(texts.name)
    if texts.name in reading.numbers or (wanted and wanted.kind == "number" and wanted.lenient):
        return lenient(texts, wanted, reading)
    if wanted is not None:
        return _wanted(texts, wanted, reading)
    if not texts.distinct:
        return _text(texts, reading)
    found = None
    if guess_numbers:
        found = _number(texts, reading) or _boolean(texts) or _time(texts)
    if found is None and guess_dates:
        found = _date(texts, reading.day_first)
    return found or _text(texts, reading)


def _number(texts: Texts, reading: Reading, notation: numbers.Notation | None = None) -> Typed | None:
    """Return numbers; a text with a hint if they are codes or can be read in two ways; None for other texts."""
    asked = reading.decimal == "," or reading.thousands == "."
    if notation in (None, numbers.PLAIN) and not (asked and texts.matches(GROUPED)):
        plain = _plain(texts.values)
        if plain is not None:
            if notation is None and texts.matches(CODE):
                return _text(
                    texts,
                    reading,
                    Hint("code", texts.name, repr(next(text for text in texts.distinct if re.match(CODE, text)))),
                )
            grouped = None
            if plain.type == pa.float64() and texts.matches(r"\."):
                grouped = not any("." in text and not re.match(GROUPED, text) for text in texts.distinct)
            return Typed(plain, Column("number"), texts.words(), grouped=grouped)
    if not numbers.fits_any(numbers.spaced(texts.distinct[0])):
        return None
    spaced = {text: numbers.spaced(text) for text in texts.distinct}
    allowed = numbers.allowed_notations(reading.decimal, reading.thousands)
    try:
        notation = (
            notation
            or numbers.notation_of(list(spaced.values()), allowed)
            or numbers.notation_of(list(spaced.values()))
        )
    except numbers.AmbiguousError:
        example = next(text for text in texts.distinct if re.search(r"\d[.,]\d", text))
        return _text(texts, reading, Hint("ambiguous number", texts.name, repr(example)))
    if notation is None or re.fullmatch(CODE, next(iter(spaced.values()))):
        return None
    try:
        values = {text: numbers.value(clean, notation) for text, clean in spaced.items()}
    except ValueError:
        return None
    note = (f"as numbers with {notation}", f"{texts.name} ({_example(spaced, notation)!r})")
    column = Column("number", notation.decimal, notation.thousands)
    return Typed(texts.mapped(dict(values), pa.float64()), column, (note, *texts.words()))


def _example(texts: dict[str, str], notation: numbers.Notation) -> str:
    """Return a text that shows the notation."""
    mark = notation.thousands if any(notation.thousands in clean for clean in texts.values()) else ""
    return next((text for text, clean in texts.items() if (mark or notation.decimal) in clean), next(iter(texts)))


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return the texts as integers or floats, None if they aren't plain numbers."""
    for arrow_type in (pa.int64(), pa.float64()):
        try:
            return values.cast(arrow_type)
        except pa.ArrowInvalid:
            continue
    return None


def _boolean(texts: Texts) -> Typed | None:
    words = {text: text.lower() for text in texts.distinct[:10]}
    digits = [text for text, word in words.items() if word in ("0", "1")]
    known = [text for text, word in words.items() if word in ("true", "false")]
    if not known or len(digits) + len(known) < len(texts.distinct):
        return None
    values = {text: word in ("true", "1") for text, word in words.items()}
    note = ("as true and false", f"{', '.join(map(repr, [*digits, *known]))} in {texts.name}")
    return Typed(
        texts.mapped(dict(values), pa.bool_()), Column("boolean"), (*([note] if digits else []), *texts.words())
    )


def _time(texts: Texts) -> Typed | None:
    if not all(re.match(_TIME, text) for text in texts.distinct):
        return None
    times = {text: datetime.time.fromisoformat(text) for text in texts.distinct}
    return Typed(texts.mapped(dict(times), pa.time64("us")), Column("time"), texts.words())


def _date(texts: Texts, day_first: bool | dict[str, bool] | None) -> Typed | None:
    """Return dates; a text with a hint if day and month can be exchanged; None for other texts."""
    for kind in _TYPES:
        shape = r"^\d{4}-\d\d-\d\d" + ("$" if kind == "date" else r"[T ]\d\d:\d\d")
        zoned = r"(Z|[+-]\d\d:?\d\d)$"
        if not re.match(shape, texts.distinct[0]) or bool(re.search(zoned, texts.distinct[0][10:])) != (
            kind == "timestamp"
        ):
            continue
        try:
            return Typed(texts.values.cast(_TYPES[kind]), Column(kind), texts.words())
        except pa.ArrowInvalid:
            break
    try:
        found = dates.dates(texts.distinct, day_first)
    except dates.AmbiguousError as error:
        return Typed(texts.texts, Column("text"), hints=(Hint("ambiguous date", texts.name, repr(str(error))),))
    if found is None:
        return None
    kind = "timestamp" if found.has_zone else "datetime" if found.has_time else "date"
    notes = [("as UTC where a time has no zone", texts.name)] if found.lacks_zone else []
    if found.guessed:
        orders = [_order(mark, first) for mark, first in found.day_first.items()]
        notes.append((f"as dates {' and '.join(orders)}", texts.name))
    elif found.short_years:
        notes.append((f"as dates from 19{dates.PIVOT} to 20{dates.PIVOT - 1}", texts.name))
    values = texts.mapped(dict(found.values), pa.timestamp("us"))
    values = values.cast(_TYPES[kind]) if kind != "timestamp" else pc.assume_timezone(values, "UTC")
    return Typed(values, Column(kind, day_first=dict(found.day_first)), (*notes, *texts.words()))


def _order(mark: str, day_first: bool) -> str:
    return mark.join(["DD", "MM", "YYYY"] if day_first else ["MM", "DD", "YYYY"])


def _text(texts: Texts, reading: Reading, found: Hint | None = None) -> Typed:
    """Return the texts as they are in the file, with what they look like."""
    hints = [found] if found else hint(texts.name, texts.trimmed, texts.rows, texts.distinct, reading)
    words = [text for text in pc.unique(texts.trimmed.filter(texts.is_word)).to_pylist() if text]
    if words and texts.distinct:
        hints.append(Hint("null word", texts.name, texts.listed(words)))
    return Typed(texts.texts, Column("text"), hints=tuple(hints))


def lenient(texts: Texts, wanted: Column | None, reading: Reading) -> Typed:
    """Return the numbers of a column that has other texts too, which become NULL; raise SourceError without numbers."""
    allowed = numbers.allowed_notations(reading.decimal, reading.thousands)
    if wanted is not None:
        allowed = [numbers.Notation(wanted.decimal, wanted.thousands)]
    try:
        found = numbers.measures(texts.distinct, allowed)
    except numbers.AmbiguousError:
        example = next((text for text in texts.distinct if re.search(r"\d[.,]\d", text)), texts.distinct[0])
        raise SourceError(
            f"--read number={texts.name}: {example!r} can be read as two numbers; add --read decimal=. or decimal=,."
        ) from None
    except numbers.MixedUnitsError as error:
        raise SourceError(
            f"--read number={texts.name}: the column mixes units, such as {error.args[0]!r} and {error.args[1]!r}; "
            "convert them to one in the file."
        ) from None
    if len(found.unread) == len(found.values):
        example = f", for example {texts.distinct[0]!r}" if texts.distinct else ""
        raise SourceError(f"--read number={texts.name}: the column holds no numbers{example}; leave the option out.")
    values = texts.mapped({text: number for text, number in found.values.items() if number is not None}, pa.float64())
    shown, number = next((text, each) for text, each in found.values.items() if each is not None)
    notes = [("as numbers", f"{texts.name} ({shown!r} as {number:.15g})")]
    if found.unread:
        notes.append(("as NULL", f"{texts.listed(found.unread)} in {texts.name}"))
    column = Column("number", found.notation.decimal, found.notation.thousands, lenient=True)
    return Typed(values, column, (*notes, *texts.words()))


def _wanted(texts: Texts, wanted: Column, reading: Reading) -> Typed:
    """Return the column in a type that is known; raise SourceError with the texts that don't fit."""
    if wanted.kind == "text":
        return Typed(texts.texts, wanted)
    if not texts.distinct:
        return Typed(pa.nulls(len(texts.texts), _TYPES.get(wanted.kind, pa.float64())), wanted)
    if wanted.kind == "number":
        known = numbers.Notation(wanted.decimal, wanted.thousands)
        found = _number(texts, reading, known) or _number(texts, reading) or _boolean(texts)
    elif wanted.kind == "boolean":
        found = _boolean(texts) or _number(texts, reading)
    elif wanted.kind == "time":
        found = _time(texts)
    else:
        found = _date(texts, dict(wanted.day_first) or reading.day_first)
    if found is None or found.column is None or found.column.kind == "text":
        unread = [text for text in texts.distinct if _fits_not(text, wanted)][:5] or texts.distinct[:3]
        raise SourceError(
            f"The column {texts.name!r} should hold {wanted.kind}s, but holds {texts.listed(unread)}; "
            "correct or clear these values."
        )
    return replace(found, hints=())


def _fits_not(text: str, wanted: Column) -> bool:
    if wanted.kind == "number":
        try:
            numbers.value(numbers.spaced(text), numbers.Notation(wanted.decimal, wanted.thousands))
        except ValueError:
            return True
        return False
    return wanted.kind != "boolean" and dates.dates([text], day_first=True) is None
