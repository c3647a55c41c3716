"""Looks at the data before the search, as a colleague would: what will mislead a model, and what is no feature at all.

A finding is one sentence for all columns of its kind. IDs and columns without values are left out of the features, so
that nobody has to pass them to the SQL function; everything else is only said.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pandas as pd

from train import traits
from train.leaks import leaks
from train.target import Task, plain

NEARLY_EMPTY = 0.95  # share of missing values

# Kind -> the sentence around the columns.
SENTENCES = {
    "empty": ("Left out, since they have no value", "remove them from the data"),
    "index": ("Left out, since they count rows", "--include COLUMN keeps one"),
    "id": ("Left out, since they name rows", "--include COLUMN keeps one"),
    "group": ("Several rows each have the same ID", "--group COLUMN holds out whole groups instead of random rows"),
    "constant": ("Always the same value", "--exclude COLUMN saves an argument of the SQL function"),
    "nearly empty": ("Nearly empty", "--exclude COLUMN leaves one out"),
    "leak": ("Predicting the target almost perfectly", "--exclude COLUMN leaves one out"),
    "sorted": ("The rows are sorted by the target", "a number of the row would give it away"),
    "spelling": ("Texts that differ in spaces or capitals only", "make them equal in the data"),
    "placeholder": ("Frequent, and far from all other values", "--read null-marker=VALUE reads it as NULL"),
    "dates as numbers": ("Whole numbers that are dates", "write them as 2024-06-05"),
    "outliers": ("A few values of the target decide its error", "check whether they are right"),
    "ordered": ("The rows are in the order of a date", "--time COLUMN holds out the latest instead of random rows"),
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """What stands out in columns, as a sentence; `kind` is its name in scores.json."""

    kind: str
    columns: tuple[str, ...]
    text: str


@dataclasses.dataclass(frozen=True)
class Names:
    """Columns of which more is known than their values."""

    integers: Collection[str] = ()  # whole numbers in the file
    included: Collection[str] = ()  # features even if they name rows
    unnamed: Collection[str] = ()  # without a name in the file
    unread: Collection[str] = ()  # texts that look like numbers or dates


@dataclasses.dataclass(frozen=True)
class Check:
    """The findings, the columns that are left out of the features, and a summary of each column."""

    findings: list[Finding]
    left_out: tuple[str, ...]
    columns: list[dict[str, Any]]  # name, type, nulls, distinct, left_out

    def to_json(self) -> dict[str, Any]:
        """Return the check as it stands in scores.json."""
        return {"columns": self.columns, "findings": [dataclasses.asdict(finding) for finding in self.findings]}


def check(features: pd.DataFrame, target: pd.Series, task: Task, names: Names) -> Check:
    """Look at the rows that are used, in the order of the file."""
    distinct = {name: int(features[name].nunique()) for name in features}
    no_features = _no_features(features, distinct, names)
    left_out = [name for columns in no_features.values() for name in columns]
    used = features.drop(columns=left_out)
    everything = used.assign(**{str(target.name): target})
    constant = {name: _example(used[name]) for name in used if distinct[name] == 1}
    missing = used.isna().mean()
    is_numbered = any(traits.counts_rows(features[name]) for name in left_out)
    stands_out: dict[str, Mapping[str, str]] = no_features | {
        "group": {
            name: f"{distinct[name]:,} values"
            for name in used
            if name not in names.included and traits.is_group(used[name], distinct[name])
        },
        "constant": constant,
        "nearly empty": {name: f"{missing[name]:.1%} missing" for name in used if missing[name] > NEARLY_EMPTY},
        "leak": leaks(used.drop(columns=list(constant)), target, task),
        "sorted": {str(target.name): ""} if is_numbered and traits.is_sorted(target) else {},
        "spelling": _each(everything, traits.spellings),
        "placeholder": _each(everything, traits.placeholder),
        "dates as numbers": {
            name: _example(used[name]) for name in used if name in names.integers and traits.are_days(used[name])
        },
        "outliers": traits.outliers(target) if task == "regression" else {},
        "ordered": {name: "" for name in used if name not in names.included and traits.is_ordered_date(used[name])},
    }
    findings = [_finding(kind, columns) for kind, columns in stands_out.items() if columns]
    summaries = [_summary(features[name], distinct[name], name in left_out) for name in features]
    summaries.append(_summary(target, int(target.nunique()), False))
    return Check([*findings, *_repeated(everything)], tuple(left_out), summaries)


def _no_features(features: pd.DataFrame, distinct: Mapping[str, int], names: Names) -> dict[str, Mapping[str, str]]:
    """Return the columns that are left out, by kind, each with an example."""
    empty = {name: "" for name in features if distinct[name] == 0}
    maybe = [name for name in features if name not in names.included]
    index = {
        name: ""
        for name in maybe
        if (name in names.unnamed or name.startswith("Unnamed: ")) and traits.counts_rows(features[name])
    }
    ids = {
        name: _example(features[name])
        for name in maybe
        if name not in {*index, *names.unread} and traits.is_id(features[name], distinct[name], name in names.integers)
    }
    return {"empty": empty, "index": index, "id": ids}


def _finding(kind: str, columns: Mapping[str, str]) -> Finding:
    listed = ", ".join(f"{name} ({detail})" if detail else name for name, detail in columns.items())
    start, end = SENTENCES[kind]
    return Finding(kind, tuple(columns), f"{start}: {listed}; {end}.")


def _each(frame: pd.DataFrame, question: Callable[[pd.Series], str]) -> dict[str, str]:
    """Return the answers to a question about each column, without empty ones."""
    return {str(name): answer for name in frame if (answer := question(frame[name]))}


def _example(column: pd.Series) -> str:
    value = plain(column.dropna().iloc[0])
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:.15g}"
    return repr(value)


def _summary(column: pd.Series, distinct: int, is_left_out: bool) -> dict[str, Any]:
    kinds = {"float64": "number", "int64": "number", "bool": "boolean", "boolean": "boolean", "str": "text"}
    return {
        "name": str(column.name),
        "type": kinds.get(str(column.dtype), "date"),
        "nulls": int(column.isna().sum()),
        "distinct": distinct,
        "left_out": is_left_out,
    }


def _repeated(everything: pd.DataFrame) -> list[Finding]:
    count = int(everything.duplicated().sum())
    if not count or len(everything.columns) < 3:
        return []
    rows = "1 row is a copy of another" if count == 1 else f"{count:,} rows are copies of others"
    text = f"{rows}; among both training and held-out rows, they can flatter the scores."
    return [Finding("repeated", (), text)]
