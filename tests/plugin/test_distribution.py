"""The distribution mlflow-bigquery: its metadata, and that its wheel carries what it starts."""

from typing import Any

import tomllib
from packaging.requirements import Requirement
from packaging.version import Version

from tests.conftest import ROOT
from tests.test_imports import modules, reached

PROGRAMS = ("deploy.__main__", "deploy.model", "deploy.sizing.__main__", "loading.publish", "local.__main__", "main")
# What only the function imports, in the environment of its model.
FUNCTION_ONLY = {"functions-framework", "httptools", "jinja2", "scikit-learn", "skops", "starlette", "uvloop"}


def pyproject(folder: str = ".") -> dict[str, Any]:
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text())


def oldest(*lists: list[str]) -> dict[str, Version]:
    """Return the oldest version of each package that satisfies every list; each requirement is NAME>=VERSION."""
    found: dict[str, Version] = {}
    for requirement in map(Requirement, (text for texts in lists for text in texts)):
        for specifier in requirement.specifier:
            if specifier.operator == ">=":
                version = Version(specifier.version)
                found[requirement.name] = max(found.get(requirement.name, version), version)
    return found


def test_version() -> None:
    """The version is that of the project, whose source the wheel carries."""
    assert pyproject("mlflow_bigquery")["project"]["version"] == pyproject()["project"]["version"]


def test_dependencies() -> None:
    """The wheel requires what deploy.sh installs, except what only the function imports, and MLflow's command."""
    ours = pyproject()
    needed = oldest(ours["project"]["dependencies"], ours["dependency-groups"]["deploy"])
    needed["mlflow-skinny"] = oldest(ours["dependency-groups"]["train"])["mlflow"]
    expected = {name: version for name, version in needed.items() if name not in FUNCTION_ONLY}
    assert oldest(pyproject("mlflow_bigquery")["project"]["dependencies"]) == expected


def test_extra_for_run_local() -> None:
    """The extra `local` has what the group local and bqlocal require."""
    group = [text for text in pyproject()["dependency-groups"]["local"] if text != "bqlocal"]
    expected = oldest(group, pyproject("bqlocal")["project"]["dependencies"])
    assert oldest(pyproject("mlflow_bigquery")["project"]["optional-dependencies"]["local"]) == expected


def test_wheel_carries_its_programs() -> None:
    """Each package and module that the programs import is carried, under its own name."""
    sources = modules(ROOT)
    wanted = {module.partition(".")[0] for program in PROGRAMS for module in reached(program, sources)}
    carried = pyproject("mlflow_bigquery")["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    places = {
        target.removeprefix("mlflow_bigquery/project/").removesuffix(".py"): source
        for source, target in carried.items()
    }
    assert wanted <= places.keys()
    for name, source in places.items():
        assert source.removesuffix(".py").rpartition("/")[2] == name
        assert (ROOT / "mlflow_bigquery" / source).exists()
