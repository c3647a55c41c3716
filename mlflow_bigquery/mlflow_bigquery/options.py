"""From `-C key=value` to deploy.sh's options, which deploy.sh itself lists: the plugin has no list to keep in step."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE

from mlflow_bigquery.source import run

# What the target, --name and the commands themselves say.
OWN = ("dataset", "destroy", "help", "json", "model", "name", "project")
HELP = """\
The target is bigquery:/PROJECT/DATASET: the project that gets the Cloud Function, and the dataset that gets the SQL
functions. --name names the SQL functions.

--model-uri takes gs://bucket/prefix, models:/name@alias, models:/name/3, models:/m-ID, runs:/ID/model, or a folder.

-C key=value takes deploy.sh's options: `-C region=us-central1` is `--region us-central1`, and `-C advise=true` is
`--advise`. An update sets every option: one that is left out gets its default. Several members of `grant` are separated
by spaces. `delete` also takes `-C model=...`, which says where the record of the deployment is.

"""


def target_help() -> str:
    """Return the text of `mlflow deployments help -t bigquery`."""
    options = re.findall(r"^  --([a-z-]+)(.*\n(?:    .*\n)*)", _help(), re.MULTILINE)
    return HELP + "".join(f"  --{name}{text}" for name, text in options if name not in OWN)


def known() -> dict[str, bool]:
    """Return the name of each option of deploy.sh that a configuration may have, and whether it takes a value."""
    found = re.findall(r"^  --([a-z-]+)( \S+)?", _help(), re.MULTILINE)
    return {name: bool(value) for name, value in found if name not in OWN}


def arguments(config: Mapping[str, Any] | None, also: Collection[str] = ()) -> list[str]:
    """Return a configuration as command-line arguments; `also` names keys beside those of known().

    Keys may be written with _ for -. Raise MlflowException with a sentence for each key or value that no option has.
    """
    options = known() | dict.fromkeys(also, True)
    found, problems = [], []
    for key, value in (config or {}).items():
        name = key.replace("_", "-")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if name not in options:
            problems.append(f"There is no key {key!r}; expected one of {', '.join(sorted(options))}.")
        elif options[name]:
            found.append(f"--{name}={text}")
        elif text not in ("true", "false"):
            problems.append(f"{key} is {text!r}; expected true or false.")
        elif text == "true":
            found.append(f"--{name}")
    if problems:
        raise MlflowException("\n".join(problems), INVALID_PARAMETER_VALUE)
    return found


def _help() -> str:
    ended = run("deploy", "--help")
    if ended.returncode:
        raise MlflowException("deploy.sh --help failed: see the error above.", INTERNAL_ERROR)
    return ended.stdout
