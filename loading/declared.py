"""Whether a fitted model contradicts the columns that its signature declares.

Somebody may have written a signature by hand, or made it from other data than the model was fitted on. What the fitted
model tells decides only where the model can't score a row of the declared columns, because some models ignore columns
or select them by name.
"""

from typing import Any

from loading.category_columns import check_all_steps
from loading.column_transformer import columns_used
from loading.fitted import first_steps
from loading.libraries import is_library_object
from loading.made_signature import column_count, column_names
from serving.errors import ModelUnusable, join_names, quantity
from serving.model import Model

_WAY_OUT = (
    "Pass a table of rows that it was trained on with --signature-from, or save it again with "
    "signature=infer_signature(X, model.predict(X))."
)


def check_declared(model: Model) -> None:
    """Raise ModelUnusable for a model that was fitted on other columns than its signature declares.

    Call it for a model that doesn't score rows of the declared columns. A model passes that doesn't tell its columns,
    or that hands them to a function or a class of its author first.
    """
    signature, estimator = model.signature, model.estimator
    first = first_steps(estimator)
    if not all(map(is_library_object, (estimator, *first))) or any(tensor.as_json for tensor in signature.tensors):
        return
    if any(type(step).__name__ == "FunctionTransformer" for step in first):
        return
    if signature.named:
        check_all_steps(model)
    declared, names = [column.name for column in signature.columns], column_names(estimator)
    count = len(names) or column_count(estimator)
    if not signature.named or _goes_by_place(estimator):
        names = []
    needed = {name for step in first for name in columns_used(step, names)} if names else set()
    selects = bool(names) and any(type(step).__name__ == "ColumnTransformer" for step in first)
    found = f"The model at {model.info.uri} was fitted on {quantity(count, 'column')}, but its signature declares"
    if missing := [name for name in names if name in needed and name not in declared]:
        raise ModelUnusable(f"{found} {len(declared)} and lacks {join_names(missing)}. {_WAY_OUT}")
    if count not in (0, len(declared)) and not selects:
        raise ModelUnusable(f"{found} {len(declared)}. {_WAY_OUT}")
    if names and names != declared and not selects:
        raise ModelUnusable(f"{found} them in another order; expected {join_names(names)}. {_WAY_OUT}")


def _goes_by_place(estimator: Any) -> bool:
    """Tell whether the library ignores the names of columns; LightGBM also keeps other ones than it was given."""
    return type(estimator).__module__.startswith(("lightgbm", "statsmodels"))
