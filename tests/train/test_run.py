"""What a training run leaves: a model that beats the baseline, loads anywhere, and is described exactly."""

import json
import subprocess
import sys
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from google.cloud import storage
from mlflow.models import get_model_info

from model_loader import folder_digest
from tests.train.conftest import Run, train

WITHOUT_TPOT = """
import sys
for name in ("tpot", "dask", "distributed", "ConfigSpace", "xgboost", "lightgbm"):
    sys.modules[name] = None  # any import of it now fails
import mlflow.pyfunc, pandas as pd
for i, folder in enumerate(sys.argv[1:]):
    model = mlflow.pyfunc.load_model(f"{folder}/model")
    rows = pd.read_parquet(f"{folder}/heldout.parquet")
    pd.DataFrame({"predicted": model.predict(rows[rows.columns[:-1]])}).to_parquet(f"{i}.parquet")
"""


def predict(run: Run) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the held-out rows and what the saved model predicts for them."""
    rows = pd.read_parquet(run.folder / "heldout.parquet")
    model = mlflow.pyfunc.load_model(str(run.folder / "model"))
    return rows, np.asarray(model.predict(rows[rows.columns[:-1]]))


def test_a_regression_beats_the_baseline_on_held_out_rows(diabetes: Run) -> None:
    scores = json.loads((diabetes.folder / "scores.json").read_text())
    rows, predicted = predict(diabetes)
    assert len(rows) == scores["rows"]["heldout"] == 133
    assert np.mean(np.abs(predicted - rows["progression"])) == pytest.approx(scores["model"]["MAE"], abs=1e-9)
    assert scores["model"]["MAE"] < 0.8 * scores["baseline"]["MAE"]
    assert scores["model"]["RMSE"] < 0.8 * scores["baseline"]["RMSE"]
    assert scores["model"]["R2"] > 0.3
    assert "MAE" in diabetes.stdout
    assert "baseline" in diabetes.stdout


def test_a_classification_predicts_the_labels_themselves(breast_cancer: Run) -> None:
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
def test_the_signature_names_and_types_every_column(
    run: str, output: dict[str, object], request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(run).folder
    info = get_model_info(str(folder / "model"))
    columns = pd.read_parquet(folder / "heldout.parquet").columns
    assert info.signature.inputs.input_names() == list(columns[:-1])
    assert {str(kind) for kind in info.signature.inputs.input_types()} == {"DataType.double"}
    assert info.signature.outputs.to_dict() == [output]


def test_the_input_example_has_seven_rows_and_is_predicted(diabetes: Run) -> None:
    model = mlflow.pyfunc.load_model(str(diabetes.folder / "model"))
    example = model.input_example
    assert example.shape == (7, 10)
    assert np.isfinite(model.predict(example)).all()


def test_the_requirements_name_what_serving_needs_and_nothing_else(diabetes: Run) -> None:
    lines = (diabetes.folder / "model" / "requirements.txt").read_text().splitlines()
    names = [line.partition("==")[0] for line in lines]
    assert names == ["mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops"]
    assert all("==" in line for line in lines)


def test_models_load_and_predict_the_same_without_tpot(diabetes: Run, breast_cancer: Run, tmp_path: Path) -> None:
    folders = [str(run.folder) for run in (diabetes, breast_cancer)]
    subprocess.run([sys.executable, "-c", WITHOUT_TPOT, *folders], cwd=tmp_path, check=True, timeout=60)
    alone = [pd.read_parquet(tmp_path / f"{i}.parquet")["predicted"] for i in range(2)]
    np.testing.assert_allclose(alone[0], predict(diabetes)[1], rtol=0, atol=1e-9)
    assert list(alone[1]) == list(predict(breast_cancer)[1])


def test_without_time_to_compare_a_known_pipeline_is_saved_and_published(
    tmp_path: Path, bucket: storage.Bucket
) -> None:
    limits = ["--minutes", "0.001", "--jobs", "1"]
    folder = tmp_path / "out"
    done = train("--data", "diabetes", *limits, "--output", str(folder), "--publish", "gs://models/d")
    assert done.returncode == 0, done.stderr
    assert "The time was too short to compare pipelines" in done.stdout
    assert f"Digest: {folder_digest(folder / 'model')}" in done.stdout.splitlines()
    assert bucket.blob("d/MLmodel").download_as_bytes() == (folder / "model" / "MLmodel").read_bytes()


def test_a_failed_run_leaves_the_earlier_one_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scores.json").write_text("{}")
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    done = train("--data", str(tmp_path / "rows.csv"), "--target", "price", "--output", str(tmp_path / "out"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"Error: {tmp_path / 'rows.csv'} has no column 'price' for --target; its columns are 'a', 'b'."
    ]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["out", "rows.csv", "scores.json"]
