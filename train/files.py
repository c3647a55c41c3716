"""A CSV or Parquet file as columns of the few types that a model can be asked for in SQL.

Rule: a whole number, whose column may have gaps tomorrow, is a double; texts are `str`, moments UTC without a
zone. What a column holds is decided here once, by all of its values; a column that fits nothing is refused.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from train.errors import TrainError

ALMOST = 0.9  # a text column with more numbers than this share is a column of numbers with faults

Types = dict[str, str]


def read(path: Path, target: str | None) -> pd.DataFrame:
    """Return the rows of the file whose target is known."""
    if target is None:
        raise TrainError(f"{path} needs --target COLUMN: the column that the model shall predict.")
    form = "CSV" if path.suffix.lower() == ".csv" else "Parquet"
    try:
        if form == "CSV":
            header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
            names = [str(name) for name in header.iloc[0]]
        else:
            from pyarrow import parquet

            names = parquet.read_schema(path).names
        _check_names(names, target, path)
        # The whole of a column decides on its type, not each chunk of it.
        frame = pd.read_csv(path, index_col=False, low_memory=False) if form == "CSV" else pd.read_parquet(path)
    except (OSError, ValueError) as error:  # the parsers' errors and UnicodeDecodeError are ValueErrors
        raise TrainError(f"{path} cannot be read as {form}: {' '.join(str(error).split())}") from error
    return frame.reset_index(drop=True)[names]


def _check_names(names: list[str], target: str, path: Path) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if "" in names:
        raise TrainError(f"Column {names.index('') + 1} of {path} has no name; name it or take it out.")
    if twice:
        raise TrainError(f"{path} has more than one column named {twice[0]!r}; rename all but one.")
    if target not in names:
        columns = ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")
        raise TrainError(f"{path} has no column {target!r} for --target; its columns are {columns}.")
    if len(names) == 1:
        raise TrainError(f"{path} has only the target column {target!r}; at least one more is needed to learn from.")


def types(frame: pd.DataFrame, target: str, *, gaps: bool) -> Types:
    """Return the type of each column, the target last; `gaps` tells whether the target had any."""
    found = {str(name): _type(frame[name]) for name in frame.columns if name != target}
    return found | {target: _target_type(frame[target], gaps)}


def convert(frame: pd.DataFrame, types: dict[str, str]) -> pd.DataFrame:
    """Return the columns in the types that the model is trained with."""
    columns = {}
    for name, kind in types.items():
        column = frame[name]
        if kind == "datetime64[ns]":
            column = pd.to_datetime(column.astype(object), format="ISO8601", utc=True).dt.tz_localize(None)
        columns[name] = column.astype(kind)
    return pd.DataFrame(columns)


def _type(column: pd.Series) -> str:
    """Return the type that all values of a feature fit into."""
    known = column.dropna()
    if not len(known):
        raise TrainError(f"The column {column.name!r} has no value in any row; take it out or fill it.")
    kinds = set(map(type, known)) if column.dtype == object else set()
    if pd.api.types.is_bool_dtype(known.dtype) or kinds == {bool}:
        return "bool" if len(known) == len(column) else "boolean"
    if pd.api.types.is_numeric_dtype(known.dtype) and known.dtype.kind != "c":
        if np.isinf(known.to_numpy(np.float64)).any():
            raise TrainError(f"The column {column.name!r} holds infinite values; leave them empty or take it out.")
        return "float64"
    if pd.api.types.is_datetime64_any_dtype(known.dtype) or _all_are_moments(known):
        return "datetime64[ns]"
    names = {kind.__name__ for kind in kinds}
    if names == {"Decimal"}:
        return "float64"
    if names - {"str"} or not (kinds or pd.api.types.is_string_dtype(known.dtype) or known.dtype == "category"):
        held = ", ".join(sorted(names)) or known.dtype
        raise TrainError(
            f"The column {column.name!r} holds {held}; expected numbers, texts, dates, or true and false. Take it out."
        )
    _refuse_faulty_numbers(known)
    return "str"


def _all_are_moments(known: pd.Series) -> bool:
    """Tell whether every value, a text or a date of Python, is a moment as ISO 8601 writes it."""

    def parsed(values: pd.Series) -> pd.Series:
        return pd.to_datetime(values.astype(object), format="ISO8601", utc=True, errors="coerce")

    if pd.to_numeric(known[:100].astype(str), errors="coerce").notna().any() or parsed(known[:100]).isna().any():
        return False  # a year alone, or 20240131, is more often a number
    try:
        return bool(parsed(known).astype("datetime64[ns, UTC]").notna().all())
    except (ValueError, OverflowError):  # outside the years 1678 to 2261
        return False


def _refuse_faulty_numbers(known: pd.Series) -> None:
    numbers = pd.to_numeric(known.astype(str), errors="coerce").notna()
    if ALMOST <= numbers.mean() < 1:
        position = numbers.index[~numbers][0]
        raise TrainError(
            f"The column {known.name!r} holds numbers but for {int((~numbers).sum())} of {len(known)} values, "
            f"the first being {known[position]!r} in row {position + 1}; correct it or leave it empty."
        )


def _target_type(target: pd.Series, gaps: bool) -> str:
    """Return the type of the target, which is what the model's answers are declared as."""
    kind = _type(target)
    if kind == "datetime64[ns]":
        raise TrainError(f"The target {target.name!r} holds dates; expected numbers or classes.")
    if kind != "float64":
        return "bool" if kind == "boolean" else kind
    values: np.ndarray[Any, Any] = target.to_numpy(np.float64)
    # A gap makes doubles of a CSV file's whole numbers.
    whole = pd.api.types.is_integer_dtype(target.dtype) or (gaps and not (values % 1).any())
    return "int64" if whole and np.abs(values).max() < 2**53 else "float64"
