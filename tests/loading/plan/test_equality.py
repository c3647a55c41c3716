"""A plan answers as its model does, to the last bit: for drawn models, tables and rows."""

import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings

from loading.plan.attach import attach
from loading.plan.check import first_difference
from serving.model import Model, Unplanned
from serving.rows import Rows
from tests.loading.plan.grammar import as_model, fitted, rows_of

ROOT = Path(__file__).parents[3]
SERVING = ("orjson", "pyyaml", "packaging", "pysimdjson", "starlette", "google-cloud-storage")  # what loading/ imports
Fitted = tuple[Any, pd.DataFrame, pd.DataFrame]
COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}


def compare(model: Model, rows: Rows) -> None:
    """Assert that the plan's answers are the model's, and that it answers nothing that the model refuses."""
    assert model.plan is not None
    try:
        planned = model.plan.predict(rows)
    except Unplanned:
        return
    assert first_difference(model.ask(rows), planned) is None
    if model.plan.predict_proba:
        assert model.probabilities is not None
        asked = model.probabilities(model.input(rows))
        assert first_difference(asked, model.plan.predict_proba(rows)) is None


def check_equality(drawn: Fitted) -> None:
    """Assert that a drawn model has a plan, which answers as the model does for batches of any size."""
    estimator, frame, more = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = as_model(estimator, frame)
        attach(model, load_seconds=1_000)  # time for the whole check, however busy the machine is
        assert model.info.answers == "the plan", model.info.answers
        rows = rows_of(model, more)
        for count in (1, 2, 3, 17, len(rows)):
            for start in range(0, len(rows), count * 4):
                compare(model, rows.take(np.arange(start, min(start + count, len(rows)))))


@hypothesis.given(fitted())
@settings(max_examples=15, derandomize=True, **COMMON)  # make slow draws others each time
def test_plan_equals_model(drawn: Fitted) -> None:
    """Every drawn model of covered steps has a plan, which equals it to the last bit."""
    check_equality(drawn)


@pytest.mark.slow
@hypothesis.given(fitted())
@settings(max_examples=3_000, **COMMON)
def test_thousands_of_plans_equal_their_models(drawn: Fitted) -> None:
    """As above, for thousands of models."""
    check_equality(drawn)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scikit_learn", "others"),
    [
        ("1.2.2", ("numpy<1.27", "scipy<1.12", "pandas<2")),
        ("1.4.2", ("numpy<2", "pandas<2.3")),
        ("1.6.1", ("pandas<3",)),
        ("1.8.0", ()),
    ],
)
def test_plans_of_older_versions(scikit_learn: str, others: Sequence[str]) -> None:
    """Plans equal their models with scikit-learn 1.2 to 1.8 too, and with the NumPy and pandas of their time."""
    packages = [f"scikit-learn=={scikit_learn}", *others, "hypothesis", "pytest", "mlflow-skinny", *SERVING]
    python = sys.executable if scikit_learn != "1.2.2" else "3.11"  # the newest Python with a wheel of it
    from uv import find_uv_bin  # the environments that this test makes don't have it

    command = [find_uv_bin(), "run", "--no-project", "--python", python, "--compile-bytecode"]
    command += [part for package in packages for part in ("--with", package)]
    test = f"{Path(__file__).relative_to(ROOT)}::test_hundreds_of_plans_equal_their_models"
    done = subprocess.run(
        [
            *command,
            "python",
            "-W",
            "ignore",
            "-m",
            "pytest",
            "-q",
            "--noconftest",
            "-p",
            "no:cacheprovider",
            "-m",
            "slow",
            test,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@hypothesis.given(fitted())
@settings(max_examples=300, **COMMON)
def test_hundreds_of_plans_equal_their_models(drawn: Fitted) -> None:
    """As above, for the models of one version."""
    check_equality(drawn)
