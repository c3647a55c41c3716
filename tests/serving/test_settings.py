"""The settings of the function: defaults, values from the environment, and values that can't be used."""

import logging

import pytest

from serving.settings import SQL_NAME_EXPECTED, Settings


def test_defaults() -> None:
    """Without any variable the settings have their defaults."""
    assert Settings.read({}) == Settings()


def test_values() -> None:
    """Each variable is read."""
    environment = {
        "MODEL_URI": "gs://models/houses",
        "MODEL_DIGEST": "ab" * 32,
        "MODEL_VERSION": "houses/3",
        "SQL_NAME": "houses",
        "MODEL_REFRESH_SECONDS": "300",
        "MODEL_THREADS": "4",
        "CLOUD_RUN_TIMEOUT_SECONDS": "540",
        "ROWS_DEPEND": "allow",
        "MODEL_PLAN": "off",
        "LOG_LEVEL": "warning",
        "GOOGLE_CLOUD_PROJECT": "project",
    }
    assert Settings.read(environment) == Settings(
        model_uri="gs://models/houses",
        model_digest="ab" * 32,
        model_version="houses/3",
        sql_name="houses",
        refresh_seconds=300,
        model_threads=4,
        request_seconds=540,
        allow_dependence=True,
        model_plan="off",
        log_level=logging.WARNING,
        project="project",
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MODEL_REFRESH_SECONDS", "often", "a whole number of seconds, or 0 for never"),
        ("MODEL_REFRESH_SECONDS", "-1", "a whole number of seconds, or 0 for never"),
        ("MODEL_REFRESH_SECONDS", "", "a whole number of seconds, or 0 for never"),
        ("SQL_NAME", "my-houses", f"{SQL_NAME_EXPECTED}, such as houses"),
        ("MODEL_THREADS", "0", "a whole number of threads, at least 1"),
        ("MODEL_THREADS", "many", "a whole number of threads, at least 1"),
        ("CLOUD_RUN_TIMEOUT_SECONDS", "5m", "a whole number of seconds"),
        ("ROWS_DEPEND", "yes", "refuse or allow"),
        ("MODEL_PLAN", "thorough", "on or off"),
        ("LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING, ERROR or CRITICAL"),
    ],
)
def test_bad_value(name: str, value: str, expected: str) -> None:
    """A value that can't be used ends the process with a sentence that says what is expected."""
    with pytest.raises(SystemExit) as ended:
        Settings.read({name: value})
    assert ended.value.code == f"{name} is {value!r}; expected {expected}."
