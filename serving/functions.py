"""The SQL functions, a few lines each. Add your own here.

A function gets the model, the rows of one request as typed columns, and its options. It returns one value per row (an
array, a list or a Series), computed for all rows at once. `returns` is its GoogleSQL type. Decoding, NULL rows, bad
rows, errors and the JSON of the reply are handled elsewhere, and `python -m sql.render` writes its CREATE FUNCTION.

    @sql_function(returns="FLOAT64")
    def predict_thousands(model: Model, rows: Rows, options: Options) -> Any:
        \"\"\"The prediction in thousands.\"\"\"
        return model.predict(rows) / 1000
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from serving import decoding
from serving.contract import Request
from serving.errors import BadRequest, join_names, quantity, short_repr
from serving.model import Model
from serving.options import DEFAULTS, Options, read_params
from serving.rows import Rows
from serving.signature import Output, sql_type_of

Score = Callable[[Model, Rows, Options], Any]


@dataclass(frozen=True)
class SqlFunction:
    """One SQL function.

    `takes` is "columns" (one argument per input column), "row" (one JSON argument) or "nothing"; `outputs` gives what
    it returns for a model; `keys` are the keys of user_defined_context that it reads besides the common ones;
    `available` tells whether a model supports it.
    """

    name: str
    description: str
    score: Score
    takes: str
    outputs: Callable[[Model, Options], tuple[Output, ...] | None]
    keys: tuple[str, ...]
    available: Callable[[Model], bool]

    def sql_type(self, model: Model, options: Options = DEFAULTS) -> str:
        """Return the GoogleSQL type that CREATE FUNCTION declares for a function with these options."""
        return sql_type_of(self.outputs(model, options))

    def decode(self, model: Model, request: Request) -> Rows:
        """Return the arguments of a request as typed columns; raise BadRequest for another number of them.

        Raise BadRequest too when the model doesn't support this function. One that takes nothing has one answer for all
        rows, so it gets one row.
        """
        if not self.available(model):
            names = join_names([function.name for function in available_functions(model)])
            raise BadRequest(
                f"{self.name} is not available for the model at {model.info.uri}; available functions: {names}."
            )
        if self.takes == "columns":
            return decoding.from_request(model.signature, request)
        if self.takes == "row":
            return decoding.from_objects(model.signature, request)
        for row, call in enumerate(request.calls):
            if call:
                raise BadRequest(f"Row {row} has {quantity(len(call), 'argument')}; {self.name} takes none.")
        return Rows(model.signature, min(1, len(request.calls)))

    def count(self, request: Request, rows: Rows) -> int:
        """Return the number of rows of a request, given those that `decode` returned."""
        return len(request.calls) if self.takes == "nothing" else len(rows)


_FUNCTIONS: dict[str, SqlFunction] = {}


def sql_function(
    *,
    returns: str | Callable[[Model, Options], tuple[Output, ...] | None],
    takes: str = "columns",
    keys: tuple[str, ...] = (),
    available: Callable[[Model], bool] = lambda _: True,
) -> Callable[[Score], Score]:
    """Register a SQL function under its own name; the first line of its docstring is its description in SQL."""
    outputs = (lambda *_: (Output(None, returns),)) if isinstance(returns, str) else returns

    def register(score: Score) -> Score:
        name, description = score.__name__, (score.__doc__ or "").strip().splitlines()[0]
        _FUNCTIONS[name] = SqlFunction(name, description, score, takes, outputs, keys, available)
        return score

    return register


def find(context: Mapping[str, str], path: str) -> SqlFunction:
    """Return the function that a request calls: `function` in the context, else the last path segment, else predict."""
    name = context.get("function") or _name(path)
    if name not in _FUNCTIONS:
        raise BadRequest(
            f"There is no SQL function {short_repr(name)}; available functions: {join_names(sorted(_FUNCTIONS))}."
        )
    return _FUNCTIONS[name]


def is_path(path: str) -> bool:
    """Return whether a path selects a function, as the root does."""
    return _name(path) in _FUNCTIONS


def is_function(name: str) -> bool:
    """Return whether a SQL function has this name."""
    return name in _FUNCTIONS


def names() -> list[str]:
    """Return the names of all SQL functions."""
    return list(_FUNCTIONS)


def available_functions(model: Model) -> list[SqlFunction]:
    """Return the functions that a model supports."""
    return [function for function in _FUNCTIONS.values() if function.available(model)]


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2] or "predict"


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
    available=lambda model: model.probabilities is not None,
)
def predict_proba(model: Model, rows: Rows, options: Options) -> Any:
    """The probability of each class as JSON, or of one class with the key `class`."""
    label = options.own.get("class")
    index = None if label is None else model.class_index(label)
    probabilities = model.predict_proba(rows)
    if index is not None:
        return probabilities[:, index]
    labels = [str(label) for label in model.classes]
    return [dict(zip(labels, row, strict=True)) for row in probabilities.tolist()]


@sql_function(returns="JSON", takes="nothing")
def model_info(model: Model, rows: Rows, _: Options) -> Any:
    """The model being served: its location, digest, signature, package versions and when it was loaded."""
    return [model.info.as_dict()] * len(rows)
