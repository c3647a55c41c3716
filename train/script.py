"""Writes pipeline.py: the saved pipeline as a script of plain scikit-learn, to run, read, edit and copy elsewhere.

The script imports nothing of this project: it reads the rows that training leaves beside it, and the steps that
scikit-learn lacks are copied into it as source. It lists only parameters that differ from their defaults, formatted as
ruff would.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

import model_steps
from train.data import Data
from train.output import ROWS
from train.package import modules
from train.split import HELD_OUT, Split

Names = set[tuple[str, str]]  # module and name of what the script imports

WIDTH = 120  # characters of a line
PATH = ("pathlib", "Path")

LOADERS = {
    "california": "return fetch_california_housing(return_X_y=True, as_frame=True)",
    "diabetes": "return load_diabetes(return_X_y=True, as_frame=True)",
    "breast_cancer": "bunch = load_breast_cancer(as_frame=True)\n"
    '    return bunch.data, pd.Series(bunch.target_names[bunch.target].astype(object), name="diagnosis")',
}
FROM_ROWS = """\
frame = pd.read_parquet(ROWS)
    return frame.drop(columns=TARGET), frame[TARGET]"""
HEAD = (
    '"""The pipeline found for {name}: builds it, fits it on the training rows and scores it on the held-out rows."""'
)
BODY = '''\
def load() -> tuple[pd.DataFrame, pd.Series]:
    """Return the features and the target."""
    {loader}


def build() -> Pipeline:
    """Return the unfitted pipeline."""
    return {pipeline}


def main() -> Pipeline:
    """Fit the pipeline, print its scores and return it."""
    X, y = load()
{split}
{sample}    pipeline = build().fit(X_train, y_train)
    predicted = pipeline.predict(X_test)
{scores}
{refit}    return pipeline


if __name__ == "__main__":
    main()
'''
RANDOM_SPLIT = "    X_train, X_test, y_train, y_test = train_test_split(X, y, {settings})"
TIME_SPLIT = """\
    late = X[{column}] >= {start}
    X_train, X_test, y_train, y_test = X[~late], X[late], y[~late], y[late]"""
GROUP_SPLIT = """\
    train, test = next(GroupShuffleSplit(1, {settings}).split(X, y, X[{column}]))
    X = X.drop(columns={column})
    X_train, X_test, y_train, y_test = X.iloc[train], X.iloc[test], y.iloc[train], y.iloc[test]"""
REFIT = """\
    pipeline = build().fit(X, y)  # the saved model; the scores are those before
"""
SAMPLE = """\
    X_train = X_train.sample({rows}, random_state={seed})
    y_train = y_train[X_train.index]
