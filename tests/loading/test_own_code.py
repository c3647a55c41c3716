"""Models that bring modules of their own, or whose author left one out."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from launch.function import Function
from tests.assertions import assert_error

HALF = """
from sklearn.base import BaseEstimator, TransformerMixin

class Half(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X * 0.5

def half(values):
    return values * 0.5
"""
SAVE = """
import mlflow, pandas as pd, sys
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
sys.path.insert(0, "")
data = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [0.0, 1, 0, 1]})
options = {"input_example": data, "pip_requirements": ["scikit-learn", "opencv-python==4.9"]}
def save(*steps, **more):
    model = make_pipeline(*steps, LinearRegression()).fit(data, data.a * 2 + data.b)
    arguments = {"serialization_format": "cloudpickle", **options, **more}
    mlflow.sklearn.save_model(model, "model", signature=infer_signature(data, model.predict(data)), **arguments)
class Formula(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return self.formula(model_input)
    def formula(self, frame):
        raise NotImplementedError
def save_formula(formula, **more):
    Formula.formula = formula
    signature = infer_signature(data, data.a)
    mlflow.pyfunc.save_model("model", python_model=Formula(), signature=signature, **options, **more)
"""
Save = Callable[[Mapping[str, str], str], str]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Return a function that writes files, runs a script among them that saves a model, and returns its folder."""

    def run(files: Mapping[str, str], script: str) -> str:
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        (tmp_path / "script.py").write_text(SAVE + script)
        environment = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONSAFEPATH": "1"}
        command = [sys.executable, "script.py"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return str(tmp_path / "model")

    return run


def ask(function: Function, body: Mapping[str, Any], path: str = "/") -> httpx.Response:
    return httpx.post(f"{function.url}{path}", json=body, trust_env=False, timeout=600)


OURS = {
    "main.py": HALF,
    "model_loader.py": HALF,
    "sql/__init__.py": HALF,
    "serving/__init__.py": "",
    "serving/rows.py": HALF,
    "loading/bucket.py": HALF,  # a folder without an __init__.py
}
MODULES = ("main", "model_loader", "sql", "serving.rows", "loading.bucket")
BROUGHT = 'code_paths=["main.py", "model_loader.py", "sql", "serving", "loading"]'
BY_REFERENCE = (
    "".join(f"import {module}\n" for module in MODULES)
    + f"save({', '.join(f'{module}.Half()' for module in MODULES)}, {BROUGHT})\n"
)
AT_PREDICT_TIME = (
    "def formula(self, frame):\n    total = frame.a * 2 + frame.b\n"
    + "".join(f"    import {module}\n    total = {module}.half(total) * 2\n" for module in MODULES)
    + f"    return total\nsave_formula(formula, {BROUGHT})\n"
)


@pytest.mark.check
@pytest.mark.parametrize("script", [BY_REFERENCE, AT_PREDICT_TIME], ids=["by reference", "at predict time"])
def test_modules_named_like_ours(save: Save, script: str) -> None:
    """A model gets its own modules where the function has some of the same names, and the function keeps working."""
    with Function(save(OURS, script)) as function:
        for _ in range(2):
            answer = ask(function, {"calls": [[1, 1], [2, 0]]})
            assert answer.status_code == 200, answer.text
            assert answer.json()["replies"] == pytest.approx([3, 4])
        assert ask(function, {"calls": [[{"a": 1, "b": 1}]]}, "/predict_row").json()["replies"] == pytest.approx([3])
        assert_error(ask(function, {"calls": [["x", 1]]}), 400, "column a")
        assert_error(ask(function, {"calls": [["Infinity", 1]], "userDefinedContext": {"schema": "0"}}), 400, "schema")
        page = httpx.get(function.url, headers={"accept": "text/html"}, trust_env=False, timeout=600)
        assert page.status_code == 200


@pytest.mark.check
@pytest.mark.parametrize("name", ["orjson", "queue"])
def test_taken_name(save: Save, name: str) -> None:
    """A module with the name of another one that the function has imported is a 424 that names the file."""
    model = save({f"{name}.py": HALF}, f'save("passthrough", code_paths=["{name}.py"])\n')
    with Function(model) as function:
        answer = ask(function, {"calls": [[1, 1]]})
        assert_error(answer, 424, f"brings code/{name}.py", f"'{name}' is taken", "Rename the file in code_paths")


# Files, the script that saves a model, and what the message names.
LEFT_OUT: dict[str, tuple[dict[str, str], str, tuple[str, ...]]] = {
    "module": ({"mine.py": HALF}, "import mine\nsave(mine.Half())\n", ("'mine'", 'code_paths=["mine.py"]')),
    "package": (
        {"mine/__init__.py": "", "mine/steps.py": HALF},
        "import mine.steps\nsave(mine.steps.Half())\n",
        ("'mine'", 'code_paths=["mine.py"], or ["mine"] for a folder', "opencv-python==4.9"),
    ),
    "module named like ours": (
        {"serving/rows.py": HALF, "serving/__init__.py": ""},
        "import serving.rows\nsave(serving.rows.Half())\n",
        ("'Half'", "'serving.rows'", 'code_paths=["serving"]'),
    ),
    "submodule of one named like ours": (
        {"sql/own.py": HALF, "sql/__init__.py": ""},
        "import sql.own\nsave(sql.own.Half())\n",
        ("'sql.own'", 'code_paths=["sql"]'),
    ),
    "imported by a module that was saved": (
        {"mine.py": HALF, "other.py": "import mine\nHalf = type('Half', (mine.Half,), {'__module__': 'other'})\n"},
        'import other\nsave(other.Half(), code_paths=["other.py"])\n',
        ("'mine'", 'code_paths=["mine.py"]'),
    ),
    "class of the notebook": ({}, f'{HALF}save(Half(), serialization_format="pickle")\n', ("'Half'", "cloudpickle")),
    "function of the notebook": (
        {},
        f'{HALF}save(FunctionTransformer(half), serialization_format="pickle")\n',
        ("'half'", "cloudpickle", "code_paths"),
    ),
    "class of the notebook with skops": (
        {},
        f'{HALF}save(Half(), serialization_format="skops", skops_trusted_types=["__main__.Half"])\n',
        ("__main__.Half", "cloudpickle", "code_paths"),
    ),
    "imported to predict": (
        {"mine.py": HALF},
        "def formula(self, frame):\n    import mine\n    return mine.half(frame.a)\nsave_formula(formula)\n",
        ("'mine'", 'code_paths=["mine.py"]'),
    ),
    "imported by code that cloudpickle saved": (
        {"mine.py": HALF},
        "import mine\nsave_formula(lambda self, frame: mine.half(frame.a))\n",
        ("'mine'", 'code_paths=["mine.py"]'),
    ),
}


OFTEN = ("module", "class of the notebook")  # in make check; the others take a minute and a half


@pytest.mark.check
@pytest.mark.parametrize(
    ("files", "script", "named"),
    [pytest.param(*case, id=name, marks=() if name in OFTEN else pytest.mark.slow) for name, case in LEFT_OUT.items()],
)
def test_own_module_left_out(save: Save, files: dict[str, str], script: str, named: tuple[str, ...]) -> None:
    """A class or module of the author that was not saved is a 424 that says how to save it, not what to install."""
    with Function(save(files, script)) as function:
        answer = ask(function, {"calls": [[1, 1]]})
        assert_error(answer, 424, *named)
        assert "deploy with it" not in answer.text
        assert "deploy with mine" not in answer.text
