"""What a user chooses about the SQL functions: their name in BigQuery, and what goes into `user_defined_context`.

The options of `python -m sql.render`, of deploy.sh and of the examination before a deployment are these.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any

import click

from serving.errors import BadRequest, join_names, short_repr
from serving.functions import SqlFunction
from serving.model import Model
from serving.options import COMMON_KEYS, read_params
from serving.settings import SQL_NAME, SQL_NAME_EXPECTED
from sql.names import MAX_ARGUMENTS, callable_functions, sql_name

NAME, NAME_EXPECTED = SQL_NAME, SQL_NAME_EXPECTED
MAX_PARAMS = 4 * 1024  # bytes, which go with each request; BigQuery allows 8 KiB for all settings of a function
ON_NULL, ON_ERROR = COMMON_KEYS["on_null"], COMMON_KEYS["on_error"]

# Under on_error = json: the ending of the remote function, and of the one that takes its replies apart.
REPLY, PARTS = "_json", "_parts"


@dataclass(frozen=True)
class SqlSettings:
    """The name of the SQL functions and the settings that they send with each request; empty ones aren't sent.

    `class_label` is the class whose probability predict_proba returns, `params` a JSON object of inference parameters.
    """

    name: str = ""
    on_null: str = ""
    on_error: str = ""
    class_label: str = ""
    params: str = ""

    @property
    def service(self) -> str:
        """What the Cloud Function is called by default: it may have no capital letters and no underscores."""
        return self.name.lower().replace("_", "-") or "predict"

    def sql_name(self, function: str) -> str:
        """Return what a function is called in BigQuery."""
        return sql_name(self.name, function)

    def explains(self, function: SqlFunction) -> bool:
        """Whether a function returns STRUCT<value, error>."""
        return self.on_error == "json" and function.takes != "nothing"

    def routines(self, function: SqlFunction) -> list[str]:
        """Return the names of all that is made for a function, first the remote function, last the one to call."""
        name = self.sql_name(function.name)
        return [f"{name}{REPLY}", f"{name}{PARTS}", name] if self.explains(function) else [name]

    def context(self, function: SqlFunction) -> dict[str, str]:
        """Return the settings that a function reads, as pairs of its user_defined_context."""
        settings = {"on_null": self.on_null, "on_error": self.on_error} if function.takes != "nothing" else {}
        settings |= {"class": self.class_label} if "class" in function.keys else {}
        settings |= {"params": self.params} if "params" in function.keys else {}
        return {key: value for key, value in settings.items() if value}

    @property
    def arguments(self) -> list[str]:
        """The settings as arguments of the commands that take `settings_options`."""
        given = {it.name: getattr(self, it.name) for it in fields(self)}
        given["class"] = given.pop("class_label")
        return [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value]


DEFAULT = SqlSettings()


def problems(settings: SqlSettings, model: Model) -> Iterator[str]:
    """Yield why a model's SQL functions can't have the settings, one sentence each."""
    functions = callable_functions(model)
    names = Counter(name for function in functions for name in settings.routines(function))
    for name, count in names.items():
        if count > 1:
            doubled = [function.name for function in functions if name in settings.routines(function)]
            yield (
                f"--name is {settings.name!r}, but then {join_names(doubled)} would all be called {name}: rename the "
                "function of your own."
            )
    if settings.class_label:
        yield from _class_problems(settings.class_label, model)
    if settings.params:
        try:
            read_params(settings.params, model.signature.parameters)
        except BadRequest as error:
            yield f"--params: {error}"
        if (size := len(settings.params.encode())) > MAX_PARAMS:
            yield f"--params has {size:,} bytes; expected at most {MAX_PARAMS:,}."


def _class_problems(label: str, model: Model) -> Iterator[str]:
    classes = [str(known) for known in model.classes] if model.probabilities else []
    if not classes:
        yield (
            f"--class is {short_repr(label)}, but the model at {model.info.uri} has no classes with probabilities: "
            "omit --class."
        )
    elif not any("class" in function.keys for function in callable_functions(model)):
        yield (
            f"--class is {short_repr(label)}, but the model at {model.info.uri} has more columns than a SQL function "
            f"may have arguments ({MAX_ARGUMENTS}), so there is no predict_proba: omit --class."
        )
    elif label not in classes:
        yield f"--class is {short_repr(label)}; the model's classes are {join_names(classes)}."


def _checked_name(_: click.Context, __: click.Parameter, value: str) -> str:
    if value and not re.fullmatch(NAME, value, re.ASCII):
        raise click.BadParameter(f"{value!r} is no name of a SQL function; expected {NAME_EXPECTED}, such as houses.")
    return value


# field of SqlSettings -> its option on a command line
_OPTIONS: Mapping[str, Callable[[Callable[..., None]], Callable[..., None]]] = {
    "name": click.option(
        "--name", default="", callback=_checked_name, help="Name of the SQL functions, in place of predict."
    ),
    "on_null": click.option("--on-null", type=click.Choice(ON_NULL), help="Answer for NULL in a required column."),
    "on_error": click.option("--on-error", type=click.Choice(ON_ERROR), help="Answer for a row that can't be scored."),
    "class_label": click.option(
        "--class",
        "class_label",
        default="",
        metavar="LABEL",
        help="Class of which predict_proba returns the probability.",
    ),
    "params": click.option(
        "--params", default="", metavar="JSON", help="Inference parameters of the model, as a JSON object."
    ),
}


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --name, --on-null, --on-error, --class and --params to a click command, which gets them as `settings`."""
    return _with_options(command, ("name", "on_null", "on_error", "class_label", "params"))


def answer_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --on-null, --class and --params, which decide a model's answers, to a click command as `settings`."""
    return _with_options(command, ("on_null", "class_label", "params"))


def _with_options(command: Callable[..., None], keys: Sequence[str]) -> Callable[..., None]:
    @wraps(command)
    def with_options(**values: Any) -> None:
        chosen = {key: values.pop(key) or "" for key in keys}
        command(**values, settings=SqlSettings(**chosen))

    changed: Callable[..., None] = with_options
    for key in reversed(keys):
        changed = _OPTIONS[key](changed)
    return changed
