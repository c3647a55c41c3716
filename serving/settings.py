"""The settings of the function, read from the environment once, at the start.

To add one: a field with its default, a line in `read`, and a row in docs/settings.md, which tests/docs checks. A value
that can't be used ends the process with one sentence: the platform shows it as the reason why the deployment failed.
"""

import logging
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

# What BigQuery allows as a function's name, with room for the endings of those of one model.
SQL_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,199}"
SQL_NAME_EXPECTED = "at most 200 letters, digits and underscores that begin with a letter or an underscore"


@dataclass(frozen=True)
class Settings:
    """What the environment says about this function; docs/settings.md has the meaning of each variable.

    `model_digest`, `model_version`, `model_threads`, `request_seconds` and `project` are None when they aren't given,
    `sql_name` is empty then; `allowed_hosts` is None when any host is allowed.
    """

    model_uri: str = ""
    models: str = ""
    model_digest: str | None = None
    model_version: str | None = None
    sql_name: str = ""
    refresh_seconds: int = 0
    model_threads: int | None = None
    request_seconds: int | None = None
    allow_dependence: bool = False
    model_plan: str = "on"
    log_level: int = logging.INFO
    project: str | None = None
    allowed_hosts: frozenset[str] | None = frozenset()

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        """Return the settings in an environment; exit with a sentence that names a value that can't be used."""
        return cls(
            model_uri=environ.get("MODEL_URI", ""),
            models=environ.get("MODELS", ""),
            model_digest=environ.get("MODEL_DIGEST"),
            model_version=environ.get("MODEL_VERSION"),
            sql_name=_sql_name(environ.get("SQL_NAME", "")),
            refresh_seconds=_whole(environ, "MODEL_REFRESH_SECONDS", "a whole number of seconds, or 0 for never") or 0,
            model_threads=_whole(environ, "MODEL_THREADS", "a whole number of threads, at least 1", least=1),
            # The platform sets it; functions-framework takes 0 for no limit.
            request_seconds=_whole(environ, "CLOUD_RUN_TIMEOUT_SECONDS", "a whole number of seconds") or None,
            allow_dependence=_choice(environ, "ROWS_DEPEND", "refuse", "allow") == "allow",
            model_plan=_choice(environ, "MODEL_PLAN", "on", "off"),
            log_level=_log_level(environ.get("LOG_LEVEL", "INFO").upper()),
            project=environ.get("GOOGLE_CLOUD_PROJECT"),
            allowed_hosts=None if environ.get("K_SERVICE") else _hosts(environ.get("ALLOWED_HOSTS", "")),
        )


def _whole(environ: Mapping[str, str], name: str, expected: str, least: int = 0) -> int | None:
    """Return the value of a variable as a whole number of at least `least`; None when it isn't set."""
    value = environ.get(name)
    if value is None:
        return None
    if not value.isdecimal() or int(value) < least:
        sys.exit(f"{name} is {value!r}; expected {expected}.")
    return int(value)


def _sql_name(name: str) -> str:
    if name and not re.fullmatch(SQL_NAME, name, re.ASCII):
        sys.exit(f"SQL_NAME is {name!r}; expected {SQL_NAME_EXPECTED}, such as houses.")
    return name


def _hosts(names: str) -> frozenset[str] | None:
    hosts = frozenset(name.strip().lower() for name in names.split(",") if name.strip())
    if not all(re.fullmatch(r"[\w.-]+|\*", host) for host in hosts):
        sys.exit(f"ALLOWED_HOSTS is {names!r}; expected host names without ports, separated by commas, or * for any.")
    return None if "*" in hosts else hosts


def _choice(environ: Mapping[str, str], name: str, default: str, other: str) -> str:
    value = environ.get(name, default)
    if value not in (default, other):
        sys.exit(f"{name} is {value!r}; expected {default} or {other}.")
    return value


def _log_level(name: str) -> int:
    level = logging.getLevelName(name)
    if type(level) is not int:
        sys.exit(f"LOG_LEVEL is {name!r}; expected DEBUG, INFO, WARNING, ERROR or CRITICAL.")
    return level
