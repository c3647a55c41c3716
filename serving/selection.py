"""Which model a request means: the only one of the service, or one of a list.

With a list, a request names its model by `model` in its user_defined_context or by its path, /houses/predict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from serving.errors import BadRequest, join_names, short_repr
from serving.functions import is_function
from serving.model import Model
from serving.scheduler import Scheduler


class ModelSource(Protocol):
    """Where the handler gets a model from."""

    @property
    def loaded(self) -> bool:
        """Whether `model` returns without waiting."""

    async def model(self) -> Model:
        """Return the model; raise ModelUnusable or ModelUnreachable."""


@dataclass(frozen=True)
class Served:
    """A model of the service, and what scores its rows; `name` is empty if the service has no list."""

    source: ModelSource
    scheduler: Scheduler
    name: str = ""


class Selection(Protocol):
    """The models of the service."""

    @property
    def listed(self) -> Sequence[Served]:
        """The models of the list; none if the service has no list."""

    @property
    def default(self) -> Served | None:
        """The model of requests that name none."""

    def find(self, context: Mapping[str, str], path: str, /) -> Served:
        """Return the model that a request means; raise BadRequest for one that names none or another."""


class OnlyModel:
    """The model of a service without a list."""

    listed: Sequence[Served] = ()

    def __init__(self, source: ModelSource, scheduler: Scheduler) -> None:
        self.default = Served(source, scheduler)

    def find(self, context: Mapping[str, str], _: str) -> Served:
        """Return the model."""
        if "model" in context:
            raise BadRequest(
                f"user_defined_context has model = {short_repr(context['model'])}, but this service has one model and "
                "no list of them (MODELS): create the SQL function without the key."
            )
        return self.default


class ModelList:
    """The models of a list."""

    def __init__(self, listed: Sequence[Served], default: str | None) -> None:
        self.listed = listed
        self._by_name = {served.name: served for served in listed}
        self.default = self._by_name[default] if default else None

    def find(self, context: Mapping[str, str], path: str) -> Served:
        """Return the model that the context or the path names, else the default."""
        in_path, name = name_in_path(path), context.get("model")
        if in_path and name and in_path != name:
            raise BadRequest(
                f"user_defined_context has model = {short_repr(name)}, but the path names {short_repr(in_path)}: "
                "create the SQL function with one of them."
            )
        name = name or in_path
        if name is None:
            if self.default is None:
                raise BadRequest(f"The request names no model, and none is the default; name one of {self._names}.")
            return self.default
        if name not in self._by_name:
            raise BadRequest(f"There is no model {short_repr(name)}; the models are {self._names}.")
        return self._by_name[name]

    @property
    def _names(self) -> str:
        return join_names(list(self._by_name))


def own_parts(context: Mapping[str, str], path: str) -> tuple[Mapping[str, str], str]:
    """Return what a request of a service with a list says besides the model's name: the context, and the path."""
    last = path.rstrip("/").rpartition("/")[2]
    return {key: value for key, value in context.items() if key != "model"}, path if is_function(last) else "/"


def name_in_path(path: str) -> str | None:
    """Return the last segment of a path that isn't the name of a SQL function."""
    segments = [segment for segment in path.split("/") if segment]
    if segments and is_function(segments[-1]):
        segments.pop()
    return segments[-1] if segments else None
