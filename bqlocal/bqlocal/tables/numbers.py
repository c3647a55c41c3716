"""Reads numbers as people write them: 1,234.5 or 1.234,5, $ 5, 15 %, 19M, 113.6㎡, and digits of other scripts.

A text can mean two numbers: 1,234 is 1234 or 1.234. A notation is therefore chosen for all values of a column at once,
and only if no other notation reads them as other numbers. Units and currencies are read on request only, because SQL
will send the bare number.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

# Cells that stand for a missing value in a column of numbers, booleans or dates, in lower case.
NULL_WORDS = frozenset(
    ["", "?", "-", "--", "---", "–", "—", "na", "n/a", "n.a.", "nan", "<na>", "#n/a", "#na", "none", "null", "(null)"]
)
_SPACES = dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f\u3000"), " ")
_SIGNS = {ord("−"): "-", ord("’"): "'", ord("‘"): "'", ord("´"): "'", ord("٫"): ".", ord("٬"): ",", ord("٪"): "%"}
_WIDE = {ord("，"): ",", ord("．"): ".", ord("％"): "%", ord("＋"): "+", ord("－"): "-", ord("＄"): "$", ord("￥"): "¥"}
_VARIANTS = _SPACES | _SIGNS | _WIDE
_SPACES_AND_SIGNS = _SPACES | {ord("−"): "-", ord("’"): "'"}
_MULTIPLIERS = {
    "k": 1e3, "thousand": 1e3, "tsd": 1e3, "m": 1e6, "mn": 1e6, "mio": 1e6, "million": 1e6, "millions": 1e6,
    "b": 1e9, "bn": 1e9, "billion": 1e9, "billions": 1e9, "mrd": 1e9, "t": 1e12, "tn": 1e12, "trillion": 1e12,
    "lakh": 1e5, "lakhs": 1e5, "lac": 1e5, "crore": 1e7, "crores": 1e7, "cr": 1e7, "万": 1e4, "億": 1e8, "亿": 1e8,
}  # fmt: skip
_PLURAL = re.compile(r"(?<=[^\W\d_]{2})s$")  # 1 season, 2 seasons; but m is not ms
_SIZE = re.compile(r"[x×]\s*\d", re.IGNORECASE)  # the second half of 2x3
_PARTS = re.compile(
    r"(?P<open>\()?(?P<sign>[-+]?)\s*(?P<prefix>[^\d\s<>≤≥~(+.,'-][^\d\s<>≤≥~(+'-]{0,4})?\s*(?P<inner>[-+]?)\s*"
    r"(?P<digits>\.?\d(?:[\d.,' ]*\d)?[.,]?)(?:e(?P<exponent>[-+]?\d+))?\s*"
    r"(?P<plus>\+)?\s*(?P<suffix>[^\d\s\-+/:'.,()^*=&|#][^\d:()]*?[23²³]?)?(?P<minus>-)?(?P<more>\+)?(?P<close>\))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Notation:
    """The character before the fraction, and the one between thousands ("" for none)."""

    decimal: str = "."
    thousands: str = ""

    def __str__(self) -> str:
        parts = [f"decimal {self.decimal!r}"] if self.decimal != "." or not self.thousands else []
        return " and ".join(parts + ([f"thousands {self.thousands!r}"] if self.thousands else []))


PLAIN = Notation()
_MARKS = product(".,", ["", ",", ".", " ", "'"])
NOTATIONS = [Notation(decimal, thousands) for decimal, thousands in _MARKS if decimal != thousands]


class AmbiguousError(ValueError):
    """Notations read the same texts as different numbers."""


def _pattern(notation: Notation) -> re.Pattern[str]:
    decimal, group = re.escape(notation.decimal), re.escape(notation.thousands)
    whole = r"\d+"
    if group:
        whole = rf"(?:\d+|[1-9]\d{{0,2}}(?:{group}\d{{3}})+"
        whole += r"|[1-9]\d?(?:,\d{2})+,\d{3})" if group == "," else ")"  # 12,34,567 in India
    return re.compile(rf"[-+]?(?:{whole}(?:{decimal}\d*)?|{decimal}\d+)(?:E[-+]?\d+)?|[-+]?inf(?:inity)?", re.A | re.I)


_PATTERNS = {notation: _pattern(notation) for notation in NOTATIONS}


def cleaned(text: str) -> str:
    """Return a text without spaces around it, with ASCII digits, spaces and signs in place of their variants."""
    if text.isascii():
        return text.strip()
    text = text.translate(_VARIANTS).strip()
    return "".join(str(unicodedata.decimal(character, character)) for character in text)


def spaced(text: str) -> str:
    """Return a text without spaces around it, with one kind of space, minus and apostrophe; digits stay."""
    return text.strip() if text.isascii() else text.translate(_SPACES_AND_SIGNS).strip()


def value(text: str, notation: Notation) -> float:
    """Return the number that a text has in a notation; raise ValueError if it has none."""
    if not _PATTERNS[notation].fullmatch(text):
        raise ValueError(f"{text!r} is no number")
    bare = text.replace(notation.thousands, "") if notation.thousands else text
    return float(bare.replace(notation.decimal, "."))


def fits_any(text: str) -> bool:
    """Tell whether a text is a number in any notation."""
    return any(pattern.fullmatch(text) for pattern in _PATTERNS.values())


def notation_of(texts: Sequence[str], allowed: Sequence[Notation] = NOTATIONS) -> Notation | None:
    """Return the notation in which all texts are numbers, None without one; raise AmbiguousError if it isn't clear."""
    fitting = [each for each in allowed if all(map(_PATTERNS[each].fullmatch, texts))]
    if not fitting:
        return None
    first = [value(text, fitting[0]) for text in texts]
    if any([value(text, other) for text in texts] != first for other in fitting[1:]):
        raise AmbiguousError
    return fitting[0]


