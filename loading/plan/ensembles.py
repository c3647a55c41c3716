"""Voting and stacking: the ensemble's own code, on a copy whose inner estimators are plans."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

from loading.plan.kernel import NotCovered

NAMES = tuple(f"sklearn.{kind}{what}" for kind in ("Stacking", "Voting") for what in ("Classifier", "Regressor"))
_METHODS = ("predict", "predict_proba", "decision_function")


class _Planned:
    """An estimator whose methods are plans; everything else is that of the estimator."""

    def __init__(self, estimator: Any, methods: Iterable[tuple[str, Any]]) -> None:
        self._estimator = estimator
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._estimator, name)


def planned(ensemble: Any, method: str, plan: Callable[[Any, str], Any]) -> Any:
    """Return the method of an ensemble, for what `plan` makes of an inner estimator and the name of its method.

    An ensemble hands what it gets to its estimators as it is, so that may be an array or the rows of a request.
    """
    if not hasattr(ensemble, method):
        raise NotCovered(f"{type(ensemble).__name__} has no {method}")
    stand_in = copy.copy(ensemble)
    stand_in.estimators_ = [
        _Planned(each, [(name, plan(each, name)) for name in _METHODS if hasattr(each, name)])
        for each in ensemble.estimators_
    ]
    return getattr(stand_in, method)
