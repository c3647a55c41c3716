"""Tries a model on its own input example, before it answers anybody: how it takes its rows, and what it returns."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from loading import made_up
from loading.category_columns import check_category_columns
from loading.declared import check_declared
from loading.fitted import missing_texts, scores_rows_alone, takes_array, takes_text_series
from loading.made_signature import column_names
from loading.row_dependence import RowsDepend, check_rows
from loading.signature import NO_SIGNATURE
from serving import encoding, results
from serving.decoding import from_arguments
from serving.errors import ModelUnusable, describe_error, short_repr
from serving.model import Model
from serving.model_input import InputForm
from serving.rows import Rows

MAX_ROWS = 20  # of the example that are tried in several ways
_MADE_UP = {  # by MLflow type or dtype; a number is 1
    "boolean": True,
    "bool": True,
    "string": "a",
    "str": "a",
    "any": "a",
    "binary": "YQ==",
    "datetime": "2020-01-01T00:00:00Z",
}
_INDEXED = (pd.Series, pd.DataFrame, Mapping)
_UNCHECKED = "Whether its answer for a row depends on the other rows could not be checked."


def try_out(model: Model, *, allow_dependence: bool) -> None:
    """Set the model's input form, outputs, and the notes about it for the log.

    Raise ModelUnusable for a model whose result for its input example doesn't match its signature, that was fitted on
    other columns or on category columns of pandas, and, unless `allow_dependence`, that isn't deterministic or whose
    answer for a row depends on the other rows. Without an example, a row made from the signature is tried.
    """
    check_category_columns(model)
    # scikit-learn warns about an array after it was fitted on a DataFrame; takes_array knows when that is right.
    warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
    model.form = _form(model)
    model.outputs = model.signature.outputs
    rows = model.example_rows
    if rows is None:
        _check_made_up_rows(model)
        if not scores_rows_alone(model.estimator):
            model.notes.append(f"The model has no usable input example. {_UNCHECKED}")
        return
    try:
        result = model.predict(rows)
        model.keeps_index = _keeps_index(model, rows, result)
        model.outputs = encoding.settle_outputs(result, model.signature.outputs, len(rows))
        encoding.encode(result, model.outputs, len(rows), keeps_index=model.keeps_index)
    except Exception as cause:
        model.example_error = cause
        check_declared(model)
        if isinstance(cause, ModelUnusable) or not model.signature.outputs:
            model.check_example()
        model.notes.append(f"The model cannot score its own input example: {describe_error(cause)}")
        return
    model.notes.extend(_widened(model))
    if len(rows) < 2 and not scores_rows_alone(model.estimator):
        model.notes.append(f"The model's input example has one row. {_UNCHECKED}")
    try:
        check_rows(model, _tried(rows, len(model.signature.columns)))
    except RowsDepend as error:
        if not allow_dependence:
            raise
        model.rows_depend = True
        model.notes.append(f"ROWS_DEPEND is allow, so the model is served although: {error}")


def _form(model: Model) -> InputForm:
    columns = model.signature.columns
    texts = {column.name for column in columns if column.mlflow_type == "string"}
    found = missing_texts(model.estimator, [column.name for column in columns]) if texts else {}
    kind = "frame"
    if model.signature.all_double and takes_array(model.estimator) and _has_fitted_names(model):
        kind = "array"
    elif len(columns) == len(texts) == 1 and takes_text_series(model.estimator):
        kind = "series"
    return InputForm(kind, {name: marker for name, marker in found.items() if name in texts})


def _has_fitted_names(model: Model) -> bool:
    """Tell whether a DataFrame has the columns that the model was fitted on; it refuses others, but never an array."""
    declared = [column.name for column in model.signature.columns]
    return not model.signature.named or column_names(model.estimator) in ([], declared)


def _keeps_index(model: Model, rows: Rows, result: Any) -> bool:
    """Tell whether the index of a result is its input's, and not numbers from the rows that may look like one."""
    parts = [rows.take(np.array([at])) for at in {0, len(rows) - 1}] if isinstance(result, _INDEXED) else []
    try:
        tries = [(result, len(rows)), *((model.predict(part), 1) for part in parts)]
    except Exception:  # a model that can't score a row alone; check_rows says so
        return False
    return all(results.has_input_index(found, count) for found, count in tries)


def _tried(rows: Rows, columns: int) -> Rows:
    """Return the rows to try, never as many as there are columns.

    A model that goes through the columns of a DataFrame instead of its rows would return the right number of values.
    """
    chosen = np.arange(min(MAX_ROWS, len(rows)))
    if len(chosen) == columns:
        chosen = np.append(chosen, 0)
    return rows.take(chosen)


def _check_made_up_rows(model: Model) -> None:
    """Score rows made from the signature, so that a false signature is found before the first request.

    Raise ModelUnusable for a model that was fitted on other columns, that returns another number of values than it gets
    rows, or duplicate names. A model may rightly reject the values of a row that was made up.
    """
    columns = model.signature.columns
    known = made_up.categories_known(model.estimator, columns)
    call = [
        known[column.name][0] if known[column.name] else made_up.argument(column, lambda name: _MADE_UP.get(name, 1), 1)
        for column in columns
    ]
    rows = from_arguments(model.signature, [call] * (3 if len(call) == 2 else 2))
    if rows.errors():
        return
    try:
        result = model.predict(rows)
    except BaseException as cause:
        check_declared(model)
        # The values of the row may be wrong for a model, but it says so by a ValueError.
        if model.info.made_signature and isinstance(cause, (AttributeError, TypeError)):
            raise ModelUnusable(NO_SIGNATURE.format(uri=model.info.uri)) from cause
        return
    if not model.signature.named:  # XGBoost takes an array with fewer columns, as if the others were missing
        check_declared(model)
    results.read(result, model.outputs, len(rows))
    if not model.user_code:
        model.outputs = encoding.settle_outputs(result, model.outputs, len(rows))
        model.notes.extend(_widened(model))


def _widened(model: Model) -> Iterator[str]:
    for declared, output in zip(model.signature.outputs or (), model.outputs or (), strict=False):
        if declared != output:
            name = f" {short_repr(declared.name)}" if declared.name else ""
            found = {"JSON": "several columns", "STRING": "texts"}.get(output.sql_type, "fractions")
            yield (
                f"The signature declares the output{name} as {declared.sql_type}, but the model returned {found} when "
                f"it was tried: it is served as {output.sql_type}."
            )
