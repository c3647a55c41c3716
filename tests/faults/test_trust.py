"""Only the model that was meant: what others put into a bucket, a model or a request opens no file that is not its own."""

import functools
import json
import operator
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import skops.io
from mlflow.models import infer_signature
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeRegressor
from starlette.testclient import TestClient

from loading import mlmodel
from model_loader import folder_digest, load
from serving.errors import ModelUnusable
from serving.rows import from_arguments
from tests import models
from tests.assertions import assert_error

ROW = [0.5, -0.25, 1, 2]


class Touch:
    """Writes a file as soon as it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no other test in this process see the code that the model of this one brings."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(mlmodel, "_code_here", {})


@pytest.fixture
def folder(saved: Callable[[str], str], tmp_path: Path) -> Path:
    """Return a model's folder that a test may spoil."""
    return Path(shutil.copytree(saved("tree_regressor"), tmp_path / "model"))


@pytest.mark.usefixtures("alone")
def test_of_a_model_with_another_digest_nothing_is_unpickled_nor_imported(tmp_path: Path) -> None:
    folder, touched = models.python_model(tmp_path / "model"), tmp_path / "touched"
    digest = folder_digest(folder)
    (folder / "code" / "prepare.py").write_text(f"open({str(touched)!r}, 'w')")
    (folder / "python_model.pkl").write_bytes(__import__("pickle").dumps(Touch(touched)))
    with pytest.raises(ModelUnusable, match=f"MODEL_DIGEST asks for {digest}: it was not loaded"):
        load(str(folder), digest)
    assert not touched.exists()
    with pytest.raises(ModelUnusable):  # nothing else had kept it from being written
        load(str(folder))
    assert touched.exists()


HOSTILE_STEPS: dict[str, Any] = {
    "a function of the system": os.system,
    "a process": subprocess.Popen,
    "eval": eval,
    "a call in waiting": functools.partial(os.system, "true"),
    "a method's name": operator.methodcaller("unlink"),
    "own code": models.calendar,
}


@pytest.mark.parametrize("step", HOSTILE_STEPS.values(), ids=HOSTILE_STEPS)
def test_a_skops_file_that_asks_for_types_nobody_reviewed_is_a_424_that_names_them(tmp_path: Path, step: Any) -> None:
    trusted = ["sklearn.tree._tree.Tree"]
    folder = models.tree_regressor(tmp_path / "model", serialization_format="skops", skops_trusted_types=trusted)
    X = models.numbers()
    model = make_pipeline(FunctionTransformer(), DecisionTreeRegressor(max_depth=2)).fit(X, X.a)
    model.steps[0][1].func = step
    skops.io.dump(model, folder / "model.skops")
    with pytest.raises(ModelUnusable, match="Untrusted types found in the file"):
        load(str(folder))


def test_a_model_whose_code_ends_the_process_is_a_424(app: Callable[..., TestClient], folder: Path) -> None:
    (folder / "model.pkl").write_bytes(b"csys\nexit\n(tR.")
    assert_error(app(str(folder)).post("/", json={"calls": [ROW]}), 424, "its code ends the process")


@pytest.mark.usefixtures("alone")
def test_code_that_python_would_not_import_again_is_refused(tmp_path: Path) -> None:
    """The model was replaced after a failed load or a refresh: its predict would go through the old code."""
    folder = models.python_model(tmp_path / "model")
    load(str(folder))
    load(str(folder))
    (folder / "code" / "prepare.py").write_text("scale = None")
    with pytest.raises(ModelUnusable, match=r"brings other code .*: code/prepare.py\. .*deploy again"):
        load(str(folder))


@pytest.mark.usefixtures("alone")
def test_a_model_that_is_a_script_may_be_replaced_by_another(tmp_path: Path) -> None:
    X = models.numbers(columns=1)
    for factor in (2.0, 3.0):
        script = tmp_path / "script.py"
        script.write_text(
            "import mlflow\n"
            "class Times(mlflow.pyfunc.PythonModel):\n"
            "    def predict(self, context, model_input, params=None):\n"
            f"        return model_input['a'] * {factor}\n"
            "mlflow.models.set_model(Times())\n"
        )
        folder = tmp_path / str(factor)
        signature = infer_signature(X, X.a)
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(script),
            signature=signature,
            input_example=X[:3],
            pip_requirements=models.PINS,
        )
        model = load(str(folder))
        assert model.info.code == ["script.py"]
        assert list(model.predict(from_arguments(model.signature, [[1.5]]))) == [1.5 * factor]


