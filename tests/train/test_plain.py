"""Whatever TPOT finds, the saved pipeline is scikit-learn's own, predicts the same, and is trusted."""

import warnings

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import LabelEncoder, StandardScaler
from tpot.builtin_modules import (
    ColumnOneHotEncoder,
    ColumnOrdinalEncoder,
    Passthrough,
    SkipTransformer,
    ZeroCount,
)

from serving.trusted_types import TRUSTED_TYPES
from train.data import Task
from train.errors import TrainError
from train.package import requirements
from train.plain import check, plain
from train.space import known, space

MIXED = pd.DataFrame({"a": np.arange(60) % 3, "b": np.linspace(0, 1, 60), "c": np.arange(60) % 5})
UNFIT = {("classification", 10)}  # a pipeline that cannot be fitted to the data, as happens in a search
TARGET = pd.Series(np.arange(60) * 0.5, name="y")


def modules(estimator: BaseEstimator) -> set[str]:
    """Return the top packages of an estimator and all in it."""
    parts = [estimator, *estimator.get_params(deep=True).values()]
    return {type(part).__module__.partition(".")[0] for part in parts if isinstance(part, BaseEstimator)}


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("seed", range(12))
def test_pipelines_of_the_search_space_become_plain_and_trusted(task: Task, seed: int) -> None:
    bunch = load_diabetes(as_frame=True) if task == "regression" else load_breast_cancer(as_frame=True)
    features, target = bunch.data[:120], bunch.target[:120]
    labels = LabelEncoder().fit(target) if task == "classification" else None
    whole = space(task, features.shape[1], len(features), 2, seed)
    tried = known(whole, task, seed) if seed == 0 else [whole.generate(seed)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # random settings do not converge, bins are empty, columns go missing
        for theirs in [individual.export_pipeline() for individual in tried]:
            try:
                theirs.fit(features, target)
            except ValueError:
                assert (task, seed) in UNFIT
                continue
            ours = plain(theirs, features).fit(features, target)
            check(ours, theirs, labels, features)
            assert modules(ours) == {"sklearn"}
            assert set(skops.io.get_untrusted_types(data=skops.io.dumps(ours))) <= TRUSTED_TYPES
            assert not any(isinstance(value, np.generic) for value in ours.get_params().values())


@pytest.mark.parametrize(
    "steps",
    [
        [ColumnOneHotEncoder()],
        [StandardScaler(), ColumnOneHotEncoder()],
        [ColumnOneHotEncoder(columns=["a", "c"])],
        [ColumnOneHotEncoder(columns="all")],
        [ColumnOneHotEncoder(columns=[])],
        [ColumnOrdinalEncoder(handle_unknown="use_encoded_value")],
        [make_union(make_pipeline(Passthrough(), ColumnOneHotEncoder()), SkipTransformer(), Passthrough())],
        [make_union(make_union(SkipTransformer(), SkipTransformer()), Passthrough())],
        [make_pipeline(Passthrough(), make_pipeline(Passthrough(), StandardScaler()))],
    ],
    ids=lambda steps: "-".join(type(step).__name__ for step in steps),
)
def test_steps_of_tpot_become_equal_ones_of_scikit_learn(steps: list[BaseEstimator]) -> None:
    theirs = make_pipeline(*steps, LinearRegression()).fit(MIXED, TARGET)
    ours = plain(theirs, MIXED).fit(MIXED, TARGET)
    assert modules(ours) == {"sklearn"}
    check(ours, theirs, None, MIXED)


def test_a_pipeline_of_nothing_but_an_estimator_keeps_only_that() -> None:
    theirs = make_pipeline(Passthrough(), make_union(SkipTransformer(), Passthrough()), LinearRegression())
    assert [name for name, _ in plain(theirs.fit(MIXED, TARGET), MIXED).steps] == ["linearregression"]


def test_a_step_without_an_equivalent_fails_by_its_name() -> None:
    theirs = make_pipeline(ZeroCount(), LinearRegression()).fit(MIXED, TARGET)
    with pytest.raises(TrainError, match=r"tpot\.builtin_modules\.zero_count\.ZeroCount .* nothing was saved"):
        plain(theirs, MIXED)


def test_a_pipeline_that_predicts_otherwise_is_refused() -> None:
    theirs = make_pipeline(LinearRegression()).fit(MIXED, TARGET)
    other = make_pipeline(LinearRegression()).fit(MIXED, TARGET * (1 + 1e-7))
    with pytest.raises(TrainError, match="predicts otherwise than TPOT's"):
        check(other, theirs, None, MIXED)


def test_a_booster_in_the_pipeline_is_among_the_requirements() -> None:
    from lightgbm import LGBMRegressor

    names = [line.partition("==")[0] for line in requirements(make_pipeline(LGBMRegressor()), "cloudpickle")]
    assert names == ["cloudpickle", "lightgbm", "mlflow", "numpy", "pandas", "scikit-learn", "scipy"]
