"""Whatever TPOT finds, the saved pipeline is scikit-learn's own, predicts the same, and is trusted."""

import warnings

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import LabelEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor
from tpot import builtin_modules as tpot
from xgboost import XGBClassifier

from loading.trusted_types import TRUSTED_TYPES
from train.data import Task
from train.errors import TrainError
from train.package import modules, requirements
from train.plain import ARITHMETIC, GENOTYPES, check, plain
from train.space import known, space

MIXED = pd.DataFrame({"a": np.arange(60) % 3, "b": np.linspace(0, 1, 60), "c": np.arange(60) % 5})
GENES = pd.DataFrame({"a": np.arange(60) % 3, "b": np.arange(60) // 3 % 3, "c": np.arange(60) % 2}) - 0.0
UNFIT = {("classification", 10)}  # a pipeline that cannot be fitted to the data, as happens in a search
TARGET = pd.Series(np.arange(60) * 0.5, name="y")


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("seed", range(12))
def test_pipelines_of_the_search_space_become_plain_and_trusted(task: Task, seed: int) -> None:
    bunch = load_diabetes(as_frame=True) if task == "regression" else load_breast_cancer(as_frame=True)
    features, target = bunch.data[:120], bunch.target[:120]
    labels = LabelEncoder().fit(target) if task == "classification" else None
    whole = space("plain", task, features.shape[1], len(features), 2, seed)
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
        [tpot.ColumnOneHotEncoder()],
        [StandardScaler(), tpot.ColumnOneHotEncoder()],
        [tpot.ColumnOneHotEncoder(columns=["a", "c"])],
        [tpot.ColumnOneHotEncoder(columns="all")],
        [tpot.ColumnOneHotEncoder(columns=[])],
        [tpot.ColumnOrdinalEncoder(handle_unknown="use_encoded_value")],
        [
            make_union(
                make_pipeline(tpot.Passthrough(), tpot.ColumnOneHotEncoder()),
                tpot.SkipTransformer(),
                tpot.Passthrough(),
            )
        ],
        [make_union(make_union(tpot.SkipTransformer(), tpot.SkipTransformer()), tpot.Passthrough())],
        [make_pipeline(tpot.Passthrough(), make_pipeline(tpot.Passthrough(), StandardScaler()))],
    ],
    ids=lambda steps: "-".join(type(step).__name__ for step in steps),
)
def test_steps_of_tpot_become_equal_ones_of_scikit_learn(steps: list[BaseEstimator]) -> None:
    theirs = make_pipeline(*steps, LinearRegression()).fit(MIXED, TARGET)
    ours = plain(theirs, MIXED).fit(MIXED, TARGET)
    assert modules(ours) == {"sklearn"}
    check(ours, theirs, None, MIXED)


def test_a_pipeline_of_nothing_but_an_estimator_keeps_only_that() -> None:
    theirs = make_pipeline(
        tpot.Passthrough(), make_union(tpot.SkipTransformer(), tpot.Passthrough()), LinearRegression()
    )
    assert [name for name, _ in plain(theirs.fit(MIXED, TARGET), MIXED).steps] == ["linearregression"]


OWN_STEPS = [
    tpot.ZeroCount(),
    *(encoder() for encoder in GENOTYPES),
    *(transformer() for transformer in ARITHMETIC),
    tpot.EstimatorTransformer(Ridge()),
    tpot.EstimatorTransformer(DecisionTreeRegressor(random_state=1), cross_val_predict_cv=KFold(3)),
]


@pytest.mark.parametrize("step", OWN_STEPS, ids=lambda step: type(step).__name__)
def test_steps_that_scikit_learn_lacks_become_small_classes_of_ours(step: BaseEstimator) -> None:
    theirs = make_pipeline(make_union(step, tpot.Passthrough()), DecisionTreeRegressor(random_state=1))
    theirs.fit(GENES, TARGET)
    ours = plain(theirs, GENES).fit(GENES, TARGET)
    assert modules(ours) == {"sklearn", "model_steps"}
    check(ours, theirs, None, GENES)


def test_bins_of_some_columns_become_a_column_transformer() -> None:
    theirs = make_pipeline(tpot.PassKBinsDiscretizer(encode="ordinal"), LinearRegression()).fit(MIXED, TARGET)
    ours = plain(theirs, MIXED).fit(MIXED, TARGET)
    assert modules(ours) == {"sklearn"}
    check(ours, theirs, None, MIXED)


@pytest.mark.parametrize(
    "steps",
    [
        [XGBClassifier(n_estimators=3)],
        [make_union(tpot.EstimatorTransformer(XGBClassifier(n_estimators=3)), tpot.Passthrough()), GaussianNB()],
        [make_union(tpot.EstimatorTransformer(GaussianNB()), tpot.Passthrough()), LogisticRegression(penalty="l2")],
    ],
    ids=["booster", "stacked booster", "stacked"],
)
def test_classifiers_predict_labels_whatever_tpot_had_them_learn(steps: list[BaseEstimator]) -> None:
    words = pd.Series(np.where(TARGET > 12, "high", "low"))
    labels = LabelEncoder().fit(words)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TPOT's settings are scikit-learn 1.7's; ours must not warn
        theirs = make_pipeline(*steps).fit(MIXED, labels.transform(words))
    ours = plain(theirs, MIXED).fit(MIXED, words)
    check(ours, theirs, labels, MIXED)
    assert set(ours.predict(MIXED)) == {"high", "low"}


@pytest.mark.parametrize("seed", [1, 2, 3, 6, 9, 11, 14])  # others do not fit the data, as happens in a search
def test_pipelines_of_tpots_own_space_become_plain(seed: int) -> None:
    bunch = load_diabetes(as_frame=True)
    features, target = bunch.data[:150], bunch.target[:150]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = space("linear", "regression", 10, 150, 0, seed).generate(seed).export_pipeline()
        theirs.fit(features, target)
        ours = plain(theirs, features).fit(features, target)
        check(ours, theirs, None, features)
    assert "tpot" not in modules(ours)


def test_a_step_without_an_equivalent_fails_by_its_name() -> None:
    theirs = make_pipeline(tpot.EQTransformer(), LinearRegression()).fit(MIXED, TARGET)
    with pytest.raises(TrainError, match=r"tpot\.builtin_modules\.\w+\.EQTransformer .* nothing was saved"):
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
