"""From a model's files to callables, for each flavor in which MLflow saves a model.

A scikit-learn model is loaded from its files without importing `mlflow`, whose import takes longer than fetching and
loading a small model; every other flavor is loaded by `mlflow.pyfunc`. Errors in the model's files become
ModelUnusable. From a skops file only the types in trusted_types.py are built.

To load another flavor without `mlflow.pyfunc`, write its `_load` function and add a row to _FLAVORS.
"""

import contextlib
import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loading.libraries import RecordingUnpickler, is_library_object
from loading.mlmodel import read_mlmodel
from loading.trusted_types import TRUSTED_TYPES
from serving.errors import BadRequest, ModelUnusable, join_names, short_repr


@dataclass(frozen=True)
class Flavor:
    """How models of one flavor are loaded.

    `load` takes the model's folder, its flavors and its URI, and returns keyword arguments of Model: `predictor`,
    `estimator`, and for classifiers `probabilities` and `classes`. `package` takes the flavors and names the package to
    import early. `check` takes the flavors and the URI, and raises ModelUnusable for a library that would predict
    something else. `reads_everything` says that the model's files are no longer needed once it is loaded, and
    `user_code` that it runs code that its author wrote; `load` returns in `user_code` what the model's files say about
    that.
    """

    load: Callable[[Path, Mapping[str, Any], str], dict[str, Any]]
    package: Callable[[Mapping[str, Any]], str]
    check: Callable[[Mapping[str, Any], str], None] = lambda *_: None
    reads_everything: bool = False
    user_code: bool = False


def flavor_of(flavors: Mapping[str, Any]) -> Flavor:
    """Return how a model with these flavors, as the MLmodel file has them, is loaded."""
    loader = flavors.get("python_function", {}).get("loader_module")
    if "sklearn" in flavors and "python_function" not in flavors:
        return _FLAVORS["mlflow.sklearn"]
    if loader == "mlflow.sklearn" and "sklearn" not in flavors:
        return _PYFUNC
    return _FLAVORS.get(loader, _PYFUNC)


def keeps_files(flavors: Mapping[str, Any]) -> bool:
    """Return whether a model needs its files after loading: to open them, or to import its own code from them."""
    return not flavor_of(flavors).reads_everything or any(flavor.get("code") for flavor in flavors.values())


def import_early(mlmodel: Path) -> None:
    """Import the package a model needs as soon as its MLmodel file has arrived, while its other files download."""
    with contextlib.suppress(Exception):  # loading reports the error
        flavors = read_mlmodel(mlmodel.parent, "")["flavors"]
        importlib.import_module(flavor_of(flavors).package(flavors))


def check_trusted(flavors: Mapping[str, Any], uri: str) -> None:
    """Raise ModelUnusable for a model that asks for types that nobody has reviewed; MLflow would build them."""
    for name, flavor in flavors.items():
        asked = flavor.get("skops_trusted_types") or []
        if type(asked) is not list or not all(type(each) is str for each in asked):
            raise ModelUnusable(
                f"The MLmodel file of {uri} has flavors.{name}.skops_trusted_types = {short_repr(asked)}; "
                "expected a list of type names."
            )
        unknown = sorted(set(asked) - TRUSTED_TYPES)
        if unknown:
            raise ModelUnusable(
                f"The model at {uri} has types that loading/trusted_types.py does not list: {join_names(unknown)}. "
                f"Review them and add them there, or save the {name} model with "
                'serialization_format="cloudpickle", and files of your own in code_paths.'
            )


def named_files(flavors: Mapping[str, Any]) -> list[str]:
    """Return the paths of the files and folders that MLmodel names and loading opens, as far as is known."""
    if flavor_of(flavors) is _FLAVORS["mlflow.sklearn"]:
        return [str(flavors["sklearn"].get("pickled_model", "model.pkl"))]
    function = flavors.get("python_function", {})
    if not str(function.get("loader_module")).startswith("mlflow."):  # a loader of the author's may do without
        return []
    return [str(function[key]) for key in ("data", "python_model") if function.get(key)]


def _check_sklearn(flavors: Mapping[str, Any], uri: str) -> None:
    """Raise ModelUnusable for a model of another minor version of scikit-learn than this one."""
    import sklearn

    saved_with, here = str(flavors["sklearn"].get("sklearn_version", "")), sklearn.__version__
    if saved_with.split(".")[:2] != here.split(".")[:2]:
        raise ModelUnusable(
            f"The model at {uri} was saved with scikit-learn {saved_with}; the function has {here}, which may predict "
            f"differently: deploy with scikit-learn=={saved_with} in requirements.txt, or train again."
        )


