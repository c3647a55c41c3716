"""Reads dates as people write them: 2024-06-05, 20240605T101500, 05/06/2024, 5 June 2024, each with or without a time.

05/06/2024 is the 5th of June or the 6th of May. The order of day and month is therefore chosen for all values of a
column that have the same separator, and only if no value fits both orders or another value fits one of them alone.
"""

import datetime
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bqlocal.tables.numbers import cleaned

_TIME = (
    r"(?:(?:T|,?\s+|\s+at\s+)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<half>[ap]\.?m\.?)?)?\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?"
)
_NAMED = r"(?:[^\W\d_]{2,9}\.?,?\s+)?"  # the day of the week
_ORDINAL = r"(?:st|nd|rd|th|\.)?"
_FORMS = {
    "basic": re.compile(
        r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})T(?P<hour>\d{2})(?P<minute>\d{2})"
        r"(?:(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?(?P<half>)(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?"
    ),
    "year": re.compile(r"(?P<year>\d{4})(?P<mark>[-/.])(?P<month>\d{1,2})(?P=mark)(?P<day>\d{1,2})" + _TIME, re.I),
    "cjk": re.compile(
        r"(?P<year>\d{4})\s*[年년]\s*(?P<month>\d{1,2})\s*[月월]\s*(?P<day>\d{1,2})\s*[日일]" + _TIME, re.I
    ),
    "short": re.compile(
        r"(?P<first>\d{1,2})(?P<mark>[-/.])(?P<then>\d{1,2})(?P=mark)(?P<year>\d{4}|\d{2})" + _TIME, re.I
    ),
    "day name": re.compile(
        _NAMED
        + rf"(?P<day>\d{{1,2}}){_ORDINAL}[\s.-]*(?:of\s+|de\s+)?(?P<name>[^\W\d_]{{3,10}})\.?(?:[\s,.-]+|\s+de\s+)"
        rf"(?P<year>\d{{4}}|\d{{2}})" + _TIME,
        re.I,
    ),
    "name day": re.compile(
        _NAMED + rf"(?P<name>[^\W\d_]{{3,10}})\.?[\s-]+(?P<day>\d{{1,2}}){_ORDINAL}[,\s-]+(?P<year>\d{{4}})" + _TIME,
        re.I,
    ),
    # Wed Jun 05 10:00:00 2024, as C writes it
    "ctime": re.compile(
        r"[A-Z][a-z]{2}\s+(?P<name>[A-Z][a-z]{2})\s+(?P<day>\d{1,2})\s+(?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2})"
        r"(?P<fraction>)(?P<half>)\s+(?P<zone>UTC|GMT|[+-]\d{4})?\s*(?P<year>\d{4})"
    ),
}
# English, German, French, Spanish, Italian, Portuguese and Dutch; a name may be cut after three letters.
_MONTHS = (
    "january jänner januar janvier enero gennaio janeiro januari",
    "february februar février fevrier febrero febbraio fevereiro",
    "march märz mrz maerz mars marzo março maart mrt", "april avril abril aprile", "may mai mayo maggio maio mei",
    "june juni juin junio giugno junho", "july juli juillet julio luglio julho", "august août aout agosto augustus",
    "september septembre septiembre settembre setembro sept", "october oktober octobre octubre ottobre outubro",
    "november novembre noviembre novembro", "december dezember décembre diciembre dicembre dezembro",
)  # fmt: skip
PIVOT = 69  # two digits of a year from here on are of the 1900s, as in POSIX


@dataclass(frozen=True)
class Dates:
    """Dates by text, without a time zone; how day and month are ordered by separator, and what the texts have."""

    values: Mapping[str, datetime.datetime]
    day_first: Mapping[str, bool] = field(default_factory=dict)
    guessed: bool = False  # whether an order was chosen
    has_time: bool = False
    has_zone: bool = False
    lacks_zone: bool = False  # some, but not all, have a zone
    short_years: bool = False


class AmbiguousError(ValueError):
    """Every value of a column fits both orders of day and month; the argument is one of them."""


def dates(texts: Iterable[str], day_first: bool | Mapping[str, bool] | None = None) -> Dates | None:
    """Read all texts as dates; None if one of them isn't any. Raise AmbiguousError if the order isn't clear.

    `day_first` decides the order, for all dates or by separator; None leaves it to the values.
    """
    matches: dict[str, re.Match[str]] = {}
    form = next(iter(_FORMS.values()))
    for text in texts:
        clean = cleaned(text)
        match = form.fullmatch(clean)  # most texts have the form of the one before
        if match is None:
            fitting = [each for each in _FORMS.values() if each.fullmatch(clean)]
            if not fitting:
                return None
            form = fitting[0]
            match = form.fullmatch(clean)
            assert match is not None
        matches[text] = match
    short: dict[str, list[tuple[int, int, str]]] = {}
    for match in matches.values():
        if match.re is _FORMS["short"]:
            short.setdefault(match["mark"], []).append((int(match["first"]), int(match["then"]), match["year"]))
    orders, guessed, unclear = {}, False, None
    for mark, pairs in short.items():
        if day_first is None and _year_may_come_first(short[mark]):
            unclear = mark
        order = day_first.get(mark) if isinstance(day_first, Mapping) else day_first
        if order is None:
            fits = [all(1 <= day <= 31 and 1 <= month <= 12 for day, month, _ in pairs)]
            fits.append(all(1 <= day <= 31 and 1 <= month <= 12 for month, day, _ in pairs))
            if fits == [False, False]:
                return None
            if fits == [True, True] and any(day != month for day, month, _ in pairs):
                unclear = mark
            order, guessed = fits[0], True
        orders[mark] = order
    try:
        values = {text: _moment(match, orders) for text, match in matches.items()}
    except (KeyError, ValueError, OverflowError):
        return None
    if unclear is not None:
        raise AmbiguousError(next(text for text, match in matches.items() if match.groupdict().get("mark") == unclear))
    return Dates(
        values,
        orders,
        guessed,
        any(match["hour"] for match in matches.values()),
        any(match["zone"] for match in matches.values()),
        len({bool(match["zone"]) for match in matches.values()}) > 1,
        any(len(match["year"]) == 2 for match in matches.values()),
    )


