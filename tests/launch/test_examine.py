"""Models examined in their own environments: made once, shared by lock, complete or absent."""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from launch import environment, kept, uv
from launch.environment import find_python, make
from launch.errors import Blocked
from launch.examine import Options, examine, examined, predictions
from launch.lock import Lock
from tests import models

Saved = Callable[[str], str]
LOCK = Lock("3.11", "numpy==2.4.6\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of environments, which is an empty one for the test."""
    monkeypatch.setattr(environment, "FOLDER", tmp_path / "environments")
    monkeypatch.setattr(kept, "ROOT", tmp_path)
    return tmp_path / "environments"


def write_python(folder: Path, text: str) -> None:
    """Write an interpreter that prints a text."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text(f"#!/bin/sh\necho {text}\n")
    (folder / "bin" / "python").chmod(0o755)


@pytest.fixture
def uv_calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Let uv make environments with an interpreter that prints 3.11; return the list of its calls."""
    calls: list[list[str]] = []

    def run(*arguments: object, **_: object) -> str:
        calls.append([str(each) for each in arguments])
        if arguments[0] == "venv":
            write_python(Path(str(arguments[-1])), "3.11")
        return ""

    monkeypatch.setattr(uv, "run", run)
    monkeypatch.setattr(environment, "_check", lambda *_: None)
    return calls


def test_created_once(folder: Path, uv_calls: list[list[str]]) -> None:
    """The environment of a lock is made once, and the user is told what takes time and space."""
    told: list[str] = []
    first = make(LOCK, told.append, interpreter="/usr/bin/python3.11")
    assert first.python.is_file()
    assert [call[0] for call in uv_calls] == ["venv", "pip"]
    assert told[0] == "Creating an environment with Python 3.11 and 1 package"
    assert told[1].startswith("It takes 0 MB in environments/")
    assert make(LOCK, told.append) == first
    assert (len(uv_calls), len(told)) == (2, 2)
    assert (folder / LOCK.digest / "requirements.txt").read_text() == LOCK.text


@pytest.mark.parametrize("step", ["venv", "pip"])
def test_failure_leaves_nothing(
    step: str, folder: Path, uv_calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment that can't be completed is removed, and the next attempt begins anew."""
    working = uv.run

    def fail(*arguments: object, **_: object) -> str:
        if arguments[0] == step:
            raise uv.UvError("error: No space left on device")
        return working(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(uv, "run", fail)
    with pytest.raises(
        Blocked, match=r"^The environment for Python 3\.11 cannot be created: No space left on device\.$"
    ):
        make(LOCK, interpreter="python")
    assert not (folder / LOCK.digest).exists()
    monkeypatch.setattr(uv, "run", working)
    assert make(LOCK, interpreter="python").python.is_file()


def test_interrupted_creation(folder: Path, uv_calls: list[list[str]]) -> None:
    """What a killed process left behind is no environment."""
    write_python(folder / LOCK.digest, "3.11")
    (folder / LOCK.digest / "left").touch()
    make(LOCK, interpreter="python")
    assert not (folder / LOCK.digest / "left").exists()


def test_two_at_once(folder: Path, uv_calls: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that need the same environment make it once."""
    working = uv.run

    def slow(*arguments: object, **_: object) -> str:
        time.sleep(0.1)
        return working(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(uv, "run", slow)
    threads = [threading.Thread(target=make, args=(LOCK,), kwargs={"interpreter": "python"}) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(uv_calls) == 2


def test_other_interpreter(folder: Path, uv_calls: list[list[str]]) -> None:
    """An interpreter of another minor version is named, with the version that is needed."""
    with pytest.raises(
        Blocked, match=r"^/usr/bin/python3 is Python 3\.11, but the model's packages are those for 3\.12\.$"
    ):
        make(Lock("3.12", LOCK.text), interpreter="/usr/bin/python3")


def test_missing_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the Python, and without a way to fetch it, the user is told to name one."""

    def fail(*_: object, **__: object) -> str:
        raise uv.UvError("error: No download found for request: cpython-3.14")

    monkeypatch.setattr(uv, "run", fail)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(
        Blocked, match=r"^There is no Python 3\.14 on this machine, and .* name one with --python\. No down"
    ):
        find_python("3.14")


def test_folder_without_model(tmp_path: Path) -> None:
    """A folder without an MLmodel file is one sentence."""
    with pytest.raises(Blocked, match=r"^There is no MLmodel file in gs://b/m; expected "):
        examine(tmp_path, "gs://b/m")


def test_missing_folder() -> None:
    """A URI that leads nowhere blocks like any other problem of a model."""
    with (
        pytest.raises(Blocked, match=r'^The model URI is "/nowhere", but there is no such folder'),
        examined("/nowhere"),
    ):
        pass


@pytest.mark.parametrize("text", ["", "just text", "flavors: [a]", "flavors: {sklearn: 1}"])
@pytest.mark.check
def test_broken_mlmodel(text: str, saved: Saved, tmp_path: Path) -> None:
    """An MLmodel file with other content is one sentence that names the model, not a traceback."""
    folder = tmp_path / "model"
    shutil.copytree(saved("tree_regressor"), folder)
    (folder / "MLmodel").write_text(text)
    with pytest.raises(Blocked) as blocked:
        examine(folder, "gs://b/m")
    (sentence,) = blocked.value.blockers
    assert "gs://b/m" in sentence
    assert str(folder) not in sentence


def test_all_reasons_at_once(saved: Saved, tmp_path: Path, folder: Path) -> None:
    """What is wrong with the requirements, MLmodel and the files is reported together, and nothing is made."""
    model = tmp_path / "model"
    shutil.copytree(saved("tree_regressor"), model)
    (model / "requirements.txt").write_text("./wheels/x.whl\nMatplotlib : 3.8.0\n")
    (model / "model.pkl").unlink()
    mlmodel = yaml.safe_load((model / "MLmodel").read_text())
    del mlmodel["signature"]
    mlmodel["flavors"]["sklearn"]["skops_trusted_types"] = ["a.B"]
    (model / "MLmodel").write_text(yaml.safe_dump(mlmodel))
    with pytest.raises(Blocked) as blocked:
        examine(model, "gs://b/m")
    said = ("does not list: a.B", "no file model.pkl", "'./wheels/x.whl'", "'Matplotlib : 3.8.0'")
    assert len(blocked.value.blockers) == len(said)
    for sentence, part in zip(blocked.value.blockers, said, strict=True):
        assert part in sentence
        assert sentence.startswith("The model at gs://b/m ")
    assert not folder.exists()


@pytest.mark.check
def test_second_examination_is_kept(saved: Saved) -> None:
    """A second examination tells the same and loads nothing."""
    told: list[str] = []
    first = examine(Path(saved("tree_regressor")), "gs://b/m")
    again = examine(Path(saved("tree_regressor")), "gs://b/m", told.append)
    assert again.description.to_json() == first.description.to_json()
    assert told == []
    assert again.description.model.info.uri == "gs://b/m"


@pytest.mark.check
def test_predictions(saved: Saved) -> None:
    """The model's own library predicts rows in its environment; no rows need none."""
    found = examine(Path(saved("tree_regressor")), "gs://b/m")
    assert predictions(found, found.description.rows) == (found.description.predictions, False)
    assert predictions(found, []) == ([], False)


@pytest.mark.check
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import os; os._exit(3)\nreturn d['x']", "ended its process while it was examined: "),
        ("import sys; sys.exit(3)\nreturn d['x']", ""),
        ("raise ValueError('line one\\nline two')\nreturn d['x']", "line one line two"),
    ],
    ids=["os._exit", "sys.exit", "two-lines"],
)
def test_model_that_fails(body: str, said: str, saved: Saved, tmp_path: Path) -> None:
    """Whatever a model does when it is loaded, the reason is one line that names it."""
    folder = tmp_path / "model"
    shutil.copytree(saved("python_model"), folder)
    (folder / "code" / "prepare.py").write_text("\n".join(body.split("\n")[:-1]))
    with pytest.raises(Blocked) as blocked:
        examine(folder, "gs://b/m")
    (sentence,) = blocked.value.blockers
    assert "gs://b/m" in sentence
    assert said in sentence
    assert "\n" not in sentence


@pytest.mark.environments
def test_options(saved: Saved, tmp_path: Path) -> None:
    """The user's requirements replace the model's, and the user's interpreter is the one that runs."""
    folder = tmp_path / "model"
    shutil.copytree(saved("tree_regressor"), folder)
    (folder / "requirements.txt").write_text("a : 1\n")
    (tmp_path / "own.txt").write_text("scikit-learn\npyyaml==6.0.2\n")
    python = find_python("3.11")
    found = examine(folder, "gs://b/m", options=Options(tmp_path / "own.txt", python))
    assert found.environment.lock.versions["pyyaml"] == "6.0.2"
    code = "import sys, json; print(json.dumps(sys.version_info[:2]))"
    run = subprocess.run([found.environment.python, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [3, 11]


@pytest.mark.check
def test_false_signature(saved: Saved, tmp_path: Path) -> None:
    """A signature with fewer columns than the model was fitted on is one sentence with both numbers and the way out."""
    folder = tmp_path / "model"
    shutil.copytree(saved("tree_regressor"), folder)
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    del mlmodel["saved_input_example_info"]
    mlmodel["signature"]["inputs"] = json.dumps(json.loads(mlmodel["signature"]["inputs"])[:2])
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))
    with pytest.raises(Blocked) as blocked:
        examine(folder, "gs://b/m")
    (sentence,) = blocked.value.blockers
    assert sentence.startswith(
        "The model at gs://b/m was fitted on 4 columns, but its signature declares 2 and lacks c, d. Pass a table "
    )
    assert "--signature-from" in sentence
    models.numbers().to_csv(tmp_path / "rows.csv", index=False)
    signed = examine(folder, "gs://b/m", options=Options(signature_from=tmp_path / "rows.csv"))
    assert signed.description.model.signature.arguments == "a FLOAT64, b FLOAT64, c FLOAT64, d FLOAT64"