def test_the_log_names_the_code_and_the_requirements_that_a_model_brings(
    app: Callable[..., TestClient], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = app(str(models.python_model(tmp_path / "model")), LOG_LEVEL="INFO")
    for _ in range(2):
        assert client.post("/", json={"calls": [[1, 2, "x"]]}).status_code == 200
    lines = [json.loads(line) for line in set(capsys.readouterr().out.splitlines())]
    (loaded,) = [line for line in lines if "requirements" in line]
    assert loaded["severity"] == "INFO"
    assert loaded["code"] == ["code/prepare.py"]
    assert "scikit-learn" in loaded["requirements"]
    assert loaded["version"] == loaded["digest"] == folder_digest(tmp_path / "model")


OPENING = (
    "open",
    "os.",
    "socket.",
    "subprocess.",
    "import",
    "exec",
    "compile",
    "pickle.",
    "marshal.",
    "ctypes.",
    "shutil.",
)
opened: list[tuple[str, Any]] | None = None


def _audit(event: str, arguments: Any) -> None:
    if opened is not None and event.startswith(OPENING):
        opened.append((event, arguments))


sys.addaudithook(_audit)  # for the rest of the process, since Python has no way to take it away


@pytest.fixture
def audit() -> Any:
    """Return the list of what Python opens, imports or runs from now on."""
    global opened
    opened = []
    yield opened
    opened = None


FORGED_CONTEXTS = [
    {"function": "../../etc/passwd"},
    {"function": "os.system"},
    {"function": "__import__"},
    {"function": "file:///etc/passwd"},
    {"model_uri": "gs://attacker/model"},
    {"MODEL_URI": "/tmp/model"},
    {"schema": "file:///etc/passwd"},
    {"function": "predict_proba", "class": "os.system"},
    {"params": '{"path": "/etc/passwd"}'},
    {"params": '{"__class__": "subprocess.Popen"}'},
    {"params": '{"py/object": "os.system"}'},
    {"params": "!!python/object/apply:os.system ['true']"},
    {"on_null": "${MODEL_URI}"},
]
FORGED_VALUES = [
    "gs://attacker/model",
    "file:///etc/passwd",
    "http://169.254.169.254/computeMetadata/v1/",
    "__import__('os').system('true')",
    "csys\nexit\n(tR.",
    "{{7*7}}",
    {"py/object": "os.system"},
    ["/etc/passwd"],
]


def test_nothing_in_a_request_chooses_a_file_an_address_or_a_class(
    app: Callable[..., TestClient], saved: Callable[[str], str], audit: list[Any]
) -> None:
    client = app(saved("categories"))
    row = [0.5, "Bern", "S", 3, True]
    bodies = [{"calls": [row], "userDefinedContext": context} for context in FORGED_CONTEXTS]
    bodies += [{"calls": [[value, *row[1:]]]} for value in FORGED_VALUES]
    bodies += [
        {"calls": [row], "caller": value, "sessionUser": value, "requestId": value} for value in FORGED_VALUES[:6]
    ]
    bodies += [{"calls": [[0.5, value, *row[2:]]]} for value in FORGED_VALUES[:6]]  # a city like any other
    paths = ["/", "/predict", "/predict_row", "/..%2f..%2fmain.py", "/file:%2f%2f%2fetc%2fpasswd", "/serving.functions"]

    def send() -> list[int]:
        return [client.post(path, json=body).status_code for path in paths for body in bodies]

    send()  # what is imported once, on first use
    audit.clear()
    statuses = send()
    assert set(statuses) == {200, 400}
    assert [event for event in audit if event[0] not in ("socket.__new__", "os.putenv")] == []
