"""What a deployment must know of the model, found out before anything is made: `python -m deploy.model`.

Into the output folder go `digest`, `runtime`, `requirements.txt`, and for the parity gate `parity.sql` and
`expected.json`: the input example as a query, and what the model's own library predicts for it. Problems are printed,
one sentence a line, and end with status 2.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import click
import yaml

from deploy import parity
from deploy.requirements import fitted
from model_loader import load
from model_source import fetched
from serving.errors import ServingError
from serving.signature import read_signature

ROOT = Path(__file__).parent.parent
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
    model = load(str(folder))
    (output / "digest").write_text(f"{model.facts['digest']}\n")
    (output / "runtime").write_text(f"python{minor.replace('.', '')}\n")
    (output / "requirements.txt").write_text(requirements)
    rows, predictions = parity.examples(folder, model)
    if not rows:
        return [f"The input example of the model at {uri} cannot be written as SQL: save it as a DataFrame."]
    (output / "parity.sql").write_text(parity.query(model.signature, rows, function))
    (output / "expected.json").write_text(json.dumps({"digest": model.facts["digest"], "predictions": predictions}))
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
