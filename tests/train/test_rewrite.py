"""TPOT's pipelines are rewritten in scikit-learn's steps with the same predictions, and only trusted types."""

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
from train.features import Columns
from train.known import known_pipelines
from train.package import beyond_sklearn, modules, requirements
from train.rewrite import ARITHMETIC, GENOTYPES, to_sklearn
from train.space import Table, search_space

MIXED = pd.DataFrame({"a": np.arange(60) % 3, "b": np.linspace(0, 1, 60), "c": np.arange(60) % 5})
GENES = pd.DataFrame({"a": np.arange(60) % 3, "b": np.arange(60) // 3 % 3, "c": np.arange(60) % 2}) - 0.0
TOLERANCE = 1e-9  # absolute and relative, of predictions
UNFIT = {("classification", 10)}  # pipelines that cannot be fitted to the data, which a search runs into
TARGET = pd.Series(np.arange(60) * 0.5, name="y")


def check_predictions(
    ours: BaseEstimator, theirs: BaseEstimator, labels: LabelEncoder | None, features: pd.DataFrame
) -> None:
    """Require the same predictions of both fitted pipelines; `labels` decodes the classes of TPOT's."""
    if labels is None:
        np.testing.assert_allclose(ours.predict(features), theirs.predict(features), TOLERANCE, TOLERANCE)
        return
    assert np.array_equal(ours.predict(features), labels.inverse_transform(theirs.predict(features)))
    if hasattr(ours, "predict_proba"):
        np.testing.assert_allclose(ours.predict_proba(features), theirs.predict_proba(features), TOLERANCE, TOLERANCE)


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize(
    "seed", [0, 1, 3, *(pytest.param(seed, marks=pytest.mark.check) for seed in (2, *range(4, 12)))]
)
def test_search_space_is_rewritten_and_trusted(task: Task, seed: int) -> None:
    """Random pipelines of the default space, and the known ones, become scikit-learn's own with trusted types only."""
    bunch = load_diabetes(as_frame=True) if task == "regression" else load_breast_cancer(as_frame=True)
    features, target = bunch.data[:120], bunch.target[:120]
    labels = LabelEncoder().fit(target) if task == "classification" else None
    table = Table.of(features, target, task, Columns.of(features), seed)
    space = search_space("plain", table)
    tried = known_pipelines(space, table, "r2") if seed == 0 else [space.generate(seed)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # random settings do not converge, bins are empty, columns go missing
        for theirs in [individual.export_pipeline() for individual in tried]:
            try:
                theirs.fit(features, target)
            except ValueError:
                assert (task, seed) in UNFIT
                continue
            ours = to_sklearn(theirs, features, target).fit(features, target)
            check_predictions(ours, theirs, labels, features)
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
def test_tpot_steps_become_sklearn_steps(steps: list[BaseEstimator]) -> None:
    """TPOT's encoders, unions and empty steps become scikit-learn's with the same predictions."""
    theirs = make_pipeline(*steps, LinearRegression()).fit(MIXED, TARGET)
    ours = to_sklearn(theirs, MIXED, TARGET).fit(MIXED, TARGET)
    assert modules(ours) == {"sklearn"}
    check_predictions(ours, theirs, None, MIXED)


def test_empty_steps_are_dropped() -> None:
    """Steps that do nothing leave no trace in the rewritten pipeline."""
    theirs = make_pipeline(
        tpot.Passthrough(), make_union(tpot.SkipTransformer(), tpot.Passthrough()), LinearRegression()
    )
    assert [name for name, _ in to_sklearn(theirs, MIXED, TARGET).steps] == ["linearregression"]


OWN_STEPS = [
    tpot.ZeroCount(),
    *(encoder() for encoder in GENOTYPES),
    *(transformer() for transformer in ARITHMETIC),
    tpot.EstimatorTransformer(Ridge()),
    tpot.EstimatorTransformer(DecisionTreeRegressor(random_state=1), cross_val_predict_cv=KFold(3)),
]


@pytest.mark.parametrize("step", OWN_STEPS, ids=lambda step: type(step).__name__)
def test_other_steps_become_model_steps(step: BaseEstimator) -> None:
    """Steps that scikit-learn lacks become classes of model_steps.py with the same predictions."""
    theirs = make_pipeline(make_union(step, tpot.Passthrough()), DecisionTreeRegressor(random_state=1))
    theirs.fit(GENES, TARGET)
    ours = to_sklearn(theirs, GENES, TARGET).fit(GENES, TARGET)
    assert modules(ours) == {"sklearn", "model_steps"}
    check_predictions(ours, theirs, None, GENES)


def test_bins_of_some_columns() -> None:
    """TPOT's discretizer of some columns becomes scikit-learn's column transformer."""
    theirs = make_pipeline(tpot.PassKBinsDiscretizer(encode="ordinal"), LinearRegression()).fit(MIXED, TARGET)
    ours = to_sklearn(theirs, MIXED, TARGET).fit(MIXED, TARGET)
    assert modules(ours) == {"sklearn"}
    check_predictions(ours, theirs, None, MIXED)


@pytest.mark.parametrize(
    "steps",
    [
        [XGBClassifier(n_estimators=3)],
        [make_union(tpot.EstimatorTransformer(XGBClassifier(n_estimators=3)), tpot.Passthrough()), GaussianNB()],
        [make_union(tpot.EstimatorTransformer(GaussianNB()), tpot.Passthrough()), LogisticRegression(penalty="l2")],
    ],
    ids=["booster", "stacked booster", "stacked"],
)
def test_classifiers_predict_labels(steps: list[BaseEstimator]) -> None:
    """Rewritten classifiers predict the labels themselves, though TPOT fits them on 0, 1, 2, ..."""
    words = pd.Series(np.where(TARGET > 12, "high", "low"))
    labels = LabelEncoder().fit(words)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TPOT uses parameters of scikit-learn 1.7; ours must not warn
        theirs = make_pipeline(*steps).fit(MIXED, labels.transform(words))
    ours = to_sklearn(theirs, MIXED, words).fit(MIXED, words)
    check_predictions(ours, theirs, labels, MIXED)
    assert set(ours.predict(MIXED)) == {"high", "low"}


# With other seeds, the pipeline cannot be fitted to the data.
@pytest.mark.parametrize("seed", [1, 3, 6, *(pytest.param(seed, marks=pytest.mark.check) for seed in (2, 9, 11, 14))])
def test_tpot_template_is_rewritten(seed: int) -> None:
    """Pipelines of TPOT's linear template become ones that need no TPOT."""
    bunch = load_diabetes(as_frame=True)
    features, target = bunch.data[:150], bunch.target[:150]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = Table.of(features, target, "regression", Columns.of(features), seed)
        theirs = search_space("linear", table).generate(seed).export_pipeline()
        theirs.fit(features, target)
        ours = to_sklearn(theirs, features, target).fit(features, target)
        check_predictions(ours, theirs, None, features)
    assert "tpot" not in modules(ours)


def test_step_without_equivalent_is_named() -> None:
    """A step that cannot be rewritten raises TrainError with its name."""
    theirs = make_pipeline(tpot.EQTransformer(), LinearRegression()).fit(MIXED, TARGET)
    with pytest.raises(TrainError, match=r"tpot\.builtin_modules\.\w+\.EQTransformer .* nothing was saved"):
        to_sklearn(theirs, MIXED, TARGET)


def test_booster_is_required() -> None:
    """A pipeline with LightGBM requires it, which is said with its size."""
    from lightgbm import LGBMRegressor

    pipeline = make_pipeline(LGBMRegressor())
    (sentence,) = beyond_sklearn(pipeline)
    assert sentence.startswith(
        "The model isn't plain scikit-learn: the function installs and imports lightgbm for it, "
    )
    names = [line.partition("==")[0] for line in requirements(pipeline, "cloudpickle")]
    assert names == ["cloudpickle", "lightgbm", "mlflow", "numpy", "pandas", "scikit-learn", "scipy"]
