"""From the folder of a fetched and verified model to a Model."""

import json
import platform
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from loading.example import read_example
from loading.failures import loading_errors
from loading.faults import Faults, collect_faults
from loading.fitted import in_one_thread
from loading.flavors import flavor_of
from loading.installed import version
from loading.libraries import has_user_code
from loading.made_signature import make_signature
from loading.mlmodel import read_mlmodel, requirements
from loading.own_code import admit_code, own_code
from loading.packages import check_requirements
from loading.signature import read_signature
from serving import json_type
from serving.model import Model, ModelInfo


def build(folder: Path, uri: str, digest: str, *, check_packages: bool = False) -> tuple[Model, Mapping[str, Any]]:
    """Return the model in a folder, and its flavors as the MLmodel file has them.

    `check_packages` rejects a model that requires other packages than those that are here. Raise ModelUnusable, with
    all that is wrong with the model.
    """
    mlmodel = read_mlmodel(folder, uri)
    flavors, faults = mlmodel["flavors"], Faults(folder, uri)
    with loading_errors(folder, uri):
        collect_faults(folder, mlmodel, uri, faults)
        flavor = flavor_of(flavors)
        with faults.collected():
            flavor.check(flavors, uri)
        if check_packages:
            with faults.collected():
                check_requirements(folder, uri)
        faults.raise_any()
        saved = read_signature(mlmodel, uri)
        code = own_code(folder, mlmodel)
        if code:  # bytecode written beside it would change the digest
            sys.dont_write_bytecode = True
        admit_code(folder, mlmodel, code, uri)
        with faults.collected():
            parts = flavor.load(folder, flavors, uri)
        faults.raise_any()
        parts["user_code"] |= flavor.user_code or has_user_code(code)
        in_one_thread(parts["estimator"])
        signature, made = (saved, "") if saved else make_signature(parts["estimator"], uri)
        model = Model(
            info=ModelInfo(
                uri=uri,
                digest=digest,
                flavor=next((name for name in flavors if name != "python_function"), "python_function"),
                schema=signature.schema,
                signature=_written(mlmodel.get("signature") or {}),
                made_signature=made,
                saved=str(mlmodel.get("utc_time_created", "")),
                versions={
                    "python": platform.python_version(),
                    **_versions("mlflow-skinny", "numpy", "pandas", "scikit-learn"),
                },
                code=sorted(code),
                requirements=requirements(folder),
                metadata=json_type.encode(mlmodel.get("metadata") or {}),
                loaded=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            ),
            signature=signature,
            example=read_example(folder, mlmodel, signature),
            notes=[made] if made else [],
            **parts,
        )
    return model, flavors


def _written(signature: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of MLflow's signature, each of which is JSON within the YAML."""
    return {part: json.loads(signature[part]) for part in ("inputs", "outputs", "params") if signature.get(part)}


def _versions(*packages: str) -> dict[str, str]:
    """Return the versions of packages, without those that are not known here."""
    return {package: found for package in packages if (found := version(package))}
