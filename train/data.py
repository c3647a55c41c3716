"""Loads training data: a scikit-learn data set by name, or a file or a table in BigQuery with a target column.

The result is the same for every source: features with unique column names, a target without missing values, the task,
and what a person should know about the data. Data that cannot be learned from raises DataError here, before anything
expensive starts.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pandas as pd

from bqlocal.tables import AS_FOUND, Hint, Reading, sentences
from train import files
from train.bundled import BUNDLED
from train.check import Check, Finding, Names, check
from train.errors import DataError
from train.sources import BIGQUERY, SUFFIXES, WORKBOOKS, check_columns, table
from train.target import ADVICE, Target, Task, quantity
from train.target import target as target_of

__all__ = ["Data", "Options", "Task", "load"]


@dataclasses.dataclass(frozen=True)
class Options:
    """How to read the data, and what to make of its columns."""

    reading: Reading = AS_FOUND
    excluded: Sequence[str] = ()  # columns that are no features
    included: Sequence[str] = ()  # columns that are features although they name rows
    split_by: Sequence[str] = ()  # columns that decide which rows are held out, which are kept as well
    strict: bool = False  # whether a finding ends the run


AS_IT_IS = Options()
NOT_CHECKED = Check([], (), [])


@dataclasses.dataclass(frozen=True)
class Data:
    """Features and target, row by row; the last fields describe a file and stay empty for a data set."""

    name: str
    features: pd.DataFrame
    target: pd.Series
    task: Task
    path: Path | None = None
    integers: tuple[str, ...] = ()  # integer columns of the file, which the model takes as optional doubles
    reading: Reading = AS_FOUND  # how the file was read
    reason: str = ""  # for the task
    notes: tuple[str, ...] = ()  # what was guessed or left out
    checked: Check = NOT_CHECKED
    is_bundled: bool = False  # whether this is a data set of scikit-learn with all of its columns

    def card(self) -> dict[str, Any]:
        """Return what scores.json says about the data."""
        return {"task_reason": self.reason, "notes": list(self.notes), **self.checked.to_json()}


def load(source: str, target: str | None, task: Task | None = None, options: Options = AS_IT_IS) -> Data:
    """Load a data set by name, a file by path, or a table in BigQuery; print what was found. Raise DataError."""
    if source in BUNDLED:
        if target is not None:
            raise DataError(f"--target {target!r} applies to files only; the data set {source!r} has its own target.")
        frame = BUNDLED[source]()
        target = str(frame.columns[-1])
        check_columns([str(name) for name in frame], source, target, options.excluded, options.included)
        found = files.Frame(frame.drop(columns=list(options.excluded)), (), [], [])
        start = Data(source, frame, frame[target], "regression", is_bundled=not options.excluded)
        data = _data(start, found, target, task, options, ())
    else:
        if not source.startswith(BIGQUERY) and not source.lower().removesuffix(".gz").endswith((*SUFFIXES, *WORKBOOKS)):
            known = ", ".join(sorted(BUNDLED))
            raise DataError(
                f"--data {source!r} is neither one of {known} nor a file that ends in {', '.join(SUFFIXES)}, nor "
                "bigquery:project.dataset.table."
            )
        data = _from_table(source, target, task, options)
    _say(data, options.strict)
    return data


def _from_table(source: str, target: str | None, task: Task | None, options: Options) -> Data:
    """Read a file or a table in BigQuery, and leave out what was excluded before its types matter."""
    if target is None:
        raise DataError(f"{source} needs --target COLUMN, the column to predict.")
    rows = table(source, options.reading)
    names = rows.rows.column_names
    check_columns(names, source, target, options.excluded, options.included)
    kept = [name for name in names if name not in options.excluded]
    hints = [hint for hint in rows.hints if hint.column in kept]
    rows = dataclasses.replace(rows, rows=rows.rows.select(kept), hints=hints)
    path = None if source.startswith(BIGQUERY) else Path(source).absolute()
    name = source.rpartition(".")[2] if path is None else path.name.partition(".")[0]
    found = files.frame(rows)
    notes = [*rows.notes, *found.notes]
    found = dataclasses.replace(found, notes=notes, hints=[*hints, *found.hints])
    column = found.columns[target]
    start = Data(name, found.columns, column, "regression", path, found.integers, rows.reading)
    return _data(start, found, target, task, options, rows.unnamed)


def _data(
    start: Data, found: files.Frame, target: str, task: Task | None, options: Options, unnamed: Sequence[str]
) -> Data:
    """Choose the rows and the task, check the columns, and leave out those that are no features."""
    where = str(start.path) if start.path else start.name
    column: Target = target_of(found.columns[target], target, where, task, found.hints)
    features = found.columns.loc[column.values.index].drop(columns=target)
    checked = check(
        features,
        column.values,
        column.task,
        Names(
            found.integers,
            [*options.included, *options.split_by],
            unnamed,
            [hint.column for hint in found.hints if hint.kind in ADVICE],
        ),
    )
    features = features.drop(columns=list(checked.left_out))
    if features.empty:
        raise DataError(f"Every feature column of {where} is left out: {', '.join(checked.left_out)}; --include one.")
    checked = dataclasses.replace(checked, findings=[*_hints(found.hints, features), *checked.findings])
    return dataclasses.replace(
        start,
        features=features.reset_index(drop=True),
        target=column.values.reset_index(drop=True),
        task=column.task,
        integers=tuple(name for name in found.integers if name in features),
        reason=column.reason,
        notes=(*found.notes, *column.notes),
        is_bundled=start.is_bundled and not checked.left_out and not column.notes,
        checked=checked,
    )


def _hints(hints: Sequence[Hint], features: pd.DataFrame) -> list[Finding]:
    """Return what columns of texts look like, for those that are features."""
    mine = [hint for hint in hints if hint.column in features]
    findings = []
    for kind in dict.fromkeys(hint.kind for hint in mine):
        same = [hint for hint in mine if hint.kind == kind]
        findings.append(Finding(kind, tuple(hint.column for hint in same), sentences(same)[0]))
    return findings


def _say(data: Data, strict: bool) -> None:
    """Print what was guessed and found; raise DataError for a finding if `strict`."""
    columns = [column for column in data.checked.columns if column["name"] in data.features]
    kinds = [column["type"] for column in columns]
    counts = ", ".join(
        quantity(kinds.count(kind), kind) for kind in ("number", "text", "date", "boolean") if kind in kinds
    )
    gaps = sum(column["nulls"] > 0 for column in columns)
    missing = f", {gaps} with missing values" if gaps else ""
    lines = [f"{data.name}: {len(data.features):,} rows, features: {counts}{missing}."]
    lines.append(f"{data.task.capitalize()} of {data.target.name}: {data.reason}.")
    click.echo("\n".join([*lines, *data.notes, *(finding.text for finding in data.checked.findings)]), err=True)
    if strict and data.checked.findings:
        raise DataError(
            f"--strict: the findings printed above end the run, {len(data.checked.findings)} in {data.name}. Exclude "
            "columns, say how they are read, or leave out --strict."
        )
