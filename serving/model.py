"""The model: its signature, its predictions, and what is known about it.

loading/ builds it from plain callables, so nothing here depends on how a model was saved. A model gets typed rows and
returns whatever its library returns; encoding.py turns that into JSON.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from serving import results
from serving.decoding import from_arguments
from serving.errors import BadRequest, ModelUnusable, join_names, message_of, short_repr
from serving.model_input import InputForm
from serving.rows import Rows
from serving.signature import Output, Signature, sql_type_of
from serving.threads import ModelThread

PLAN_DIFFERS = "the model, since its plan differs"  # how ModelInfo.answers begins then


@dataclass(frozen=True)
class ModelInfo:
    """What is known about a loaded model, as `model_info` and the page show it.

    `version` is the registry's name/version or what MODEL_VERSION says, else the digest; `sql_name` is what SQL_NAME
    says; `saved` and `loaded` are times in ISO 8601, UTC (`saved` is empty when the MLmodel file has none); `signature`
    is the parsed JSON of MLflow's signature; `code` lists the Python files that came with the model; `requirements` are
    the lines of its requirements.txt; `seconds` maps the phases of loading (fetch, load, warmUp) to how long they took;
    `made_signature` says how the signature was made if the model was saved without one; `answers` says whether the plan
    or the model answers, and in the latter case why.
    """

    uri: str
    digest: str = ""
    flavor: str = ""
    schema: str = ""
    made_signature: str = ""
    signature: Mapping[str, Any] = field(default_factory=dict)
    saved: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    code: Sequence[str] = ()
    requirements: Sequence[str] = ()
    metadata: Any = field(default_factory=dict)
    loaded: str = ""
    version: str = ""
    sql_name: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    answers: str = "the model"

    @property
    def registered(self) -> bool:
        """Whether `version` is that of a registry."""
        return self.version not in ("", self.digest)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name; the values are shared with this object."""
        return dict(vars(self))


class Unplanned(Exception):
    """Rows that a plan leaves to the model itself."""


@dataclass(frozen=True)
class Plan:
    """Computes a model's own answers without its library's bookkeeping; `predict_proba` is None where it can't.

    Both raise Unplanned for rows that are left to the model. What they return belongs to the caller.
    """

    predict: Callable[[Rows], Any]
    predict_proba: Callable[[Rows], Any] | None = None


@dataclass
class Model:
    """A loaded model.

    `predictor` takes the model's input and inference parameters or None; `probabilities`, for classifiers only, takes
    the input and returns an array of shape (rows, classes); `estimator` is the fitted object itself, None where MLflow
    gives none, and `method` the name of its method that `predictor` calls; `example` holds the rows of the input
    example as argument lists; `user_code` says that the model runs code that its author wrote, and `thread` is the one
    that loaded it. Trying the model on its example sets the rest:
    `form`, `plan`, `keeps_index` (whether the index of a result is its input's), `outputs` (what predict returns, None
    where nothing tells), `example_error`, `rows_depend` (its answer for a row depends on chance), and `notes` for the
    log.
    """

    info: ModelInfo
    signature: Signature
    predictor: Callable[[Any, Mapping[str, Any] | None], Any]
    probabilities: Callable[[Any], Any] | None = None
    classes: Sequence[Any] = ()
    estimator: Any = None
    method: str = "predict"
    example: Sequence[Sequence[Any]] = ()
    user_code: bool = False
    thread: ModelThread | None = None
    form: InputForm = field(default_factory=InputForm)
    plan: Plan | None = None
    keeps_index: bool = True
    outputs: tuple[Output, ...] | None = None
    example_error: Exception | None = None
    rows_depend: bool = False
    notes: list[str] = field(default_factory=list)

    def predict(self, rows: Rows, params: Mapping[str, Any] | None = None) -> Any:
        """Return the model's own answer for all rows, computed in one call."""
        if self.plan and not params:
            with suppress(Unplanned):
                return self.plan.predict(rows)
        return self.ask(rows, params)

    def ask(self, rows: Rows, params: Mapping[str, Any] | None = None) -> Any:
        """Return what the model itself answers, without its plan."""
        return self.predictor(self.input(rows), params)

    def predict_proba(self, rows: Rows) -> Any:
        """Return the probability of each class, shape (rows, classes), in the order of `classes`."""
        if self.probabilities is None:
            raise BadRequest(f"The model at {self.info.uri} has no class probabilities; use predict.")
        found = None
        if self.plan and self.plan.predict_proba:
            with suppress(Unplanned):
                found = self.plan.predict_proba(rows)
        if found is None:
            found = self.probabilities(self.input(rows))
        return results.probabilities(found, self.classes, len(rows))

    def input(self, rows: Rows) -> Any:
        """Return the rows in the form that the model takes."""
        return self.form.build(self.signature, rows)

    def class_index(self, label: str) -> int:
        """Return the column of predict_proba for a class given by its label's text."""
        labels = [str(known) for known in self.classes]
        if label not in labels:
            raise BadRequest(
                f"user_defined_context has class = {short_repr(label)}; the model's classes are {join_names(labels)}."
            )
        return labels.index(label)

    @cached_property
    def example_rows(self) -> Rows | None:
        """The input example as rows; None when there is none or its values don't fit the signature."""
        rows = from_arguments(self.signature, self.example)
        return rows if len(rows) and not rows.errors() else None

    def check_example(self) -> None:
        """Raise ModelUnusable unless the model answered for its own input example, in the type that it declares."""
        if self.example_rows is None:
            raise ModelUnusable(
                f"The model at {self.info.uri} has no input example to try it on: save it with input_example=X.head()."
            )
        if (error := self.example_error) is not None:
            raise ModelUnusable(
                f"The model at {self.info.uri} cannot score its own input example: {message_of(error)}"
            ) from error

    @property
    def sql_type(self) -> str:
        """The GoogleSQL type of predict."""
        return sql_type_of(self.outputs)
