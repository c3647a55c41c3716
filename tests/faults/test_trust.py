"""Trust: hostile models load nothing that was not reviewed, and no request chooses a file, an address or a class."""

import functools
import json
import operator
import os
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

from model_loader import folder_digest, load
from serving.decoding import from_arguments
from serving.errors import ModelUnusable
from tests import models
from tests.assertions import assert_error

ROW = [0.5, -0.25, 1, 2]


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.usefixtures("fresh_code")
def test_wrong_digest_nothing_executed(tmp_path: Path) -> None:
    """Nothing of a model with another digest is unpickled or imported."""
    folder, touched = models.python_model(tmp_path / "model"), tmp_path / "touched"
    digest = folder_digest(folder)
    (folder / "code" / "prepare.py").write_text(f"open({str(touched)!r}, 'w')")
    (folder / "python_model.pkl").write_bytes(__import__("pickle").dumps(Touch(touched)))
    with pytest.raises(ModelUnusable, match=f"but MODEL_DIGEST is {digest}: it was not loaded"):
        load(str(folder), digest)
    assert not touched.exists()
    with pytest.raises(ModelUnusable):  # without the digest the file is created
        load(str(folder))
    assert touched.exists()


HOSTILE_STEPS: dict[str, Any] = {
    "os.system": os.system,
    "subprocess.Popen": subprocess.Popen,
    "eval": eval,
    "partial": functools.partial(os.system, "true"),
    "methodcaller": operator.methodcaller("unlink"),
    "own function": models.calendar,
}


@pytest.mark.parametrize("step", HOSTILE_STEPS.values(), ids=HOSTILE_STEPS)
def test_untrusted_types_in_skops_file(tmp_path: Path, step: Any) -> None:
    """A skops file with types that nobody reviewed is not built; the error names them."""
    trusted = ["sklearn.tree._tree.Tree"]
    folder = models.tree_regressor(tmp_path / "model", serialization_format="skops", skops_trusted_types=trusted)
    X = models.numbers()
    model = make_pipeline(FunctionTransformer(), DecisionTreeRegressor(max_depth=2)).fit(X, X.a)
    model.steps[0][1].func = step
    skops.io.dump(model, folder / "model.skops")
    with pytest.raises(ModelUnusable, match="Untrusted types found in the file"):
        load(str(folder))


def test_model_that_exits(app: Callable[..., TestClient], folder: Path) -> None:
    """A model that calls sys.exit() while it is loaded is a 424."""
    (folder / "model.pkl").write_bytes(b"csys\nexit\n(tR.")
    assert_error(app(str(folder)).post("/", json={"calls": [ROW]}), 424, "raised SystemExit")


@pytest.mark.usefixtures("fresh_code")
def test_changed_code_rejected(tmp_path: Path) -> None:
    """Code that changed since this process imported it is rejected: Python would keep running the old one."""
    folder = models.python_model(tmp_path / "model")
    load(str(folder))
    load(str(folder))
    (folder / "code" / "prepare.py").write_text("scale = None")
    with pytest.raises(ModelUnusable, match=r"has other code .*: code/prepare.py\. .*deploy again"):
        load(str(folder))


@pytest.mark.usefixtures("fresh_code")
def test_script_model_replaced(tmp_path: Path) -> None:
    """A model saved as a script may be replaced by another, since MLflow imports each under a new name."""
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


def test_load_logged_with_code_and_requirements(
    app: Callable[..., TestClient], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log line of a load names the model's code, requirements and digest."""
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


sys.addaudithook(_audit)  # an audit hook cannot be removed


@pytest.fixture
def audit() -> Any:
    """Return the list to which everything that Python opens, imports or runs from now on is added."""
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


def test_request_opens_nothing(app: Callable[..., TestClient], saved: Callable[[str], str], audit: list[Any]) -> None:
    """Nothing in a request makes the function open a file, connect to an address, or import or run code."""
    client = app(saved("categories"))
    row = [0.5, "Bern", "S", 3, True]
    bodies = [{"calls": [row], "userDefinedContext": context} for context in FORGED_CONTEXTS]
    bodies += [{"calls": [[value, *row[1:]]]} for value in FORGED_VALUES]
    bodies += [
        {"calls": [row], "caller": value, "sessionUser": value, "requestId": value} for value in FORGED_VALUES[:6]
    ]
    bodies += [{"calls": [[0.5, value, *row[2:]]]} for value in FORGED_VALUES[:6]]  # the model accepts any city
    paths = ["/", "/predict", "/predict_row", "/..%2f..%2fmain.py", "/file:%2f%2f%2fetc%2fpasswd", "/serving.functions"]

    def send() -> list[int]:
        return [client.post(path, json=body).status_code for path in paths for body in bodies]

    send()  # some modules are imported on first use
    audit.clear()
    statuses = send()
    assert set(statuses) == {200, 400}
    assert [event for event in audit if event[0] not in ("socket.__new__", "os.putenv")] == []
