"""A training run leaves a model that beats the baseline, loads anywhere, and is described exactly."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow.models import get_model_info

from local import parity
from local.storage import Storage
from model_loader import folder_digest, load
from serving.decoding import from_arguments
from tests.conftest import BUCKET, ROOT
from tests.train.conftest import PATIENCE, Run, train
from train.__main__ import main

pytestmark = pytest.mark.check

ALONE = """
import sys
import mlflow.pyfunc, pandas as pd

for folder in sys.argv[1:]:
    model = mlflow.pyfunc.load_model(f"{folder}/model")
    name = folder.replace("/", "_")
    types = pd.read_json(f"{name}.json", typ="series")
    dates = [name for name in types.index if types[name].startswith("datetime")]
    rows = pd.read_csv(
        f"{name}.csv", dtype=types.drop(dates).to_dict(), parse_dates=dates, float_precision="round_trip"
    ).astype(types)
    assert len(model.predict(model.input_example)) == 7
    predicted = model.get_raw_model().predict(rows[rows.columns[:-1]])  # MLflow refuses gaps in BOOL columns
    pd.DataFrame({"predicted": predicted}).to_csv(f"{name}.out", index=False)
assert not {"tpot", "dask", "xgboost", "lightgbm", "train"} & set(sys.modules)
"""


@pytest.fixture(scope="session")
def serving_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that has nothing but requirements.txt installed."""
    folder = tmp_path_factory.mktemp("serving") / ".venv"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", folder / "bin" / "python", "-r", ROOT / "requirements.txt"]
    subprocess.run(install, check=True)
    return folder / "bin" / "python"


