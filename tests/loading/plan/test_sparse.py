"""Plans of models whose last step gets a sparse matrix, in which scikit-learn adds in another order than in a dense one."""

from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMRegressor
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor, VotingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor
from xgboost import XGBRegressor

from tests.loading.plan.grammar import table, target
from tests.loading.plan.test_equality import check_equality


@pytest.mark.parametrize(
    "last",
    [
        DecisionTreeRegressor(max_depth=4, random_state=0),
        GradientBoostingRegressor(n_estimators=5, random_state=0),
        VotingRegressor([("forest", RandomForestRegressor(5, random_state=0)), ("line", Ridge())]),
        LGBMRegressor(n_estimators=5, verbose=-1, n_jobs=1, min_child_samples=2),
        XGBRegressor(n_estimators=5, n_jobs=1),
        Ridge(),
    ],
    ids=lambda last: type(last).__name__,
)
@pytest.mark.parametrize("between", [[], [MaxAbsScaler()]], ids=["at once", "scaled"])
def test_sparse_features(between: list[Any], last: Any) -> None:
    """A model whose last step gets a sparse matrix has a plan, which equals it to the last bit."""
    random = np.random.default_rng(5)
    frame = table(random, 60, "ttf")
    encode = ColumnTransformer(
        [("texts", OneHotEncoder(), ["t0", "t1"]), ("number", StandardScaler(), ["f2"])], sparse_threshold=1.0
    )
    estimator = make_pipeline(encode, *between, last).fit(frame, target(random, frame))
    check_equality((estimator, frame, table(random, 40, "ttf")))