"""
SCORES = {
    "regression": ["mean_absolute_error", "r2_score"],
    "classification": ["accuracy_score", "balanced_accuracy_score"],
}
# Module, name, and the text by which the source of model_steps.py's classes shows that it needs it.
STEP_IMPORTS = [
    *(("sklearn.base", name, name) for name in ("BaseEstimator", "ClassifierMixin", "TransformerMixin", "clone")),
    ("sklearn.model_selection", "cross_val_predict", "cross_val_predict"),
    ("sklearn.preprocessing", "LabelEncoder", "LabelEncoder("),
    ("sklearn.utils.metaestimators", "available_if", "available_if"),
]


def script(pipeline: Pipeline, data: Data, rows: Split, seed: int, sample: int | None, *, refit_all: bool) -> str:
    """Return the source of a script that builds, fits and scores this pipeline again.

    `sample` is the number of rows it was fitted on, None for all training rows. With `refit_all`, the saved model is
    the one that was fitted on all rows after scoring.
    """
    names: Names = {("sklearn.metrics", score) for score in SCORES[data.task]}
    built = _source(pipeline, 4, len("    return "), names)
    constants, loader = _loader(data, names)
    steps = _own_steps(pipeline, names)
    body = BODY.format(
        loader=loader,
        pipeline=built,
        split=_split(rows, seed, names),
        refit=REFIT if refit_all else "",
        sample="" if sample is None else SAMPLE.format(rows=sample, seed=seed),
        scores="\n".join(f'    print(f"{score}: {{{score}(y_test, predicted):.6g}}")' for score in SCORES[data.task]),
    )
    head = [HEAD.format(name=data.name), _imports(names, bool(steps)), *constants]
    return "\n\n\n".join(["\n\n".join(head), *(block.strip() for block in steps), body])


def _split(rows: Split, seed: int, names: Names) -> str:
    """Return the statements that hold out the same rows; add what they import to `names`."""
    column = _text(rows.column or "")
    settings = f"test_size={HELD_OUT}, random_state={seed}"
    match rows.folding.by:
        case "time":
            start = rows.start
            text = f'pd.Timestamp("{start}")' if isinstance(start, pd.Timestamp) else repr(float(start))
            return TIME_SPLIT.format(column=column, start=text)
        case "group":
            names.add(("sklearn.model_selection", "GroupShuffleSplit"))
            return GROUP_SPLIT.format(column=column, settings=settings)
        case _:
            names.add(("sklearn.model_selection", "train_test_split"))
            stratify = ", stratify=y" if rows.folding.task == "classification" else ""
            return RANDOM_SPLIT.format(settings=settings + stratify)


def _loader(data: Data, names: Names) -> tuple[list[str], str]:
    """Return the constants and the body of `load`; add what it imports to `names`."""
    if data.is_bundled:
        loader = LOADERS[data.name]
        names.add(("sklearn.datasets", loader.partition("(")[0].rpartition(" ")[2]))
        return [], loader
    names.add(PATH)
    rows = f"ROWS = Path(__file__).with_name({_text(ROWS)})  # as training read them"
    return [f"{rows}\nTARGET = {_text(str(data.target.name))}"], FROM_ROWS


def _own_steps(pipeline: Pipeline, names: Names) -> list[str]:
    """Return the source of the classes of model_steps.py in the pipeline; add what they import to `names`."""
    if model_steps.__name__ not in modules(pipeline):
        return []
    classes = sorted(name for module, name in names if module == model_steps.__name__)
    blocks = [inspect.getsource(getattr(model_steps, name)) for name in classes]
    source = "".join(blocks)
    names |= {(module, name) for module, name, mark in STEP_IMPORTS if mark in source}
    return blocks


def _imports(names: Names, own_steps: bool) -> str:
    """Return the import statements, sorted as ruff sorts them."""
    imported: dict[str, list[str]] = {}
    for module, name in sorted(names - {PATH}):
        if module != model_steps.__name__:
            imported.setdefault(module, []).append(name)
    lines = ["from pathlib import Path"] if PATH in names else []
    lines += ["from typing import Any"] if own_steps else []
    lines += [""] if lines else []
    lines += ["import numpy as np"] if own_steps else []
    lines.append("import pandas as pd")
    for module, members in imported.items():
        lines.append(f"from {module} import {', '.join(sorted(members, key=_classes_first))}")
    return "\n".join(lines)


def _source(value: Any, indent: int, column: int, names: Names) -> str:
    """Return a value as an expression that starts in this column; add what it imports to `names`."""
    if isinstance(value, BaseEstimator) or _is_splitter(value):
        head, tail, parts = f"{_name(type(value), names)}(", ")", _settings(value)
    elif isinstance(value, dict):
        head, tail, parts = "{", "}", [(f"{_source(key, 0, 0, names)}: ", item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        head, tail, parts = ("[", "]", []) if isinstance(value, list) else ("(", ")", [])
        parts = [("", item) for item in value]
    elif value is pd.NA:
        return "pd.NA"
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
    """Return the arguments that create this object, without those that equal their defaults."""
    arguments = inspect.signature(type(value)).parameters
    defaults = {name: argument.default for name, argument in arguments.items()}
    current = value.get_params(deep=False) if isinstance(value, BaseEstimator) else vars(value)
    return [
        (f"{name}=", current[name])
        for name in sorted(current, key=list(defaults).index if set(current) <= set(defaults) else str)
        if repr(current[name]) != repr(defaults.get(name))
    ]


def _is_splitter(value: Any) -> bool:
    return hasattr(value, "get_n_splits")


def _name(thing: Callable[..., Any], names: Names) -> str:
    """Return the name of a class or function; add its import, from the shortest module path, to `names`."""
    parts = str(thing.__module__).split(".")
    for length in range(1, len(parts) + 1):
        module = ".".join(parts[:length])
        if getattr(importlib.import_module(module), thing.__name__, None) is thing:
            names.add((module, thing.__name__))
            break
    return str(thing.__name__)


def _text(value: str) -> str:
    """Return a string literal, in double quotes unless that needs escapes."""
    literal = repr(value)
    return literal if '"' in literal or "\\" in literal else f'"{value}"'


def _classes_first(name: str) -> tuple[bool, str]:
    """Return a sort key that puts classes before functions, as ruff does."""
    return (name[0].islower(), name)