def predict(run: Run) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the held-out rows and what the saved model predicts for them."""
    rows = pd.read_parquet(run.folder / "heldout.parquet")
    model = mlflow.sklearn.load_model(str(run.folder / "model"))
    return rows, np.asarray(model.predict(rows[rows.columns[:-1]]))


def test_regression_beats_the_baseline(diabetes: Run) -> None:
    """The model beats the baseline on held-out rows, and the scores are those of its predictions."""
    scores = json.loads((diabetes.folder / "scores.json").read_text())
    rows, predicted = predict(diabetes)
    assert len(rows) == scores["heldout_rows"] == 133
    assert np.mean(np.abs(predicted - rows["progression"])) == pytest.approx(scores["model"]["MAE"], abs=1e-9)
    assert scores["model"]["MAE"] < 0.8 * scores["baseline"]["MAE"]
    assert scores["model"]["RMSE"] < 0.8 * scores["baseline"]["RMSE"]
    assert scores["model"]["R2"] > 0.3
    assert "MAE" in diabetes.stdout
    assert "baseline" in diabetes.stdout


def test_classification_predicts_labels(breast_cancer: Run) -> None:
    """The model predicts text labels, better than the baseline, and the scores are those of its predictions."""
    scores = json.loads((breast_cancer.folder / "scores.json").read_text())
    rows, predicted = predict(breast_cancer)
    assert set(predicted) == {"benign", "malignant"}
    assert np.mean(predicted == rows["diagnosis"]) == pytest.approx(scores["model"]["accuracy"])
    assert scores["model"]["accuracy"] > 0.9
    assert scores["model"]["log loss"] < scores["baseline"]["log loss"]


@pytest.mark.parametrize(
    ("run", "output"),
    [
        ("diabetes", {"type": "double", "name": "progression", "required": True}),
        ("breast_cancer", {"type": "string", "name": "diagnosis", "required": True}),
    ],
)
def test_signature_describes_every_column(run: str, output: dict[str, object], request: pytest.FixtureRequest) -> None:
    """The signature has every column with name and type, and the target as output."""
    folder = request.getfixturevalue(run).folder
    info = get_model_info(str(folder / "model"))
    columns = pd.read_parquet(folder / "heldout.parquet").columns
    assert info.signature.inputs.input_names() == list(columns[:-1])
    assert set(map(str, info.signature.inputs.input_types())) == {"DataType.double"}
    assert info.signature.outputs.to_dict() == [output]


def test_input_example_can_be_predicted(diabetes: Run) -> None:
    """The model carries seven example rows, and predicts them."""
    model = mlflow.pyfunc.load_model(str(diabetes.folder / "model"))
    example = model.input_example
    assert example.shape == (7, 10)
    assert np.isfinite(model.predict(example)).all()


def test_requirements_are_what_serving_needs(diabetes: Run) -> None:
    """The model requires pinned versions of what serving needs, and nothing else."""
    lines = (diabetes.folder / "model" / "requirements.txt").read_text().splitlines()
    names = [line.partition("==")[0] for line in lines]
    assert names == ["mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops"]
    assert all("==" in line for line in lines)


@pytest.mark.environments
def test_models_need_only_the_function_packages(
    diabetes: Run, breast_cancer: Run, houses: Run, serving_python: Path, tmp_path: Path
) -> None:
    """With nothing but requirements.txt installed, every model loads and predicts the same as here."""
    runs = (diabetes, breast_cancer, houses)
    folders = [str(run.folder) for run in runs]
    for run, folder in zip(runs, folders, strict=True):
        rows, name = predict(run)[0], folder.replace("/", "_")
        rows.to_csv(tmp_path / f"{name}.csv", index=False)  # Parquet needs a package that serving lacks
        rows.dtypes.astype(str).to_json(tmp_path / f"{name}.json")
    subprocess.run([serving_python, "-c", ALONE, *folders], cwd=tmp_path, check=True, timeout=PATIENCE)
    for run, folder in zip(runs, folders, strict=True):
        alone = pd.read_csv(tmp_path / f"{folder.replace('/', '_')}.out")["predicted"]
        here = pd.Series(predict(run)[1])
        pd.testing.assert_series_equal(alone, here, check_names=False, check_dtype=False, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_no_time_publishes_a_known_pipeline(tmp_path: Path, emulator: Storage, store: str) -> None:
    """A search too short for any score saves and publishes the best known pipeline on a few rows."""
    folder = tmp_path / "out"
    arguments = ["--minutes", "0.001", "--jobs", "1", "--output", str(folder), "--publish", f"gs://{BUCKET}/no-time"]
    done = train("--data", "diabetes", *arguments, MLFLOW_TRACKING_URI=store, **emulator.environment)
    assert done.returncode == 0, done.stderr
    assert "The search was too short for all rows; the best of " in done.stdout
    assert f"Digest: {folder_digest(folder / 'model')}" in done.stdout.splitlines()
    stored = httpx.get(f"{emulator.url}/{BUCKET}/no-time/MLmodel", trust_env=False)
    assert stored.content == (folder / "model" / "MLmodel").read_bytes()


def test_publish_errors_come_before_the_search(tmp_path: Path) -> None:
    """A bad --publish ends the run at once with one sentence, before any data is loaded."""
    arguments = ["--data", "diabetes", "--output", str(tmp_path / "out"), "--publish", "models/diabetes"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: 'models/diabetes' is not a location for a model; expected gs://BUCKET/PREFIX")
    assert not (tmp_path / "out").exists()


def test_failed_run_changes_nothing(tmp_path: Path) -> None:
    """A run that fails prints one sentence, exits with 1, and leaves the earlier run and nothing beside it."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scores.json").write_text("{}")
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    done = train("--data", str(tmp_path / "rows.csv"), "--target", "price", "--output", str(tmp_path / "out"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"Error: {tmp_path / 'rows.csv'} has no column 'price' for --target; its columns are 'a', 'b'."
    ]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["out", "rows.csv", "scores.json"]


def test_metadata_describes_the_run(diabetes: Run) -> None:
    """The model's metadata has data, rows, seed, scores, duration and commit of its training."""
    metadata = get_model_info(str(diabetes.folder / "model")).metadata
    scores = json.loads((diabetes.folder / "scores.json").read_text())
    assert metadata["data"] == "diabetes"
    assert (metadata["train_rows"], metadata["heldout_rows"], metadata["seed"]) == (309, 133, 42)
    assert metadata["scores"] == scores["model"]
    assert metadata["seconds"] > 0
    assert len(metadata["git_commit"].removesuffix("-dirty")) == 40


def test_integer_column_is_an_optional_double(houses: Run) -> None:
    """Integers become optional doubles, since they may have gaps later; stdout and the report say so."""
    inputs = get_model_info(str(houses.folder / "model")).signature.inputs.to_dict()
    assert [(column["name"], column["type"], column["required"]) for column in inputs] == [
        ("Größe in m²", "double", False),
        ("select", "double", False),
        ("built", "datetime", False),
        ("city", "string", False),
        ("garden", "boolean", False),
        ("lift", "boolean", True),
    ]
    sentence = "select holds integers; the model takes it as an optional double"
    assert sentence in houses.stdout
    assert sentence in (houses.folder / "report.html").read_text()


def test_model_is_served_with_gaps(houses: Run) -> None:
    """The function's loader and decoder take rows with gaps in every optional column."""
    model = load(str(houses.folder / "model"))
    rows = from_arguments(model.signature, [*model.example, [None, None, None, None, None, True]])
    assert rows.errors() == {}
    assert np.isfinite(model.predict(rows)).all()


def test_ctrl_c_keeps_the_best_pipeline(diabetes: Run) -> None:
    """Ctrl-C ends the search; the best pipeline so far is saved, and nothing fails, workers included."""
    assert "Search stopped; keeping the best pipeline so far." in diabetes.stderr
    assert "Traceback" not in diabetes.stderr
    assert "The best of " in diabetes.stdout
    assert (diabetes.folder / "model" / "MLmodel").is_file()


def test_model_is_published(diabetes: Run, emulator: Storage) -> None:
    """--publish uploads the saved model and prints its digest."""
    assert f"Digest: {folder_digest(diabetes.folder / 'model')}" in diabetes.stdout.splitlines()
    stored = httpx.get(f"{emulator.url}/{BUCKET}/diabetes/MLmodel", trust_env=False)
    assert stored.content == (diabetes.folder / "model" / "MLmodel").read_bytes()


@pytest.mark.slow
def test_whole_number_target(tmp_path: Path) -> None:
    """A regression on whole numbers predicts fractions: FLOAT64 in SQL, and equal to MLflow's for every row."""
    rng = np.random.default_rng(3)
    homes = pd.DataFrame({"area": rng.integers(30, 200, 120), "city": rng.choice(["Ulm", "Bonn", "Jena"], 120)})
    homes["price"] = homes.area * 1_700 + (homes.city == "Bonn") * 35_000 + rng.integers(-900, 900, 120)
    homes.to_csv(tmp_path / "homes.csv", index=False)
    options = ["--target", "price", "--minutes", "0.1", "--jobs", "1", "--output", str(tmp_path / "out")]
    result = train("--data", str(tmp_path / "homes.csv"), *options, MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path}/m.db")
    assert result.returncode == 0, result.stderr
    model = str(tmp_path / "out" / "model")
    assert load(model).sql_type == "FLOAT64"
    report = parity.run(model, tmp_path / "homes.csv")
    assert (report.rows, report.differences) == (120, [])
