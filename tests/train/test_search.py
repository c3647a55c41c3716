"""A search runs on a Dask cluster that is there already."""

import pytest
from sklearn.datasets import load_diabetes

from train.errors import TrainError
from train.search import Settings, search
from train.workers import workers


def test_a_search_runs_on_the_workers_of_an_existing_cluster() -> None:
    bunch = load_diabetes(as_frame=True)
    with workers(1, None) as client:  # stands for a cluster elsewhere
        settings = Settings(2, 1, 4, 1, 1, "r2", "plain", client.scheduler.address)
        found = search(bunch.data, bunch.target, "regression", None, settings)
    assert found.pipelines > 0
    assert settings.metric == "R2"
    assert found.history[0] > 0.2  # of an R2 more is better, and it is shown as it is


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "127.0.0.1:9", "nonsense://x"])
def test_a_cluster_that_is_not_there_is_one_sentence(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.workers.CONNECT", 0.5)
    with pytest.raises(TrainError, match=f"There is no Dask scheduler at '{address}'"), workers(1, address):
        pass
