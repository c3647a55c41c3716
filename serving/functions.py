"""The SQL functions on offer, a few lines each. Write your own here.

A function gets the model, the rows of one request as typed columns and its options, and returns one value per row:
an array, a list or a Series, computed for all rows at once. `returns` is its GoogleSQL type. Decoding, NULL rows, bad
rows, errors and the JSON of the reply are not its business, and `python -m sql.render` writes its CREATE FUNCTION.

    @sql_function(returns="FLOAT64")
    def predict_thousands(model: Model, rows: Rows, options: Options) -> Any:
        \"\"\"The prediction in thousands.\"\"\"
        return model.predict(rows) / 1000
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from serving.errors import BadRequest, join_names, short_repr
from serving.model import Model
from serving.options import Options, read_params
from serving.rows import Rows
from serving.signature import Output

Score = Callable[[Model, Rows, Options], Any]


@dataclass(frozen=True)
class SqlFunction:
    """One SQL function.

    `takes` is "columns" (one argument per input column), "row" (one JSON argument) or "nothing"; `outputs` tells what
    it returns for a model; `keys` are the keys of user_defined_context that it reads besides the common ones; `offered`
    tells for which models there is such a function.
    """

    name: str
    description: str
    score: Score
    takes: str
    outputs: Callable[[Model, Options], tuple[Output, ...] | None]
    keys: tuple[str, ...]
    offered: Callable[[Model], bool]

    def sql_type(self, model: Model) -> str:
        """Return the GoogleSQL type that CREATE FUNCTION declares."""
        outputs = self.outputs(model, Options())
        return outputs[0].sql_type if outputs and len(outputs) == 1 else "JSON"


_FUNCTIONS: dict[str, SqlFunction] = {}


def sql_function(
    *,
    returns: str | Callable[[Model, Options], tuple[Output, ...] | None],
    takes: str = "columns",
    keys: tuple[str, ...] = (),
    offered: Callable[[Model], bool] = lambda _: True,
) -> Callable[[Score], Score]:
    """Put a function on offer under its own name; its docstring becomes the description in SQL."""
    outputs = (lambda *_: (Output(None, returns),)) if isinstance(returns, str) else returns

    def register(score: Score) -> Score:
        name, description = score.__name__, (score.__doc__ or "").strip().splitlines()[0]
        _FUNCTIONS[name] = SqlFunction(name, description, score, takes, outputs, keys, offered)
        return score

    return register


def find(context: Mapping[str, str], path: str) -> SqlFunction:
    """Return the function meant: `function` in the context, else the last segment of the path, else predict."""
    name = context.get("function") or path.rstrip("/").rpartition("/")[2] or "predict"
    if name not in _FUNCTIONS:
        raise BadRequest(
            f"There is no SQL function {short_repr(name)} here; there are {join_names(sorted(_FUNCTIONS))}."
        )
    return _FUNCTIONS[name]


def on_offer(model: Model) -> list[SqlFunction]:
    """Return the functions that make sense for a model."""
    return [function for function in _FUNCTIONS.values() if function.offered(model)]


def _model_outputs(model: Model, _: Options) -> tuple[Output, ...] | None:
    return model.outputs


@sql_function(returns=_model_outputs, keys=("params",))
def predict(model: Model, rows: Rows, options: Options) -> Any:
    """The model's prediction from its columns as arguments."""
    return model.predict(rows, read_params(options.own.get("params"), model.signature.parameters))


@sql_function(returns=_model_outputs, takes="row", keys=("params",))
def predict_row(model: Model, rows: Rows, options: Options) -> Any:
    """The model's prediction from one JSON argument: TO_JSON of a table's row."""
    return predict(model, rows, options)


@sql_function(
    returns=lambda _, options: (Output(None, "FLOAT64" if "class" in options.own else "JSON"),),
    keys=("class",),
    offered=lambda model: model.probabilities is not None,
)
def predict_proba(model: Model, rows: Rows, options: Options) -> Any:
    """The probability of each class as JSON, or of the one named by the key `class`."""
    label = options.own.get("class")
    at = None if label is None else model.class_index(label)
    probabilities = np.asarray(model.predict_proba(rows), np.float64)
    if at is not None:
        return probabilities[:, at]
    labels = [str(label) for label in model.classes]
    return [dict(zip(labels, row, strict=True)) for row in probabilities.tolist()]


@sql_function(returns="JSON", takes="nothing")
def model_info(model: Model, rows: Rows, _: Options) -> Any:
    """What model answers here: its place, digest, signature, versions and when it was loaded."""
    return [model.info.as_dict()] * len(rows)
