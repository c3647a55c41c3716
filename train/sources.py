"""Reads the table that `--data` names: a file, or a table in BigQuery."""

import dataclasses
from collections.abc import Sequence

from bqlocal.tables import SUFFIXES, WORKBOOKS, Reading, SourceError, Table, other_delimiter, read, retype
from train.errors import DataError

__all__ = ["BIGQUERY", "SUFFIXES", "WORKBOOKS", "check_columns", "listed", "parse_reading", "table"]

BIGQUERY = "bigquery:"


def parse_reading(options: Sequence[str]) -> Reading:
    """Return what `--read` asks for; raise DataError with everything that is wrong with it."""
    try:
        return Reading.parse(options)
    except SourceError as error:
        raise DataError(error.message) from error


def table(source: str, reading: Reading) -> Table:
    """Return the rows of a file or of a table in BigQuery; raise DataError if they can't be read."""
    try:
        if not source.startswith(BIGQUERY):
            return read(source, reading, dates_in_texts=True)
        from train.warehouse import fetch

        rows, notes = fetch(source.removeprefix(BIGQUERY))
        found = retype(rows, reading, guess_dates=True)
        return dataclasses.replace(found, notes=[*notes, *found.notes])
    except SourceError as error:
        raise DataError(error.message) from error


def listed(names: Sequence[str]) -> str:
    """Return the names of columns as a message lists them, the first ten."""
    return ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")


def check_columns(
    names: Sequence[str], where: str, target: str, excluded: Sequence[str], included: Sequence[str]
) -> None:
    """Raise DataError with everything that is wrong with the columns that options name."""
    problems = []
    for option, wanted in [("--target", [target]), ("--exclude", excluded), ("--include", included)]:
        for name in wanted:
            if name in names:
                continue
            mark = other_delimiter(names, name)
            advice = (
                f" --read delimiter={'space' if mark == ' ' else mark} makes a column of this name." if mark else ""
            )
            problems.append(f"{where} has no column {name!r} for {option}; its columns are {listed(names)}.{advice}")
    if target in excluded:
        problems.append(f"The target {target!r} is excluded by --exclude; leave it in, or name another target.")
    problems += [f"{name!r} is both in --exclude and in --include; give one." for name in included if name in excluded]
    if not problems and len(names) == 1:
        problems.append(f"{where} has only the target column {target!r}; expected at least one feature column.")
    elif not problems and not set(names) - {target, *excluded}:
        problems.append(f"--exclude leaves no feature column of {where}; expected at least one.")
    if problems:
        raise DataError("\n".join(problems))
