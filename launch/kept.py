"""What is kept in `.deploy` between runs, so that the next one need not find it out or make it again."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Where there is no clone, the plugin of mlflow deployments names another folder.
KEPT = Path(os.environ.get("DEPLOY_CACHE") or ROOT / ".deploy").absolute()


def place(path: Path) -> str:
    """Return where something is kept, and how it can be removed."""
    if path.is_relative_to(ROOT):
        return f"{path.relative_to(ROOT)}; `make clean` removes it"
    return f"{path}; delete that folder if you need the space"


def write(file: Path, text: str) -> None:
    """Write a file that is there completely or not at all, whoever else writes it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as unfinished:
        partial = Path(unfinished) / file.name
        partial.write_text(text, encoding="utf-8")
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
