"""Reads a CSV or Parquet file into columns of the few types that a model takes from SQL.

Integers become doubles, because their column may have missing values later; text becomes `str`, timestamps UTC without
a time zone. All values of a column decide its type. A column of any other type raises TrainError.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from train.errors import TrainError

MOSTLY_NUMBERS = 0.9  # share of a text column's values from which the others are taken for typing errors

Types = dict[str, str]  # column -> dtype of pandas


def read(path: Path, target: str | None) -> pd.DataFrame:
    """Return all rows of the file as pandas reads them. Raise TrainError."""
    if target is None:
        raise TrainError(f"{path} needs --target COLUMN, the column to predict.")
    is_csv = path.suffix.lower() == ".csv"
    try:
        if is_csv:
            header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
            names = [str(name) for name in header.iloc[0]]
        else:
            from pyarrow import parquet

            names = parquet.read_schema(path).names
        _check_names(names, target, path)
        # low_memory=False infers the type of a column from all of it instead of chunk by chunk.
        frame = pd.read_csv(path, index_col=False, low_memory=False) if is_csv else pd.read_parquet(path)
    except (OSError, ValueError) as error:  # parser errors and UnicodeDecodeError are ValueErrors
        reason = " ".join(str(error).split())
        raise TrainError(f"{path} cannot be read as {'CSV' if is_csv else 'Parquet'}: {reason}") from error
    return frame.reset_index(drop=True)[names]


def _check_names(names: list[str], target: str, path: Path) -> None:
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if "" in names:
        raise TrainError(f"Column {names.index('') + 1} of {path} has no name; name or remove it.")
    if duplicates:
        raise TrainError(f"{path} has more than one column named {duplicates[0]!r}; rename all but one.")
    if target not in names:
        columns = ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")
        raise TrainError(f"{path} has no column {target!r} for --target; its columns are {columns}.")
    if len(names) == 1:
        raise TrainError(f"{path} has only the target column {target!r}; expected at least one feature column.")


def types(frame: pd.DataFrame, target: str, *, gaps: bool) -> Types:
    """Return the dtype of each column, the target last; `gaps` tells whether target values were missing."""
    features = {str(name): _dtype(frame[name]) for name in frame.columns if name != target}
    return features | {target: _target_dtype(frame[target], gaps)}


def convert(frame: pd.DataFrame, types: dict[str, str]) -> pd.DataFrame:
    """Return the columns in the types that the model is trained with."""
    columns = {}
    for name, dtype in types.items():
        column = frame[name]
        if dtype == "datetime64[ns]":
            column = pd.to_datetime(column.astype(object), format="ISO8601", utc=True).dt.tz_localize(None)
        columns[name] = column.astype(dtype)
    return pd.DataFrame(columns)


def _dtype(column: pd.Series) -> str:
    """Return the dtype that fits all values of a feature."""
    known = column.dropna()
    if not len(known):
        raise TrainError(f"The column {column.name!r} is empty in every row; remove it or fill it in.")
    value_types = set(map(type, known)) if column.dtype == object else set()
    if pd.api.types.is_bool_dtype(known.dtype) or value_types == {bool}:
        return "bool" if len(known) == len(column) else "boolean"
    if pd.api.types.is_numeric_dtype(known.dtype) and known.dtype.kind != "c":
        if np.isinf(known.to_numpy(np.float64)).any():
            raise TrainError(f"The column {column.name!r} holds infinite values; clear them or remove the column.")
        return "float64"
    if pd.api.types.is_datetime64_any_dtype(known.dtype) or _all_timestamps(known):
        return "datetime64[ns]"
    names = {value_type.__name__ for value_type in value_types}
    if names == {"Decimal"}:
        return "float64"
    is_text = value_types or pd.api.types.is_string_dtype(known.dtype) or known.dtype == "category"
    if names - {"str"} or not is_text:
        raise TrainError(
            f"The column {column.name!r} holds values of type {', '.join(sorted(names)) or known.dtype}; "
            "expected numbers, text, dates or booleans. Remove or convert it."
        )
    _check_numbers(known)
    return "str"


def _all_timestamps(known: pd.Series) -> bool:
    """Return whether every value, a text or a Python date, is a date or time in ISO 8601."""

    def parsed(values: pd.Series) -> pd.Series:
        return pd.to_datetime(values.astype(object), format="ISO8601", utc=True, errors="coerce")

    if pd.to_numeric(known[:100].astype(str), errors="coerce").notna().any() or parsed(known[:100]).isna().any():
        return False  # 2024 and 20240131 are more often numbers
    try:
        return bool(parsed(known).astype("datetime64[ns, UTC]").notna().all())
    except (ValueError, OverflowError):  # before 1678 or after 2261
        return False


def _check_numbers(known: pd.Series) -> None:
    """Raise TrainError for text that is mostly numbers, where the rest looks like typing errors."""
    numbers = pd.to_numeric(known.astype(str), errors="coerce").notna()
    if MOSTLY_NUMBERS <= numbers.mean() < 1:
        position = numbers.index[~numbers][0]
        raise TrainError(
            f"The column {known.name!r} holds numbers except in {int((~numbers).sum())} of {len(known)} values, "
            f"the first being {known[position]!r} in row {position + 1}; correct or clear them."
        )


def _target_dtype(target: pd.Series, gaps: bool) -> str:
    """Return the dtype of the target, which becomes the type of the model's predictions."""
    dtype = _dtype(target)
    if dtype == "datetime64[ns]":
        raise TrainError(f"The target {target.name!r} holds dates; expected numbers or classes.")
    if dtype != "float64":
        return "bool" if dtype == "boolean" else dtype
    values: np.ndarray[Any, Any] = target.to_numpy(np.float64)
    # pandas reads integers with gaps from CSV as doubles.
    whole = pd.api.types.is_integer_dtype(target.dtype) or (gaps and not (values % 1).any())
    return "int64" if whole and np.abs(values).max() < 2**53 else "float64"
