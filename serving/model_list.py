"""The models of one service, as the file that MODELS names lists them: `name: uri`, or `name: {uri: ..., key: ...}`.

Everything that is wrong with the list is found at the start, which ends with one sentence for each fault: the platform
shows them as the reason why the deployment failed.
"""

import re
import sys
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from serving.errors import join_names, short_repr
from serving.settings import SQL_NAME, SQL_NAME_EXPECTED

# Settings of the one model of a service, which are keys of an entry here.
ONLY_WITHOUT_LIST = (
    *("MODEL_URI", "MODEL_DIGEST", "MODEL_VERSION", "MODEL_REFRESH_SECONDS", "MODEL_THREADS", "ROWS_DEPEND"),
    *("MODEL_PLAN", "SQL_NAME"),
)
# Paths that the service, its framework or its platform answers itself.
RESERVED = frozenset({"live", "ready", "openapi", "eventlog", "_ah", "favicon", "robots"})
NAME = r"[A-Za-z0-9_-]{1,63}"


@dataclass(frozen=True)
class Entry:
    """One model: the fields are the keys of its entry, and mean what the settings of a single model mean."""

    name: str
    uri: str
    digest: str | None = None
    version: str | None = None
    sql_name: str = ""
    default: bool = False
    threads: int | None = None
    rows_depend: str = "refuse"
    refresh_seconds: int = 0
    plan: str = "on"


# key -> (what it may be, what to expect)
_KEYS: Mapping[str, tuple[Any, str]] = {
    "uri": (lambda value: isinstance(value, str) and value, "the model's gs:// folder, models:/ URI or local folder"),
    "digest": (
        lambda value: isinstance(value, str) and re.fullmatch("[0-9a-fA-F]{64}", value),
        "64 hex digits in quotes",
    ),
    "version": (lambda value: isinstance(value, str), "a text, such as houses/3"),
    "sql_name": (
        lambda value: isinstance(value, str) and re.fullmatch(SQL_NAME, value, re.ASCII),
        f"{SQL_NAME_EXPECTED}, such as houses",
    ),
    "default": (lambda value: isinstance(value, bool), "true or false"),
    "threads": (lambda value: type(value) is int and value > 0, "a whole number of threads, at least 1"),
    "rows_depend": (lambda value: value in ("refuse", "allow"), "refuse or allow"),
    "refresh_seconds": (lambda value: type(value) is int and value >= 0, "a whole number of seconds, or 0 for never"),
    "plan": (lambda value: value in ("on", "off"), '"on" or "off", in quotes'),
}


def read(path: str, environ: Mapping[str, str], functions: Collection[str]) -> list[Entry]:
    """Return the entries of a list; exit with a sentence for everything that is wrong with it.

    `functions` are the names of SQL functions, which no model may have.
    """
    faults = [
        f"MODELS and {name} are both set; expected one of them: {_instead(name)}."
        for name in ONLY_WITHOUT_LIST
        if environ.get(name)
    ]
    entries: list[Entry] = []
    try:
        listed = yaml.load(Path(path).read_text(encoding="utf-8"), _UniqueKeys)
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"MODELS is {path!r}, which can't be read: {getattr(error, 'strerror', None) or error}.")
    except yaml.YAMLError as error:
        faults.append(f"MODELS is {path!r}, which isn't YAML: {' '.join(str(error).split())}.")
    else:
        if not isinstance(listed, dict) or not listed:
            faults.append(
                f"MODELS is {path!r}, which lists no model; expected lines such as houses: gs://bucket/houses."
            )
        else:
            entries, wrong = parse(listed, functions)
            faults += wrong
    if faults:
        sys.exit("\n".join(faults))
    return entries


def parse(listed: Mapping[Any, Any], functions: Collection[str]) -> tuple[list[Entry], list[str]]:
    """Return the entries of a list, and a sentence for everything that is wrong with it."""
    faults: list[str] = []
    entries = [entry for name, value in listed.items() if (entry := _entry(name, value, functions, faults))]
    defaults = [entry.name for entry in entries if entry.default]
    if len(defaults) > 1:
        faults.append(
            f"{join_names(defaults)} all have default: true; expected one model that requests without a name get."
        )
    return entries, faults


def _instead(name: str) -> str:
    return "list the model" if name == "MODEL_URI" else "it is a key of the model's entry in the list"


def _entry(name: Any, value: Any, functions: Collection[str], faults: list[str]) -> Entry | None:
    found: list[str] = []
    if not isinstance(name, str) or not re.fullmatch(NAME, name, re.ASCII):
        found.append(
            f"The model name {short_repr(name)} doesn't fit into a path; expected up to 63 letters, digits, - and _, "
            "in quotes if YAML reads it as something else than a text."
        )
    elif name in functions or name in RESERVED:
        found.append(
            f"The model name {name!r} is taken: it is a SQL function or a path of the service; choose another."
        )
    keys = {"uri": value} if isinstance(value, str) else value
    if not isinstance(keys, dict):
        found.append(
            f"The entry {short_repr(name)} is {short_repr(value)}; expected a URI, or keys such as uri and digest."
        )
        keys = {}
    elif "uri" not in keys:
        found.append(f"The entry {short_repr(name)} has no uri; expected {_KEYS['uri'][1]}.")
    for key, given in keys.items():
        if key not in _KEYS:
            found.append(
                f"The entry {short_repr(name)} has the key {short_repr(key)}; expected {join_names(list(_KEYS))}."
            )
        elif not _KEYS[key][0](given):
            found.append(f"The entry {short_repr(name)} has {key} {short_repr(given)}; expected {_KEYS[key][1]}.")
    if keys.get("refresh_seconds") and keys.get("version"):
        found.append(
            f"The entry {short_repr(name)} has version and refresh_seconds; omit version, which is that of one model."
        )
    faults += found
    return None if found else Entry(name, **keys)


class _UniqueKeys(yaml.SafeLoader):
    """Reads YAML, and rejects a key that occurs twice: YAML itself would silently take the second."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} is there twice; rename or remove one", key.start_mark
                )
        return super().construct_mapping(node, deep)