def _load_sklearn(folder: Path, flavors: Mapping[str, Any], uri: str) -> dict[str, Any]:
    """Return what Model needs of a scikit-learn model; skops builds only TRUSTED_TYPES, whatever the file asks for."""
    flavor = flavors["sklearn"]
    if flavor.get("code"):
        sys.path.insert(0, str(folder / flavor["code"]))
    file, user_code = folder / flavor["pickled_model"], False
    if flavor.get("serialization_format") == "skops":
        import skops.io

        estimator = skops.io.load(file, trusted=sorted(TRUSTED_TYPES))
    else:
        with file.open("rb") as stream:
            unpickler = RecordingUnpickler(stream)
            estimator = unpickler.load()
            user_code = not unpickler.only_libraries
    name = flavors.get("python_function", {}).get("predict_fn", "predict")
    method = getattr(estimator, name, None)
    if method is None:
        raise ModelUnusable(
            f"The model at {uri} cannot predict: its {type(estimator).__name__} has no method {name}. "
            "Save a pipeline that ends with an estimator."
        )

    def predict(data: Any, params: Mapping[str, Any] | None) -> Any:
        if params:
            raise BadRequest(
                "MLflow passes no params to scikit-learn models: remove `params` from user_defined_context."
            )
        return method(data)

    return {
        "predictor": predict,
        "method": name,
        "estimator": estimator,
        "user_code": user_code,
        **_classifier(estimator),
    }


def _load_pyfunc(folder: Path, _: Mapping[str, Any], uri: str) -> dict[str, Any]:
    """Return what Model needs of a model of any flavor, loaded by MLflow.

    MLflow's own input validation is disabled: values have been checked by then, and MLflow's rejects NULL in optional
    INT64 and BOOL columns.
    """
    import mlflow.pyfunc

    loaded = mlflow.pyfunc.load_model(str(folder))
    if loaded is None:  # of MLflow 3.7 to 3.13, after an error of their tracing that they only log
        raise ModelUnusable(
            f"The model at {uri} cannot be loaded: MLflow {mlflow.__version__} returned no model. "
            "Deploy with another version of mlflow-skinny in requirements.txt."
        )
    written = loaded.metadata.signature
    if written is not None and (written.outputs or written.params):
        written.inputs = None  # MLflow 2.6 constructs no signature without inputs
    else:
        loaded.metadata.signature = None
    raw = _raw_model(loaded)
    user_code = not is_library_object(raw)
    return {"predictor": loaded.predict, "estimator": raw, "user_code": user_code, **_classifier(raw)}


def _raw_model(loaded: Any) -> Any:
    """Return the object of its library in a model that MLflow has loaded; None if the flavor shows none."""
    if hasattr(loaded, "get_raw_model"):
        with contextlib.suppress(Exception):  # flavors without one raise different exceptions
            return loaded.get_raw_model()
        return None
    wrapper = getattr(loaded, "_model_impl", None)
    return next((getattr(wrapper, name) for name in _RAW_MODELS if hasattr(wrapper, name)), None)


def _classifier(estimator: Any) -> dict[str, Any]:
    """Return what Model needs for predict_proba, if the estimator has it."""
    with contextlib.suppress(Exception):  # a pipeline asks its last step, which may raise anything
        classes = list(estimator.classes_)
        if not any(isinstance(label, np.ndarray) for label in classes):  # one array per output, with several outputs
            return {"probabilities": estimator.predict_proba, "classes": classes}
    return {}


def _sklearn_package(flavors: Mapping[str, Any]) -> str:
    return "skops.io" if flavors["sklearn"].get("serialization_format") == "skops" else "sklearn.pipeline"


def _pyfunc_package(_: Mapping[str, Any]) -> str:
    return "mlflow.pyfunc"


# Where the wrappers of MLflow before 2.15, which has `get_raw_model`, keep the object of their library.
_RAW_MODELS = ("lgb_model", "cb_model", "xgb_model", "sklearn_model", "statsmodels_model", "pmdarima_model")

_PYFUNC = Flavor(_load_pyfunc, _pyfunc_package, user_code=True)
_LIBRARY = Flavor(_load_pyfunc, _pyfunc_package)
_FLAVORS = {  # by MLflow's loader module
    "mlflow.sklearn": Flavor(_load_sklearn, _sklearn_package, _check_sklearn, reads_everything=True),
    "mlflow.lightgbm": Flavor(_load_pyfunc, _pyfunc_package, reads_everything=True),
    "mlflow.xgboost": Flavor(_load_pyfunc, _pyfunc_package, reads_everything=True),
    "mlflow.catboost": _LIBRARY,
    "mlflow.keras": _LIBRARY,
    "mlflow.onnx": _LIBRARY,
    "mlflow.pmdarima": _LIBRARY,
    "mlflow.prophet": _LIBRARY,
    "mlflow.statsmodels": _LIBRARY,
    "mlflow.tensorflow": _LIBRARY,
}
