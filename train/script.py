"""pipeline.py: the saved pipeline as a script of plain scikit-learn, to be run, read, edited and copied elsewhere.

Rule: nothing of this project is imported by it. What it needs of ours, the reading of a file's columns and the
steps that scikit-learn lacks, stands in the script as source. Only settings that differ from their defaults are
written, as ruff would format them.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

import model_steps
from train import files
from train.data import HELD_OUT, Data
from train.package import modules

WIDTH = 120  # characters of a line

LOADERS = {
    "california": "return fetch_california_housing(return_X_y=True, as_frame=True)",
    "diabetes": "return load_diabetes(return_X_y=True, as_frame=True)",
    "breast_cancer": "bunch = load_breast_cancer(as_frame=True)\n"
    '    return bunch.data, pd.Series(bunch.target_names[bunch.target].astype(object), name="diagnosis")',
}
FROM_FILE = """\
frame = {reader}
    frame = convert(frame.dropna(subset=[TARGET]), TYPES)
    return frame.drop(columns=TARGET), frame[TARGET]"""
HEAD = '"""The pipeline that was found for {name}: builds it, fits it on the training rows, scores it on the others."""'
BODY = '''\
def load() -> tuple[pd.DataFrame, pd.Series]:
    """Return the features and the target."""
    {loader}


def build() -> Pipeline:
    """Return the pipeline, not fitted yet."""
    return {pipeline}


def main() -> Pipeline:
    """Fit the pipeline, print its scores and return it."""
    X, y = load()
    X_train, X_test, y_train, y_test = train_test_split(X, y, {split})
{sample}    pipeline = build().fit(X_train, y_train)
    predicted = pipeline.predict(X_test)
{scores}
    return pipeline


if __name__ == "__main__":
    main()
'''
SAMPLE = """\
    X_train = X_train.sample({rows}, random_state={seed})
    y_train = y_train[X_train.index]
"""
SCORES = {
    "regression": ["mean_absolute_error", "r2_score"],
    "classification": ["accuracy_score", "balanced_accuracy_score"],
}


def script(pipeline: Pipeline, data: Data, seed: int, sample: int | None) -> str:
    """Return the source of a script that does again what led to this pipeline; `sample` is the rows of its fit."""
    names: set[tuple[str, str]] = {("sklearn.model_selection", "train_test_split")}
    names |= {("sklearn.metrics", score) for score in SCORES[data.task]}
    built = _source(pipeline, 4, len("    return "), names)
    constants, blocks = [], []
    if data.path is None:
        loader = LOADERS[data.name]
        names.add(("sklearn.datasets", loader.partition("(")[0].rpartition(" ")[2]))
    else:
        reader = "read_parquet(PATH)" if data.path.suffix.lower() == ".parquet" else "read_csv(PATH, low_memory=False)"
        loader = FROM_FILE.format(reader=f"pd.{reader}")
        constants += [f"PATH = {_text(str(data.path))}", f"TARGET = {_text(str(data.target.name))}"]
        constants += [f"TYPES = {_source(data.types, 0, 8, names)}"]
        blocks.append(inspect.getsource(files.convert))
    plain = "import pandas as pd\n"
    if model_steps.__name__ in modules(pipeline):
        own = sorted(name for module, name in names if module == model_steps.__name__)
        blocks += [inspect.getsource(getattr(model_steps, name)) for name in own]
        source = "".join(blocks)
        plain = "from typing import Any\n\nimport numpy as np\n" + plain
        for name in ("BaseEstimator", "ClassifierMixin", "TransformerMixin", "clone"):
            names |= {("sklearn.base", name)} if name in source else set()
        names |= {("sklearn.model_selection", "cross_val_predict")} if "cross_val_predict" in source else set()
        names |= {("sklearn.preprocessing", "LabelEncoder")} if "LabelEncoder(" in source else set()
        names |= {("sklearn.utils.metaestimators", "available_if")} if "available_if" in source else set()
    imported: dict[str, list[str]] = {}
    for module, name in sorted(names):
        if module != model_steps.__name__:
            imported.setdefault(module, []).append(name)
    plain += "\n".join(
        f"from {module} import {', '.join(sorted(found, key=_order))}" for module, found in imported.items()
    )
    body = BODY.format(
        loader=loader,
        pipeline=built,
        split=f"test_size={HELD_OUT}, random_state={seed}" + (", stratify=y" if data.task == "classification" else ""),
        sample="" if sample is None else SAMPLE.format(rows=sample, seed=seed),
        scores="\n".join(f'    print(f"{score}: {{{score}(y_test, predicted):.6g}}")' for score in SCORES[data.task]),
    )
    head = [HEAD.format(name=data.name), plain, *(["\n".join(constants)] if constants else [])]
    return "\n\n\n".join(["\n\n".join(head), *(block.strip() for block in blocks), body])


def _source(value: Any, indent: int, column: int, names: set[tuple[str, str]]) -> str:
    """Return the expression that makes a value, which starts in this column; collect the names that it needs."""
    if isinstance(value, BaseEstimator) or _is_splitter(value):
        head, tail, parts = f"{_name(type(value), names)}(", ")", _settings(value)
    elif isinstance(value, dict):
        head, tail, parts = "{", "}", [(f"{_source(key, 0, 0, names)}: ", item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        head, tail, parts = ("[", "]", []) if isinstance(value, list) else ("(", ")", [])
        parts = [("", item) for item in value]
    elif callable(value):  # a class or a function
        return _name(value, names)
    elif isinstance(value, str):
        return _text(value)
    elif isinstance(value, float) and not np.isfinite(value):
        return f'float("{value}")'
    else:
        return repr(value)
    line = head + ", ".join(key + _source(item, 0, 0, names) for key, item in parts)
    line += ("," if isinstance(value, tuple) and len(parts) == 1 else "") + tail
    if "\n" not in line and column + len(line) <= WIDTH - 1:
        return line
    pad = " " * (indent + 4)
    inner = [f"{pad}{key}{_source(item, indent + 4, indent + 4 + len(key), names)},\n" for key, item in parts]
    return f"{head}\n{''.join(inner)}{' ' * indent}{tail}"


def _settings(value: Any) -> list[tuple[str, Any]]:
    """Return what has to be said to make this object: arguments without a default, and those that differ from it."""
    arguments = inspect.signature(type(value)).parameters
    defaults = {name: argument.default for name, argument in arguments.items()}
    now = value.get_params(deep=False) if isinstance(value, BaseEstimator) else vars(value)
    return [
        (f"{name}=", now[name])
        for name in sorted(now, key=list(defaults).index if set(now) <= set(defaults) else str)
        if repr(now[name]) != repr(defaults.get(name))
    ]


def _is_splitter(value: Any) -> bool:
    return hasattr(value, "get_n_splits")


def _name(thing: Callable[..., Any], names: set[tuple[str, str]]) -> str:
    """Return the name of a class or function, imported from the shortest public module that has it."""
    parts = str(thing.__module__).split(".")
    for length in range(1, len(parts) + 1):
        module = ".".join(parts[:length])
        found = getattr(importlib.import_module(module), thing.__name__, None)
        if found is thing:
            names.add((module, thing.__name__))
            break
    return str(thing.__name__)


def _text(value: str) -> str:
    """Return a string literal in double quotes where that needs no escapes."""
    literal = repr(value)
    return literal if '"' in literal or "\\" in literal else f'"{value}"'


def _order(name: str) -> tuple[bool, str]:
    """Sort as ruff does: classes before functions."""
    return (name[0].islower(), name)
