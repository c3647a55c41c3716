"""What is kept in `.deploy` between runs, so that the next one need not find it out or make it again."""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
KEPT = ROOT / ".deploy"


def write(file: Path, text: str) -> None:
    """Write a file that is there completely or not at all, whoever else writes it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as unfinished:
        partial = Path(unfinished) / file.name
        partial.write_text(text)
        partial.replace(file)


def model_folder(place: Path, make: Callable[[Path], Path]) -> Path:
    """Return the folder `model` below a place; unless it is there, `make` returns one below the folder it is given."""
    folder = place / "model"
    if not folder.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as unfinished:
            made = make(Path(unfinished))
            place.mkdir(exist_ok=True)
            with contextlib.suppress(OSError):  # another process was faster
                made.replace(folder)
    return folder
