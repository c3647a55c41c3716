"""Finds out whether and how a model can be deployed, before anything is created: `python -m deploy.model`.

It runs in a process of its own, because loading a model runs the model's code. Its report is a JSON file, see
ModelReport; problems are printed, one sentence a line, and end with status 2. Reports are kept in `.deploy/` by the
content of the model and of this project, so a second run need not load the model again.
"""

import dataclasses
import hashlib
import json
import os
import sys
from pathlib import Path

import click
import yaml

from deploy.errors import Blocked
from deploy.observation import ModelReport
from deploy.requirements import fit_requirements
from loading.source import local_folder
from model_loader import folder_digest, load
from parity.query import example_query
from serving.errors import ServingError, describe_error
from sql.names import callable_functions

ROOT = Path(__file__).parent.parent
REPORTS = ROOT / ".deploy"
PYTHONS = ("3.11", "3.12", "3.13")


def inspect(folder: Path, uri: str, functions: str) -> ModelReport:
    """Return the report on a model in a folder. Raise Blocked with everything that prevents its deployment."""
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    flavors = mlmodel["flavors"]
    python = str(flavors.get("python_function", {}).get("python_version", ""))
    minor = ".".join(python.split(".")[:2])
    file = folder / "requirements.txt"
    needed = file.read_text().splitlines() if file.is_file() else []
    requirements, problems = fit_requirements((ROOT / "requirements.txt").read_text(), needed, flavors)
    if minor not in PYTHONS:
        saved_with = f"Python {python}" if python else "an unknown version of Python"
        problems.append(f"The model at {uri} was saved with {saved_with}; the function runs on {', '.join(PYTHONS)}.")
    if not mlmodel.get("signature"):
        problems.append(f"The model at {uri} has no signature: save it again with signature=infer_signature(X, y).")
    if not mlmodel.get("saved_input_example_info"):
        problems.append(
            f"The model at {uri} has no input example, so SQL's predictions cannot be compared with the model's own: "
            "save it again with input_example=X.head()."
        )
    if problems:
        raise Blocked(problems)
    kept = REPORTS / f"{_key(folder, functions)}.json"
    if kept.is_file():
        return ModelReport.parse(json.loads(kept.read_text()))
    report = _report(folder, uri, functions, f"python{minor.replace('.', '')}", requirements)
    REPORTS.mkdir(exist_ok=True)
    partial = kept.with_suffix(f".{os.getpid()}")  # never a half-written report under its final name
    partial.write_text(_json(report))
    partial.replace(kept)
    return report


def _key(folder: Path, functions: str) -> str:
    """Return the hash of everything that a report depends on."""
    found = hashlib.sha256(f"{folder_digest(folder)} {functions} {sys.version}".encode())
    packages = ("deploy", "loading", "parity", "serving", "sql")
    sources = [
        *ROOT.glob("requirements*.txt"),
        *ROOT.glob("*.py"),
        *(it for package in packages for it in ROOT.glob(f"{package}/*.py")),
    ]
    for file in sorted(sources):
        found.update(file.read_bytes())
    return found.hexdigest()[:40]


def _report(folder: Path, uri: str, functions: str, runtime: str, requirements: str) -> ModelReport:
    from parity.expected import input_example  # imports mlflow, which takes seconds; a kept report needs none of it

    model = load(str(folder))
    rows, expected = input_example(folder, model)
    if not rows:
        raise Blocked([f"The input example of the model at {uri} cannot be written as SQL: save it as a DataFrame."])
    return ModelReport(
        digest=model.info.digest,
        runtime=runtime,
        requirements=requirements,
        functions=tuple(function.name for function in callable_functions(model)),
        parity_query=example_query(model.signature, rows, functions),
        predictions=expected.predictions,
    )


def _json(report: ModelReport) -> str:
    return json.dumps(dataclasses.asdict(report))


@click.command()
@click.option("--model", "uri", required=True, help="gs://bucket/prefix or a folder.")
@click.option("--functions", required=True, metavar="PROJECT.DATASET", help="Where the SQL functions will be.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="The JSON file for the report.")
def main(uri: str, functions: str, output: Path) -> None:
    """Find out whether and how a model can be deployed; deploy.sh runs this.

    \b
    Example:
      python -m deploy.model --model demo-output/model --functions my-project.ds --output demo-output/report.json
    """
    try:
        with local_folder(uri) as folder:
            output.write_text(_json(_inspect(folder, uri, functions)))
    except (Blocked, ServingError) as error:
        for problem in error.blockers if isinstance(error, Blocked) else [str(error)]:
            click.echo(" ".join(problem.split()))
        sys.exit(2)


def _inspect(folder: Path, uri: str, functions: str) -> ModelReport:
    """Inspect a folder; raise Blocked for whatever is wrong with it, and name the model by its URI."""
    if not (folder / "MLmodel").is_file():
        raise Blocked([f"There is no MLmodel file in {uri}; expected a folder saved by mlflow.<flavor>.save_model."])
    try:
        return inspect(folder, uri, functions)
    except Blocked:
        raise
    except ServingError as error:
        raise Blocked([str(error).replace(str(folder), uri)]) from error
    except Exception as error:  # anything the model's own library raises on its own example
        problem = f"The model at {uri} cannot predict its own input example: {describe_error(error)}"
        raise Blocked([problem]) from error


if __name__ == "__main__":
    main(prog_name="python -m deploy.model")
