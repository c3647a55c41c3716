"""The options of commands that run a model: in which environment."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from launch.examine import Options


def environment_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --requirements, --python and --signature-from to a click command, which gets them as `options`."""

    @click.option(
        "--requirements",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A requirements.txt in place of the model's.",
    )
    @click.option("--python", "interpreter", default="", metavar="PATH", help="The Python to run the model with.")
    @click.option(
        "--signature-from",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="TABLE",
        help="A CSV or Parquet file of rows that the model was trained on, for a model without a signature.",
    )
    @wraps(command)
    def with_options(requirements: Path | None, interpreter: str, signature_from: Path | None, **others: Any) -> None:
        command(**others, options=Options(requirements, interpreter, signature_from))

    return with_options
