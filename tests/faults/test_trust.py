"""Only the model that was meant: what others put into a bucket, a model or a request opens no file that is not its own."""

import asyncio
import contextlib
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

import httpx
import mlflow
import pytest
import skops.io
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.models import infer_signature
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeRegressor
from starlette.testclient import TestClient

import model_folder
from local.storage import Storage
from model_loader import ModelLoader, folder_digest, load
from serving.errors import ModelUnusable
from serving.rows import from_arguments
from tests import models
from tests.assertions import assert_error
from tests.faults.conftest import URI
from tests.faults.proxy import Proxy, put_object

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
    monkeypatch.setattr(model_folder, "_code_here", {})


@pytest.fixture
def folder(saved: Callable[[str], str], tmp_path: Path) -> Path:
    """Return a model's folder that a test may spoil."""
    return Path(shutil.copytree(saved("tree_regressor"), tmp_path / "model"))


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    change(mlmodel)
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))


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


NAMES = {
    "up": "m/../../escaped",
    "up further down": "m/a/../../../escaped",
    "up at the end": "m/a/..",
    "absolute": "m//etc/passwd",
    "an empty part": "m/a//b",
    "a dot": "m/a/./b",
    "a backslash": "m/..\\..\\escaped",
    "a line break": "m/a\nb",
    "NUL": "m/a\0b",
    "a colour": "m/\x1b[31mred",
    "another direction": "m/\u202egpj.exe",
    "no character": "m/\ud800",
    "a long part": "m/" + "x" * 256,
    "a long part of emoji": "m/" + "🦆" * 64,
    "long as a whole": "m/" + "/".join(["x" * 200] * 12),
    "a file and a folder": "m/model.pkl/data",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_an_object_whose_name_is_unfit_for_a_file_is_a_424_before_anything_is_downloaded(
    proxy: Proxy, name: str, files: Path
) -> None:
    def listed_too(handler: Any, answer: Callable[[], Any]) -> None:
        whole = answer()
        listing = json.loads(whole.body)
        listing["items"].append({**listing["items"][0], "name": name})
        whole.body = json.dumps(listing).encode()
        handler.send(whole)

    proxy.plan = lambda _: listed_too
    with pytest.raises(ModelUnusable, match=r'has an object ".*, whose name (leads|has|is)|has an object a str'):
        asyncio.run(ModelLoader(URI).model())
    assert [asked.name for asked in proxy.asked] == [""]
    assert list(files.iterdir()) == []


@pytest.mark.usefixtures("quick")
def test_unusual_names_that_are_fit_for_files_are_files(proxy: Proxy, emulator: Storage) -> None:
    with httpx.Client(base_url=emulator.url, trust_env=False) as client:
        for name in ("Zürich/a b", "🦆", "..a", "a..", "-rf", "Ａ", "x" * 255, "a:b*<>|"):
            put_object(client, f"m/{name}", b"x")
    assert load(URI).facts["digest"]


PATHS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "pickled_model": lambda m: m["flavors"]["sklearn"].update(pickled_model="../../model.pkl"),
    "pickled_model absolute": lambda m: m["flavors"]["sklearn"].update(pickled_model="/etc/passwd"),
    "code": lambda m: m["flavors"]["sklearn"].update(code="a/../../code"),
    "code of pyfunc": lambda m: m["flavors"]["python_function"].update(code="/tmp"),
    "data": lambda m: m["flavors"]["python_function"].update(loader_module="mlflow.lightgbm", data="../x"),
    "artifacts": lambda m: m["flavors"]["python_function"].update(
        artifacts={"table": {"path": "../../x", "uri": "/x"}}
    ),
    "input example": lambda m: m["saved_input_example_info"].update(artifact_path="../../../etc/passwd"),
    "input example absolute": lambda m: m["saved_input_example_info"].update(artifact_path="/etc/passwd"),
}


@pytest.mark.parametrize("change", PATHS.values(), ids=PATHS)
def test_a_path_in_mlmodel_that_leads_out_of_the_folder_is_a_424(
    app: Callable[..., TestClient], folder: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    edit(folder, change)
    assert_error(app(str(folder)).post("/", json={"calls": [ROW]}), 424, "leads out of its folder")


def test_where_an_author_had_his_files_is_no_path_of_the_model(folder: Path) -> None:
    def change(mlmodel: dict[str, Any]) -> None:
        mlmodel["artifact_path"] = "/home/ana/mlruns/0/artifacts"
        mlmodel["flavors"]["python_function"] |= {
            "config": {"table": "/data/x"},
            "model_code_path": "/home/ana/model.py",
        }

    edit(folder, change)
    assert load(str(folder)).facts["digest"]


BOMB = "flavors: {}\nmetadata:\n a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f" {name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
UNREADABLE = {
    "empty": ("", "no mapping `flavors`"),
    "a list": ("- 1", "no mapping `flavors`"),
    "no flavors": ("signature: {}", "no mapping `flavors`"),
    "flavors a list": ("flavors: [sklearn]", "no mapping `flavors`"),
    "a flavor a text": ("flavors: {sklearn: yes please}", "no mapping `flavors`"),
    "not YAML": ("flavors: {", "is no YAML"),
    "an object of Python": ("flavors: !!python/object/apply:os.system ['touch x']", "is no YAML"),
    "a name of Python": ("flavors: !!python/name:os.system", "is no YAML"),
    "deep": ("[" * 5_000, "is no YAML"),
    "a bomb of references": (BOMB, "holds more than"),
    "a circle": ("flavors: {}\nmetadata: &m [*m]", "holds more than"),
    "large": ("flavors: {}\n" + "#" * 2_000_000, "more than 2000000"),
    "another encoding": ("flavors: {}".encode("utf-16").decode("latin-1"), "is no YAML"),
}


@pytest.mark.parametrize(("text", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_mlmodel_file_that_is_no_plain_data_is_a_424(
    app: Callable[..., TestClient], folder: Path, text: str, words: str
) -> None:
    (folder / "MLmodel").write_text(text, "latin-1")
    assert_error(app(str(folder)).post("/", json={"calls": [ROW]}), 424, words)


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_mlmodel_file_is_our_fault(saved: Callable[[str], str], folder: Path, data: st.DataObject) -> None:
    """Any part of the file replaced by anything: the model that was saved, or a 424."""
    mlmodel = yaml.safe_load((Path(saved("tree_regressor")) / "MLmodel").read_text())
    place, key = mlmodel, data.draw(st.sampled_from(sorted(mlmodel)))
    while type(place[key]) is dict and place[key] and data.draw(st.booleans()):
        place, key = place[key], data.draw(st.sampled_from(sorted(place[key])))
    place[key] = data.draw(JSON_LIKE)
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))
    with contextlib.suppress(ModelUnusable):
        asyncio.run(ModelLoader(str(folder)).model())


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
        assert model.facts["code"] == ["script.py"]
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
