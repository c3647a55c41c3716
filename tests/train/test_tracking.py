"""A run is in the store with all that it left; the champion of the registry is the model that scores best."""

import json
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline

from model_loader import folder_digest
from tests.train.conftest import Run
from train.data import Data, load, split
from train.errors import TrainError
from train.package import save
from train.search import Settings
from train.tracking import Tracking

SETTINGS = Settings(1, None, 8, 42, 1, "neg_mean_absolute_error", "plain", None)


def test_a_run_is_tracked_with_parameters_metrics_pictures_and_the_model(diabetes: Run) -> None:
    client = MlflowClient(diabetes.store)
    (run,) = client.search_runs(
        [client.get_experiment_by_name("diabetes").experiment_id], "params.seed = '42'", max_results=1
    )
    scores = json.loads((diabetes.folder / "scores.json").read_text())
    assert run.info.status == "FINISHED"
    assert {"data", "target", "seed", "minutes", "scorer", "search_space", "git_commit"} <= set(run.data.params)
    assert run.data.metrics["baseline_MAE"] == scores["baseline"]["MAE"]
    history = client.get_metric_history(run.info.run_id, "search_MAE")
    assert [metric.step for metric in history] == list(range(1, int(run.data.params["generations"]) + 1))
    pictures = [file.path for file in client.list_artifacts(run.info.run_id, "pictures")]
    assert "pictures/residuals.png" in pictures


def test_the_registered_model_is_the_one_of_the_output_folder(diabetes: Run) -> None:
    assert "diabetes version 1 is the first champion." in diabetes.stdout.splitlines()
    client = MlflowClient(diabetes.store)
    version = client.get_model_version_by_alias("diabetes", "champion")
    assert folder_digest(Path(version.source.removeprefix("file://"))) == folder_digest(diabetes.folder / "model")


def _registered(tracking: Tracking, model: Pipeline, data: Data, folder: Path) -> str:
    """Track and register a fitted pipeline, and return what is said about it."""
    rows = split(data, 42)
    model.fit(rows.train_features, rows.train_target)
    save(model, data, folder / "run" / "model", "skops", {})
    run = tracking.log({}, {}, ("MAE", []), {}, folder / "run")
    shutil.rmtree(folder / "run")
    return tracking.register(run, model, rows, SETTINGS)


def test_only_a_better_model_becomes_the_champion(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.chdir(tmp_path)
    data = load("diabetes", None)
    tracking = Tracking("champions", "best")
    said = [
        _registered(tracking, make_pipeline(model), data, tmp_path)
        for model in (DummyRegressor(), LinearRegression(), DummyRegressor(), LinearRegression())
    ]
    assert said[0] == "best version 1 is the first champion."
    assert said[1].startswith("best version 2 is the new champion instead of version 1: MAE 41.")
    assert said[2].startswith("best version 3 was registered; version 2 stays the champion: MAE 6")
    assert said[3].startswith("best version 4 was registered; version 2 stays the champion: MAE 41.")
    fewer = Data("diabetes", data.features[["age", "bmi"]], data.target, "regression")
    other = _registered(tracking, make_pipeline(LinearRegression()), fewer, tmp_path)
    assert other.startswith(
        "best version 5 was registered; version 2 stays the champion, as it cannot score these rows"
    )
    client = MlflowClient(store)
    assert client.get_model_version_by_alias("best", "champion").version == 2


@pytest.mark.parametrize(
    ("uri", "reason"),
    [("http://127.0.0.1:9", "Connection refused"), ("sqlite:////proc/none/mlflow.db", "No such file or directory")],
)
def test_a_store_that_is_down_is_one_sentence(uri: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrainError) as failure:
        Tracking("diabetes", "name")
    assert failure.value.message == (
        f"The MLflow store '{uri}' cannot be used: {reason}. Start it, or set MLFLOW_TRACKING_URI to another."
    )
