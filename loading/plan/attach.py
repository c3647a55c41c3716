"""Gives a model its plan, if it has one and if that answers as the model does."""

import contextlib
import dataclasses
import time

import numpy as np

from loading.plan.check import ROWS, Differs, check
from loading.plan.containers import Planner, predict_array
from loading.plan.hard_rows import HardRows
from loading.plan.kernel import Head, NotCovered, name_of
from loading.plan.kernels import PREDICTORS
from loading.plan.thresholds import Thresholds
from serving.errors import describe_error
from serving.model import Model, Plan, Unplanned
from serving.rows import Rows
from serving.types import Array

MIN_SECONDS, SHARE_OF_LOADING = 0.05, 0.03  # what the check may take while an instance starts
THOROUGH_SECONDS, THOROUGH_ROWS = 20.0, 3_000


def attach(model: Model, *, load_seconds: float = 0, thorough: bool = False) -> None:
    """Let a plan answer for a model, and say in the model's info and notes which of the two answers.

    The check takes MIN_SECONDS, or a share of the time that loading took; a thorough one takes what it needs.
    """
    seconds = THOROUGH_SECONDS if thorough else max(MIN_SECONDS, SHARE_OF_LOADING * load_seconds)
    answers = "the plan"
    try:
        plan, left_out = _checked(model, seconds, THOROUGH_ROWS if thorough else ROWS)
    except (NotCovered, Differs) as reason:
        answers = f"the model: {reason}"
    else:
        model.plan = plan
        if left_out:
            model.notes.append(f"The plan was compared with the model on a sample: {left_out}.")
    model.info = dataclasses.replace(model.info, answers=answers)


def _checked(model: Model, seconds: float, rows: int) -> tuple[Plan, str]:
    """Return the model's plan, and what its check left out; raise NotCovered or Differs."""
    if model.signature.tensors or model.form.kind == "series" or model.estimator is None:
        raise NotCovered("it takes no table of columns")
    started = time.perf_counter()
    planner = Planner(model.signature.columns, model.form.frame_of)
    try:
        probabilities = None
        if model.probabilities is not None:
            with contextlib.suppress(NotCovered):
                probabilities = planner.predictor(model.estimator, "predict_proba")
        predict = _guarded(planner.predictor(model.estimator, "predict"))
        plan = Plan(predict, _guarded(probabilities) if probabilities else None)
        thresholds, scores = None, []
        if planner.last:
            step, head = planner.last
            thresholds = Thresholds(step, _guarded(head), model.signature.columns)
            # A class hides what its score would show.
            if hasattr(step, "decision_function") and name_of(step) in PREDICTORS:
                kernel = predict_array(step, "decision_function")
                scores = [(lambda rows: step.decision_function(head(rows)), _guarded(lambda rows: kernel(head(rows))))]
        hard = HardRows(model, plan.predict, thresholds)
        left = seconds - (time.perf_counter() - started)
        return plan, check(model, plan, hard, scores, seconds=left, rows=rows)
    except (NotCovered, Differs):
        raise
    except Exception as error:  # a class with the name of a known one but other attributes
        raise NotCovered(describe_error(error)) from error


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
