"""A search runs on an existing Dask cluster, and returns a measured pipeline if it has no time."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes

from train.data import Task
from train.errors import TrainError
from train.features import Columns
from train.search import SearchSettings, search
from train.space import Table, search_space
from train.split import Folding
from train.workers import workers

RANDOM = Folding("random", None, "regression", 1)


@pytest.mark.check
def test_search_on_an_existing_cluster() -> None:
    """A search given a scheduler's address runs on its workers, and reports R2 as scikit-learn does."""
    bunch = load_diabetes(as_frame=True)
    with workers(1, None) as client:  # in place of a remote cluster
        settings = SearchSettings(10, 1, 1, 1, 1, "r2", "plain", client.scheduler.address)
        found = search(bunch.data, bunch.target, Columns.of(bunch.data), RANDOM, settings)
    assert found.evaluated > 0
    assert settings.metric == "R2"
    assert found.history[0] > 0.2


@pytest.mark.check
def test_no_time_returns_a_measured_pipeline() -> None:
    """A search that ends before any score measures the known pipelines on a few rows."""
    frame = pd.DataFrame({"city": ["Bern", "Köln", None] * 20, "size": np.linspace(1, 2, 60)})
    settings = SearchSettings(1e-6, None, 2, 1, 1, "r2", "plain", None)
    found = search(frame, frame["size"], Columns.of(frame), RANDOM, settings)
    assert found.few_rows == 60
    assert found.history == [found.best.score]
    assert found.best.score > 0.9


@pytest.mark.filterwarnings("ignore:Value `:FutureWarning")  # TPOT uses a parameter's old name; rewriting replaces it
@pytest.mark.parametrize("space", ["plain", "boosting", "linear", "linear-light"])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_one_column_can_be_searched(space: str, task: Task) -> None:
    """The spaces can be built for a single column, where TPOT's ranges would be empty."""
    features, target = pd.DataFrame({"size": np.arange(60.0)}), pd.Series([1, 2] * 30)
    table = Table.of(features, target, task, Columns.of(features), 0)
    assert search_space(space, table).generate(0).export_pipeline()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "127.0.0.1:9", "nonsense://x"])
def test_missing_cluster_is_one_sentence(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address where no scheduler answers raises TrainError with the expected form."""
    monkeypatch.setattr("train.workers.CONNECT_SECONDS", 0.5)
    with pytest.raises(TrainError, match=f"No Dask scheduler answers at '{address}'"), workers(1, address):
        pass


def test_clusters_do_not_compete_for_a_port() -> None:
    """Two searches can run at once: neither warns that a port of Dask's is taken."""
    with workers(0, None) as first, workers(0, None) as second:
        assert first.scheduler.address != second.scheduler.address
