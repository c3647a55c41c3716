"""The verdict on a model: whether it is better than guessing and than a linear model, beyond the noise.

The noise is that of the held-out rows: with other rows of the same kind, the scores would be a little different. A
bootstrap shows by how much. All models are scored on the same resampled rows, so what is hard for each of them cancels
out of the differences.
"""

import dataclasses
import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if

from train.data import Task
from train.measure import score
from train.numbers import number
from train.search import SearchSettings

RESAMPLES = 200
MAX_ROWS = 2000  # of one resample; the interval of more rows is narrower by the square root of their ratio
COVERAGE = 95  # percent, of an interval

Interval = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Against:
    """A comparison with another model; a positive `difference`, in units of the measure, means that ours is better."""

    name: str
    ours: float
    theirs: float
    difference: float
    interval: Interval
    is_error: bool

    @property
    def beyond_noise(self) -> bool:
        """Whether all of the interval is on one side of zero."""
        return self.interval[0] > 0 or self.interval[1] < 0

    @property
    def size(self) -> str:
        """The difference as people write it: a share of an error, or points of a score."""
        if self.is_error and self.theirs:
            return f"{abs(self.difference / self.theirs):.1%}"
        return f"{abs(self.difference):.3g}"


@dataclasses.dataclass(frozen=True)
class Verdict:
    sentence: str
    measure: str
    cross_validated: float
    heldout: float
    worse_than_guessing: bool
    against: dict[str, Against]
    intervals: dict[str, Interval]  # of the measure, by model

    def to_dict(self) -> dict[str, object]:
        """Return what scores.json has."""
        comparisons = {
            name: {"difference": each.difference, "interval": each.interval, "beyond_noise": each.beyond_noise}
            for name, each in self.against.items()
        }
        return dataclasses.asdict(self) | {"against": comparisons}


def verdict(
    models: Mapping[str, BaseEstimator],
    features: pd.DataFrame,
    target: pd.Series,
    task: Task,
    settings: SearchSettings,
    cross_validated: float,
    rmse: Mapping[str, float] | None,
) -> Verdict:
    """Compare "model" with "baseline" and "linear", all fitted, on held-out rows.

    `cross_validated` is the score that the search expected, as people write it; `rmse` is each model's, for a
    regression.
    """
    scored = _resampled(models, features, target, task, settings)
    whole = {name: values[0] for name, values in scored.items()}
    sign = -1 if settings.is_error else 1
    against = {}
    for name in models:
        if name != "model":
            differences = sign * (scored["model"] - scored[name])
            interval = _interval(differences, len(target))
            against[name] = Against(
                name, whole["model"], whole[name], float(differences[0]), interval, settings.is_error
            )
    worse = against["baseline"].difference <= 0
    intervals = {name: _interval(values, len(target)) for name, values in scored.items()}
    low, high = intervals["model"]
    sentence = _sentence(settings.metric, whole["model"], cross_validated, against, rmse)
    if cross_validated < low if settings.is_error else cross_validated > high:
        sentence = sentence[:-1] + "; the held-out rows are worse than cross-validation, beyond the noise."
    return Verdict(sentence, settings.metric, cross_validated, float(whole["model"]), worse, against, intervals)


def _sentence(
    measure: str,
    heldout: float,
    cross_validated: float,
    against: Mapping[str, Against],
    rmse: Mapping[str, float] | None,
) -> str:
    guess, linear = against["baseline"], against["linear"]
    noise = "beyond the noise of the held-out rows"
    constant = f"a constant prediction with {measure} {number(guess.theirs)}"
    if guess.difference <= 0:
        text = f"The model is worse than guessing, {constant}"
    elif not guess.beyond_noise:
        text = f"The model is no better than guessing {noise}, {constant}"
    elif linear.interval == (0, 0):
        text = f"The model is {guess.size} better than guessing, {noise}, and as good as the linear model"
    elif not linear.beyond_noise:
        text = f"The model is {guess.size} better than guessing, but no better than the linear model {noise}"
    else:
        word = "and {} better" if linear.difference > 0 else "but {} worse"
        text = (
            f"The model is {guess.size} better than guessing {word.format(linear.size)} than the linear model, {noise}"
        )
    text += f" ({measure} {number(heldout)}, cross-validated {number(cross_validated)})"
    if rmse and measure != "RMSE" and rmse["linear"] < rmse["model"]:
        text += f"; the linear model is ahead in RMSE ({number(rmse['linear'])} against {number(rmse['model'])})"
    return text + "."


def _resampled(
    models: Mapping[str, BaseEstimator],
    features: pd.DataFrame,
    target: pd.Series,
    task: Task,
    settings: SearchSettings,
) -> dict[str, np.ndarray]:
    """Return each model's score on all rows, followed by those on resampled ones, as people write them."""
    random = np.random.default_rng(settings.seed)
    draws = [random.integers(0, len(target), min(len(target), MAX_ROWS)) for _ in range(RESAMPLES)]
    remembered = _RememberedClassifier if task == "classification" else _RememberedRegressor
    found = {}
    for name, model in models.items():
        memory = remembered(model, features)
        scores = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a resample may lack a class
            for rows in [np.arange(len(target)), *draws]:
                try:
                    scores.append(score(memory, pd.DataFrame({"row": rows}), target.iloc[rows], settings.scorer))
                except ValueError:  # such as the area under a curve of one class
                    scores.append(np.nan)
        found[name] = np.array([settings.display(value) for value in scores])
    return found


def _interval(values: np.ndarray, rows: int) -> Interval:
    """Return the interval around the first value, of all rows, that has COVERAGE percent of the resampled ones."""
    whole, resampled = values[0], values[1:][np.isfinite(values[1:])]
    if not len(resampled):
        return float(whole), float(whole)
    rest = (100 - COVERAGE) / 2
    low, high = np.percentile(resampled, [rest, 100 - rest])
    narrower = np.sqrt(min(rows, MAX_ROWS) / rows)
    return float(whole + (low - whole) * narrower), float(whole + (high - whole) * narrower)


class _RememberedRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Predicts once for all rows. Its features are then the numbers of rows, so resampling costs no predictions."""

    def __init__(self, model: BaseEstimator, features: pd.DataFrame) -> None:
        self.predicted_ = np.asarray(model.predict(features))

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.predicted_[X["row"]]  # type: ignore[no-any-return]


class _RememberedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The same for a classifier."""

    def __init__(self, model: BaseEstimator, features: pd.DataFrame) -> None:
        self.classes_ = model.classes_
        self.predicted_ = np.asarray(model.predict(features))
        if hasattr(model, "predict_proba"):
            self.probabilities_ = model.predict_proba(features)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.predicted_[X["row"]]  # type: ignore[no-any-return]

    @available_if(lambda self: hasattr(self, "probabilities_"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        return self.probabilities_[X["row"]]  # type: ignore[no-any-return]
