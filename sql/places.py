"""Where SQL functions go, and the checks of what sql.render is told, for all its formats."""

import re
from collections.abc import Mapping

import click

from serving.model import Model
from sql.names import DOMAIN
from sql.settings import SqlSettings, problems

ENDPOINT_PATH = r"(/(?!eventlog$|_ah/)[A-Za-z0-9_/-]*(?<!z))?"  # what BigQuery allows after the host

# option -> (pattern, what to expect)
PLACES = {
    "project": (
        DOMAIN + r"[a-z][a-z0-9-]{2,61}[a-z0-9]",
        "lower-case letters, digits and hyphens, such as my-project or example.com:my-project",
    ),
    "dataset": (r"\w{1,1024}", "letters, digits and underscores, such as models"),
    "connection": (r"[a-z][a-z0-9-]*\.[\w-]+", "location.name, such as us.remote-models"),
    "endpoint": (
        r"https?://[\w.:-]+" + ENDPOINT_PATH,
        "the function's URL; its path may have letters, digits, - and _ only",
    ),
}


class RenderError(click.ClickException):
    """The statements can't be written; the message says why."""

    exit_code = 2  # of bad input, as click has it


def check(model: Model, places: Mapping[str, str], settings: SqlSettings) -> None:
    """Raise RenderError for a malformed place, and for settings that the model doesn't take."""
    for option, value in places.items():
        pattern, expected = PLACES[option]
        if not re.fullmatch(pattern, value, re.ASCII):
            raise RenderError(f"The {option} is {value!r}; expected {expected}.")
    if found := list(problems(settings, model)):
        raise RenderError(" ".join(found))
