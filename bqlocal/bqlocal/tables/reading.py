"""How a text file is read: what a caller asks for, and what was found out about each column.

Both can be kept as JSON beside a model, so that another program reads other rows in the same way.
"""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from bqlocal.errors import SourceError

Kind = Literal["text", "number", "boolean", "date", "datetime", "timestamp", "time"]

_DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_THOUSANDS = {"space": " ", "apostrophe": "'", "comma": ",", "point": "."}
OPTIONS = {
    "delimiter": "one character, or tab",
    "encoding": "an encoding that Python knows, such as latin-1",
    "decimal": "'.' or ','",
    "thousands": "'.', ',', \"'\" or space",
    "dayfirst": "true or false",
    "null-marker": "a text that means NULL",
    "number": "a column",
}
HELP = (
    "How to read the file: delimiter, encoding, decimal, thousands, dayfirst=true or false, null-marker=TEXT, "
    "number=COLUMN for numbers with a currency, a unit or other texts; repeatable."
)


@dataclasses.dataclass(frozen=True)
class Column:
    """How the texts of a column are read; `lenient` admits currencies and units, and takes other texts for NULL."""

    kind: Kind
    decimal: str = "."
    thousands: str = ""
    lenient: bool = False
    day_first: Mapping[str, bool] = dataclasses.field(default_factory=dict)  # by separator


@dataclasses.dataclass(frozen=True)
class Reading:
    """Options for reading a file. None is a guess; a column that is in neither `numbers` nor `columns` is guessed."""

    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    day_first: bool | None = None
    null_markers: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    columns: Mapping[str, Column] = dataclasses.field(default_factory=dict)

    @classmethod
    def parse(cls, options: Sequence[str]) -> "Reading":
        """Return the reading that texts such as `decimal=,` ask for; raise SourceError with all that is wrong."""
        values: dict[str, list[str]] = {}
        problems = []
        for option in options:
            name, equals, value = option.partition("=")
            if name not in OPTIONS:
                near = difflib.get_close_matches(name, OPTIONS, 1)
                meant = f"; did you mean {near[0]}?" if near else f"; expected {', '.join(OPTIONS)}."
                problems.append(f"--read {option!r}: there is no option {name!r}{meant}")
            elif not equals:
                problems.append(f"--read {option!r} has no value; write {name}=VALUE, {OPTIONS[name]}.")
            elif not _fits(name, value):
                problems.append(f"--read {option!r}: {value!r} is not {OPTIONS[name]}.")
            elif name not in ("null-marker", "number") and name in values:
                problems.append(f"--read {name} is given twice, as {values[name][0]!r} and {value!r}; give one.")
            else:
                values.setdefault(name, []).append(value)
        first = {name: given[0] for name, given in values.items()}
        thousands = first.get("thousands")
        reading = cls(
            delimiter=_DELIMITERS.get(first.get("delimiter", ""), first.get("delimiter")),
            encoding=first.get("encoding"),
            decimal=first.get("decimal"),
            thousands=_THOUSANDS.get(thousands or "", thousands),
            day_first=first["dayfirst"].lower() == "true" if "dayfirst" in first else None,
            null_markers=tuple(values.get("null-marker", ())),
            numbers=tuple(values.get("number", ())),
        )
        if reading.decimal is not None and reading.decimal == reading.thousands:
            problems.append(f"--read decimal and thousands are both {reading.decimal!r}; give two characters.")
        if problems:
            raise SourceError("\n".join(problems))
        return reading

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, without those that are empty."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value not in (None, (), {})}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Reading":
        """Return the reading that `to_json` described."""
        columns = {name: Column(**column) for name, column in fields.get("columns", {}).items()}
        lists = {name: tuple(fields.get(name, ())) for name in ("null_markers", "numbers")}
        return cls(**{**fields, **lists, "columns": columns})


AS_FOUND = Reading()


def _fits(name: str, value: str) -> bool:
    if name == "delimiter":
        return value in _DELIMITERS or (len(value) == 1 and value not in '"\r\n')
    if name == "encoding":
        try:
            "".encode(value)
        except (LookupError, UnicodeError):
            return False
        return bool(value)
    if name == "decimal":
        return value in (".", ",")
    if name == "thousands":
        return value in (".", ",", "'", " ", *_THOUSANDS)
    return value.lower() in ("true", "false") if name == "dayfirst" else bool(value)
