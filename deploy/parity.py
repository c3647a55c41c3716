"""Compares BigQuery's answers for the input example with the model's own predictions.

    python -m deploy.parity expected.json < rows-of-bq.json

A difference fails the deployment and names the row.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from parity import compare


def differences(expected: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each difference between the rows of `parity.query` and what is expected.

    `expected` has the model's `digest` and its `predictions`.
    """
    predictions = expected["predictions"]
    if len(rows) != len(predictions):
        return [f"SQL returned {len(rows)} rows for {len(predictions)} rows of the input example."]
    others = sorted({str(row["digest"]) for row in rows} - {expected["digest"]})
    found = [f"The model with digest {others[0]} answers, not the deployed {expected['digest']}."] if others else []
    answers = [json.loads(row["predicted"]) for row in rows]
    return found + [
        f"Row {it.row} of the input example: SQL gives {rows[it.row]['predicted']}, "
        f"the model's own library {json.dumps(it.prediction)}."
        for it in compare.differences(answers, predictions)
    ]


@click.command()
@click.argument("expected", type=click.Path(path_type=Path, exists=True))
def main(expected: Path) -> None:
    """Compare the rows of the query on standard input with the file EXPECTED."""
    wanted = json.loads(expected.read_text())
    found = differences(wanted, json.load(sys.stdin))
    if found:
        click.echo("\n".join(found), err=True)
        sys.exit(1)
    click.echo(f"{len(wanted['predictions'])} predictions equal the model's own.")


if __name__ == "__main__":
    main()
