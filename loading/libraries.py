"""Which models run code of known libraries alone, and which run code of their authors.

Known libraries compute the same in any thread, several predictions at a time, and take as long for a row as for the
next one. Code that somebody wrote for one model may do none of that: it starts event loops, keeps values in `self`, or
waits for a service.
"""

import pickle
from collections.abc import Iterable
from pathlib import PurePath

# The packages whose classes and functions models of known libraries consist of.
PACKAGES = frozenset(
    {
        "_loss",  # of scikit-learn's gradient boosting, whose compiled classes are pickled without the package's name
        *("_codecs", "builtins", "collections", "copyreg", "datetime", "decimal", "functools", "joblib"),
        *("catboost", "imblearn", "keras", "lightgbm", "model_steps", "numpy", "onnxruntime", "pandas", "pmdarima"),
        *("prophet", "scipy", "sklearn", "statsmodels", "tensorflow", "xgboost"),
    }
)
OWN_FILE = "model_steps.py"  # of this project; `python -m train` saves it with the models that need it


class RecordingUnpickler(pickle.Unpickler):
    """Unpickles an object, and records the packages of the classes and functions that its pickle refers to."""

    packages: frozenset[str] = frozenset()

    def find_class(self, module: str, name: str) -> object:
        self.packages |= {module.partition(".")[0]}
        return super().find_class(module, name)

    @property
    def only_libraries(self) -> bool:
        return self.packages <= PACKAGES


def is_library_object(model: object) -> bool:
    """Return whether an object is of a class of a known library; None is what a flavor gives that shows no object."""
    return model is None or type(model).__module__.partition(".")[0] in PACKAGES


def has_user_code(files: Iterable[str]) -> bool:
    """Return whether there is code of the author's among the Python files that came with a model."""
    return any(PurePath(file).name != OWN_FILE for file in files)
