"""Gives a model its plan, if it has one and if that answers as the model does."""

import contextlib
import dataclasses
import time
from typing import Any

import numpy as np

from loading.fitted import estimators
from loading.plan.check import ROWS, Answer, Differs, check, first_difference
from loading.plan.containers import Admit, Planner
from loading.plan.hard_rows import HardRows
from loading.plan.kernel import Head, Kernel, NotCovered, dense, name_of, refuse_replaced
from loading.plan.kernels import PREDICTORS
from loading.plan.thresholds import Thresholds
from serving.errors import describe_error
from serving.model import PLAN_DIFFERS, Model, Plan, Unplanned
from serving.rows import Rows
from serving.types import Array

MIN_SECONDS, SHARE_OF_LOADING = 0.05, 0.03  # what the check may take while an instance starts
THOROUGH_SECONDS, THOROUGH_ROWS = 20.0, 3_000


def attach(model: Model, *, load_seconds: float = 0, thorough: bool = False) -> None:
    """Let a plan answer for a model, and say in the model's info and notes which of the two answers.

    The check takes MIN_SECONDS, or a share of the time that loading took; a thorough one compares THOROUGH_ROWS.
    """
    seconds = THOROUGH_SECONDS if thorough else max(MIN_SECONDS, SHARE_OF_LOADING * load_seconds)
    try:
        with np.errstate(all="ignore"):  # the largest numbers overflow here and there
            model.plan, left_out = _checked(model, seconds, THOROUGH_ROWS if thorough else ROWS)
    except NotCovered as reason:
        answers = f"the model, since a plan doesn't cover it: {reason}"
    except Differs as reason:
        where = _blamed(model, reason)
        answers = f"{PLAN_DIFFERS}: {where}"
        model.notes.append(f"The model itself answers, because its plan differs from it: {where}.")
    else:
        answers = f"the plan, compared with the model on {left_out}" if left_out else "the plan"
    model.info = dataclasses.replace(model.info, answers=answers)


def _checked(model: Model, seconds: float, rows: int) -> tuple[Plan, str]:
    """Return the model's plan, and what its check left out; raise NotCovered or Differs."""
    if model.signature.tensors or model.form.kind == "series" or model.estimator is None:
        raise NotCovered("it takes no table of columns")
    if model.method not in ("predict", "predict_proba"):
        raise NotCovered(f"it answers by {model.method}")
    if model.rows_depend:
        raise NotCovered("its answer for a row depends on the other rows")
    started = time.perf_counter()
    for step in estimators(model.estimator):
        refuse_replaced(step)
    try:
        plan, planner = _made(model)
        thresholds = None
        if planner.last:
            step, head = planner.last
            thresholds = Thresholds(step, None if planner.bare else _guarded(head), model.signature)
        hard = HardRows(model, plan.predict, thresholds)
        left = seconds - (time.perf_counter() - started)
        return plan, check(model, plan, hard, _scores(planner), seconds=left, rows=rows)
    except (NotCovered, Differs):
        raise
    except Exception as error:  # a class with the name of a known one but other attributes
        raise NotCovered(describe_error(error)) from error


def _made(model: Model, **options: Admit) -> tuple[Plan, Planner]:
    planner = Planner(model.signature, model.form.frame_of, **options)
    probabilities = None
    if model.probabilities is not None:
        with contextlib.suppress(NotCovered):
            probabilities = _guarded(planner.predictor(model.estimator, "predict_proba"))
    return Plan(_guarded(planner.predictor(model.estimator, model.method)), probabilities), planner


def _scores(planner: Planner) -> list[tuple[Answer, Answer]]:
    """Return what gives the scores of the last step and of its plan: the class that they lead to hides differences."""
    if not planner.last:
        return []
    step, head = planner.last
    if not hasattr(step, "decision_function") or name_of(step) not in PREDICTORS:
        return []
    kernel = planner.predict_array(step, "decision_function")
    return [(lambda rows: step.decision_function(head(rows)), _guarded(lambda rows: kernel(head(rows))))]


def _blamed(model: Model, reason: Differs) -> str:
    """Return the reason with the first step whose kernel differs from it, if it is one."""

    def compare(step: Any, kernel: Kernel, own: Kernel) -> Kernel:
        def compared(values: Array) -> Array:
            found = kernel(values)
            with contextlib.suppress(Exception):  # a step that takes no array by itself
                if first_difference(dense(own(values)), dense(found)) is not None:
                    blamed.append(name_of(step))
            return found

        return compared

    blamed: list[str] = []
    plan, planner = _made(model, admit=compare)
    for answer in (plan.predict, plan.predict_proba, *(scores for _, scores in _scores(planner))):
        with contextlib.suppress(Unplanned):
            if answer:
                answer(reason.rows)
    return f"{blamed[0]}, {reason}" if blamed else str(reason)


def _guarded(head: Head) -> Head:
    """Return a head that leaves rows to the model for which a step raises, and that doesn't warn of overflows."""

    def guarded(rows: Rows) -> Array:
        with np.errstate(all="ignore"):
            try:
                return head(rows)
            except Unplanned:
                raise
            except Exception as error:
                raise Unplanned from error

    return guarded