def allowed_notations(decimal: str | None, thousands: str | None) -> list[Notation]:
    """Return the notations with these characters, where given."""
    return [
        each
        for each in NOTATIONS
        if (decimal is None or each.decimal == decimal)
        and (thousands is None or (each.thousands in ("", thousands) and each.decimal != thousands))
    ]


@dataclass(frozen=True)
class _Measured:
    sign: int
    digits: str
    exponent: str
    unit: str
    multiplier: str


@dataclass(frozen=True)
class Measures:
    """Numbers by text, None for texts that aren't numbers; and the unit that they share, "" without one."""

    values: Mapping[str, float | None]
    unit: str
    notation: Notation

    @property
    def unread(self) -> list[str]:
        """The texts that aren't numbers."""
        return [text for text, number in self.values.items() if number is None]


class MixedUnitsError(ValueError):
    """The numbers of a column have several units; the arguments are two of the texts."""


def measures(texts: Iterable[str], allowed: Sequence[Notation] = NOTATIONS) -> Measures:
    """Read numbers with a currency, a unit, a percent sign or a multiplier such as k or million.

    Raise AmbiguousError where the meaning of a separator isn't clear, and MixedUnitsError for kg among g, $ among €, or
    15% among 0.15.
    """
    texts = list(texts)
    parsed = {text: _measured(text) for text in texts}
    found = {text: each for text, each in parsed.items() if each is not None}
    # Notations that read fewer texts are no rivals of one that reads more.
    read = {
        notation: [text for text, each in found.items() if _PATTERNS[notation].fullmatch(each.digits)]
        for notation in allowed
    }
    notation = max(allowed, key=lambda each: len(read[each]))
    best = read[notation]
    for rival in (each for each in allowed if len(read[each]) == len(best)):
        both = [found[text].digits for text in set(best) & set(read[rival])]
        if [value(digits, rival) for digits in both] != [value(digits, notation) for digits in both]:
            raise AmbiguousError
    found = {text: found[text] for text in best}
    # In a column with k, a lower-case m is million; alone it is a unit.
    words = {each.multiplier for each in found.values()} - {""}
    scaled = bool({word.lower() for word in words} - {"m", "b", "t", "cr"}) or any(word.isupper() for word in words)
    unit = _shared_unit(found, scaled)
    numbers: dict[str, float | None] = dict.fromkeys(texts)
    for text, each in found.items():
        number = each.sign * value(each.digits, notation) * 10.0 ** int(each.exponent or 0)
        factor = _MULTIPLIERS[each.multiplier.lower()] if each.multiplier and (scaled or each.unit) else 1.0
        numbers[text] = number * factor
    return Measures(numbers, unit, notation)


def _shared_unit(found: Mapping[str, _Measured], scaled: bool) -> str:
    """Return the unit of all values; raise MixedUnitsError if they have more than one, zero excepted."""
    by_unit: dict[str, str] = {}
    for text, each in found.items():
        unit = each.unit or ("" if scaled else each.multiplier)
        if unit or float(re.sub(r"\D", "", each.digits) or 0):
            by_unit.setdefault(_PLURAL.sub("", unit.lower()), text)
    units = [unit for unit in by_unit if unit]
    if len(units) > 1:
        raise MixedUnitsError(by_unit[units[0]], by_unit[units[1]])
    if units == ["%"] and "" in by_unit:
        raise MixedUnitsError(by_unit["%"], by_unit[""])
    return units[0] if units else ""


def _measured(text: str) -> _Measured | None:
    """Take a text apart; None if it has more than one number, a comparison, or a long word before the number."""
    match = _PARTS.fullmatch(cleaned(text))
    if not match or bool(match["open"]) != bool(match["close"]):
        return None
    signs = [match["sign"], match["inner"], match["minus"] or ""]
    negative = signs.count("-") + bool(match["open"])
    prefix, suffix = (match["prefix"] or "").rstrip("."), (match["suffix"] or "").strip().rstrip(".")
    multiplier, rest = "", suffix
    word = re.match(r"[^\W\d_]+", suffix)
    if word and word[0].lower() in _MULTIPLIERS and (word.end() == len(suffix) or prefix or suffix[word.end()] in " +"):
        multiplier, rest = word[0], suffix[word.end() :].strip(" +")
    elif len(suffix) == 2 and suffix[0] in "kKmMbB" and unicodedata.category(suffix[1]) == "Sc":
        multiplier, rest = suffix[0], suffix[1]
    if negative > 1 or (prefix and rest and prefix.lower() != rest.lower()) or _SIZE.fullmatch(suffix):
        return None
    return _Measured(-1 if negative else 1, match["digits"], match["exponent"] or "", prefix or rest, multiplier)
