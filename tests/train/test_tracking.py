"""The tracking store holds every run and its files; the registry's champion is the model that scores best."""

import json
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.tree import ExtraTreeRegressor

from model_loader import folder_digest
from tests.train.conftest import Run
from train.data import Data, load
from train.errors import TrainError
from train.package import save
from train.registry import Candidate, register
from train.search import SearchSettings
from train.split import split
from train.tracking import Tracking

SETTINGS = SearchSettings(1, None, 8, 42, 1, "neg_mean_absolute_error", "plain", None)


@pytest.mark.check
def test_run_is_tracked(diabetes: Run) -> None:
    """A run has its parameters, scores, score history and figures in the store."""
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
    figures = [file.path for file in client.list_artifacts(run.info.run_id, "pictures")]
    assert "pictures/residuals.svg" in figures


def test_registered_model_is_the_saved_one(diabetes: Run) -> None:
    """The first registered version is the champion, and its files are those of the output folder."""
    assert "diabetes version 1 is the first champion." in diabetes.stdout.splitlines()
    client = MlflowClient(diabetes.store)
    version = client.get_model_version_by_alias("diabetes", "champion")
    assert folder_digest(Path(version.source.removeprefix("file://"))) == folder_digest(diabetes.folder / "model")


def _registered(
    tracking: Tracking, model: Pipeline, data: Data, folder: Path, *,
    worse_than_guessing: bool = False, refit_all: bool = False, seed: int = 42,
) -> str:  # fmt: skip
    """Fit, track and register a pipeline, and return the sentence about the champion."""
    rows = split(data, seed)
    model.fit(rows.train_features, rows.train_target)
    saved = clone(model).fit(*rows.everything) if refit_all else model
    save(saved, data, folder / "run" / "model", "skops", {})
    run = tracking.log({}, {}, ("MAE", []), {}, folder / "run")
    shutil.rmtree(folder / "run")
    return register(tracking, Candidate(run, model, refit_all, worse_than_guessing), rows, SETTINGS)


def test_only_a_better_model_becomes_champion(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version replaces the champion only if it scores better; one with other columns never does."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.chdir(tmp_path)
    data = load("diabetes", None)
    tracking = Tracking("champions", "best")
    sentences = [
        _registered(tracking, make_pipeline(model), data, tmp_path)
        for model in (DummyRegressor(), LinearRegression(), DummyRegressor(), LinearRegression())
    ]
    assert sentences[0] == "best version 1 is the first champion."
    assert sentences[1].startswith("best version 2 replaces version 1 as the champion: MAE 41.")
    assert sentences[2].startswith("Registered best version 3; version 2 remains the champion: MAE 6")
    assert sentences[3].startswith("Registered best version 4; version 2 remains the champion: MAE 41.")
    fewer = Data("diabetes", data.features[["age", "bmi"]], data.target, "regression")
    other = _registered(tracking, make_pipeline(LinearRegression()), fewer, tmp_path)
    assert other.startswith("Registered best version 5; version 2 remains the champion, but it cannot score these rows")
    worse = _registered(tracking, make_pipeline(LinearRegression()), data, tmp_path, worse_than_guessing=True)
    assert worse == "Registered best version 6; worse than guessing, it doesn't become the champion."
    client = MlflowClient(store)
    assert client.get_model_version_by_alias("best", "champion").version == 2


def test_champion_never_sees_the_held_out_rows(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A champion that was fitted on held-out rows, since it was refitted or has another seed, is fitted anew."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.chdir(tmp_path)
    data, tracking = load("diabetes", None), Tracking("champions", "fair")
    by_heart = make_pipeline(ExtraTreeRegressor(random_state=0))  # knows every row that it was fitted on
    _registered(tracking, by_heart, data, tmp_path, refit_all=True)
    assert "refit_all" in MlflowClient(store).get_model_version("fair", "1").tags
    found = _registered(tracking, make_pipeline(LinearRegression()), data, tmp_path)
    assert found.startswith("fair version 2 replaces version 1 as the champion: MAE 41.")
    assert found.endswith(", version 1 fitted anew on this run's training rows.")
    found = _registered(tracking, by_heart, data, tmp_path, seed=7)
    assert found.startswith("Registered fair version 3; version 2 remains the champion: MAE ")
    assert found.endswith(", version 2 fitted anew on this run's training rows.")
    found = _registered(tracking, make_pipeline(LinearRegression()), data, tmp_path)
    assert "anew" not in found


@pytest.mark.parametrize(
    ("uri", "reason"),
    [("http://127.0.0.1:9", "Connection refused"), ("sqlite:////proc/none/mlflow.db", "No such file or directory")],
)
def test_unreachable_store_is_one_sentence(uri: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot be used raises TrainError with the system's reason and what to do."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrainError) as failure:
        Tracking("diabetes", "name")
    assert failure.value.message == (
        f"The MLflow store '{uri}' cannot be used: {reason}. Start it, or set MLFLOW_TRACKING_URI to another one."
    )