def _moment(match: re.Match[str], orders: Mapping[str, bool]) -> datetime.datetime:
    """Return the date and time in UTC; raise KeyError or ValueError if there is no such day or month."""
    groups = match.groupdict()
    if match.re is _FORMS["short"]:
        day, month = int(groups["first"]), int(groups["then"])
        if not orders[groups["mark"]]:
            day, month = month, day
    else:
        day = int(groups["day"])
        month = int(groups["month"]) if groups.get("month") else _month(groups["name"])
    year = int(groups["year"])
    if len(groups["year"]) == 2:
        year += 1900 if year >= PIVOT else 2000
    hour = int(groups["hour"] or 0)
    if groups["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(groups["hour"])
        hour = hour % 12 + 12 * (groups["half"][0].lower() == "p")
    microsecond = int((groups["fraction"] or "").ljust(6, "0")[:6] or 0)
    moment = datetime.datetime(
        year, month, day, hour, int(groups["minute"] or 0), int(groups["second"] or 0), microsecond
    )
    return moment - _offset(groups["zone"] or "")


def _year_may_come_first(triples: Sequence[tuple[int, int, str]]) -> bool:
    """Tell whether dates such as 15/03/27 vary more in their last part than in the first, as with the year first."""
    firsts, _, lasts = map(set, zip(*triples, strict=True))
    return len(lasts) > len(firsts) and all(len(last) == 2 and 1 <= int(last) <= 31 for last in lasts)


@functools.cache
def _month(name: str) -> int:
    """Return the number of a month; raise KeyError if it isn't one."""
    name = name.lower()
    for number, names in enumerate(_MONTHS, 1):
        if any(each.startswith(name) for each in names.split()):
            return number
    raise KeyError(name)


def _is_month(name: str | None) -> bool:
    try:
        return name is None or bool(_month(name))
    except KeyError:
        return False


def _offset(zone: str) -> datetime.timedelta:
    if not zone or zone.upper() in ("Z", "UTC", "GMT"):
        return datetime.timedelta()
    digits = zone[1:].replace(":", "")
    minutes = int(digits[:2]) * 60 + int(digits[2:] or 0)
    return datetime.timedelta(minutes=-minutes if zone[0] == "-" else minutes)


_DURATION = re.compile(
    r"(?:\d+(?:[.,]\d+)?\s*(?:d|days?|h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?"
    r"|tage?|std|stunden?|minuten?|sek|sekunden?|jours?|heures?|d[ií]as?|horas?|minutos?)\.?,?\s*)+"
    r"|P(?=[\dT])(?:\d+[YMWD])*(?:T(?:\d+(?:\.\d+)?[HMS])+)?|\d+ days?,? \d+:\d{2}(?::\d{2}(?:\.\d+)?)?",
    re.I,
)
_CLOCK = re.compile(r"\d{1,3}:[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:\s*[ap]\.?m\.?)?", re.I)
_MONTH_YEAR = re.compile(
    r"(?P<name>[^\W\d_]{3,10})\.?[\s,'-]*(?:\d{4}|\d{2})|\d{1,2}/\d{4}|\d{4}-\d{2}|\d{1,2}\.?\s[^\W\d_]+\s\d{4}"
)
_PART_OF_YEAR = re.compile(r"\d{4}[\s-]?(?:W\d{1,2}|[QH][1-4])|[QH][1-4][\s/-]?\d{4}", re.I)


def time_like(texts: Iterable[str]) -> str:
    """Return what all texts are, such as "durations" or "times of day"; "" if they have nothing to do with time."""
    texts = [cleaned(text) for text in texts]
    if all(map(_DURATION.fullmatch, texts)) and any(
        re.search(r"h|min|se[ck]|day|std|tag|jour|d[ií]a|P", text, re.I) for text in texts
    ):
        return "durations"
    if all(map(_CLOCK.fullmatch, texts)):
        return "times of day"
    if all(map(_PART_OF_YEAR.fullmatch, texts)):
        return "weeks, quarters or halves of a year"
    matches = [_MONTH_YEAR.fullmatch(text) for text in texts]
    if all(match and _is_month(match["name"]) for match in matches):
        return "months or dates in words"
    return ""
