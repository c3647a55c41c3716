"""What a deployment must know of the model, found out before anything is made: `python -m deploy.model`.

Into the output folder go `digest`, `runtime`, `requirements.txt`, `functions` (the names of the SQL functions), and for
the parity gate `parity.sql` and `expected.json`: the input example as a query, and what the model's own library
predicts for it. Problems are printed, one sentence a line, and end with status 2.

The findings are kept in `.deploy/`, by the content of the model and of this project, so that a second run need not load
the model again.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import click
import yaml

from deploy.requirements import fitted
from loading.source import fetched
from model_loader import folder_digest, load
from serving.errors import ServingError
from serving.signature import read_signature

ROOT = Path(__file__).parent.parent
KEPT = ROOT / ".deploy"
PYTHONS = ("3.11", "3.12", "3.13")


def inspect(folder: Path, uri: str, function: str, output: Path) -> list[str]:
    """Write what is known of the model in a folder; return what stands against deploying it."""
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    read_signature(mlmodel, uri)
    flavors = mlmodel["flavors"]
    python = str(flavors.get("python_function", {}).get("python_version", ""))
    minor = ".".join(python.split(".")[:2])
    file = folder / "requirements.txt"
    wanted = file.read_text().splitlines() if file.is_file() else []
    requirements, problems = fitted((ROOT / "requirements.txt").read_text(), wanted, flavors)
    if minor not in PYTHONS:
        problems.append(
            f"The model at {uri} was saved with Python {python or '?'}; the function runs on {', '.join(PYTHONS)}."
        )
    if not mlmodel.get("saved_input_example_info"):
        problems.append(
            f"The model at {uri} has no input example, so nothing can show that SQL gives its predictions: "
            "save it again with input_example=X.head()."
        )
    if problems:
        return problems
    kept = KEPT / _key(folder, function)
    if not kept.is_dir():
        problems = _compute(folder, uri, function, minor, requirements, output)
        if not problems:
            shutil.copytree(output, kept)
        return problems
    shutil.copytree(kept, output, dirs_exist_ok=True)
    return []


def _key(folder: Path, function: str) -> str:
    """Return the hash of everything that the findings depend on."""
    found = hashlib.sha256(f"{folder_digest(folder)} {function} {sys.version}".encode())
    for file in (
        *ROOT.glob("requirements*.txt"),
        *sorted(ROOT.glob("*.py")),
        *sorted(ROOT.glob("loading/*.py")),
        *sorted(ROOT.glob("[ds]e*/*.py")),
        *sorted(ROOT.glob("parity/*.py")),
        *sorted(ROOT.glob("sql/*.py")),
    ):
        found.update(file.read_bytes())
    return found.hexdigest()[:40]


def _compute(folder: Path, uri: str, function: str, minor: str, requirements: str, output: Path) -> list[str]:
    # Only here: both take seconds to import what models need.
    from parity.expected import input_example
    from parity.query import example_query
    from serving.functions import available_functions

    model = load(str(folder))
    (output / "digest").write_text(f"{model.info.digest}\n")
    (output / "runtime").write_text(f"python{minor.replace('.', '')}\n")
    (output / "requirements.txt").write_text(requirements)
    (output / "functions").write_text("".join(f"{function.name}\n" for function in available_functions(model)))
    rows, expected = input_example(folder, model)
    if not rows:
        return [f"The input example of the model at {uri} cannot be written as SQL: save it as a DataFrame."]
    (output / "parity.sql").write_text(example_query(model.signature, rows, function))
    (output / "expected.json").write_text(
        json.dumps({"digest": model.info.digest, "predictions": expected.predictions})
    )
    return []


@click.command()
@click.option("--model", "uri", required=True, help="gs://bucket/prefix or a folder.")
@click.option("--functions", required=True, metavar="PROJECT.DATASET", help="Where the SQL functions will be.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="The folder for what is found out.")
def main(uri: str, functions: str, output: Path) -> None:
    """Find out whether and how a model can be deployed."""
    output.mkdir(parents=True, exist_ok=True)
    try:
        with fetched(uri) as folder:
            try:
                problems = _inspect(folder, uri, functions, output)
            finally:
                if str(folder) != uri:
                    shutil.rmtree(folder, ignore_errors=True)
    except ServingError as error:
        problems = [str(error)]
    for problem in problems:
        click.echo(" ".join(problem.split()))
    sys.exit(2 if problems else 0)


def _inspect(folder: Path, uri: str, functions: str, output: Path) -> list[str]:
    if not (folder / "MLmodel").is_file():
        return [f"There is no MLmodel file in {uri}; expected a folder saved by mlflow.<flavor>.save_model."]
    try:
        return inspect(folder, uri, functions, output)
    except ServingError as error:
        return [str(error).replace(str(folder), uri)]
    except Exception as error:  # whatever the model's own library raises on its own example
        return [f"The model at {uri} does not predict its own input example: {type(error).__name__}: {error}"]


if __name__ == "__main__":
    main()
