"""The output folder, replaced all at once.

A run writes to a hidden folder beside the output folder and renames it at the very end, so a failed run leaves the
earlier one intact. Only an empty folder or an earlier run is ever replaced. A tracking store in the folder belongs to
all runs: it moves on to the new one.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from train.errors import OptionError

SCORES = "scores.json"  # marks a folder as an earlier run
STORE = ("mlflow.db", "mlruns")  # a tracking store with MLFLOW_TRACKING_URI=sqlite:///FOLDER/mlflow.db
ROWS = "rows.parquet"  # all rows of a file, as training read them, for pipeline.py


@contextlib.contextmanager
def output(folder: Path) -> Iterator[Path]:
    """Yield a folder to write to, which becomes `folder` when the block ends without an error. Raise OptionError."""
    folder = folder.absolute()
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"--output {str(folder)!r} is a file; expected a folder.")
    others = [path for path in folder.iterdir() if path.name not in STORE] if folder.exists() else []
    if others and not (folder / SCORES).is_file():
        raise OptionError(
            f"--output {str(folder)!r} holds something other than an earlier run (no {SCORES}); choose another folder."
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise OptionError(f"--output {str(folder)!r} cannot be written: {error.strerror}.") from error
    try:
        draft.chmod(0o755)  # mkdtemp makes folders that only their owner can read
        (draft / "new").mkdir()
        yield draft / "new"
        if folder.exists():
            for name in STORE:
                if (folder / name).exists():
                    (folder / name).rename(draft / "new" / name)
            folder.rename(draft / "old")
        (draft / "new").rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def remove_drafts(folder: Path) -> None:
    """Delete what runs that were killed left beside their output folder."""
    for draft in folder.absolute().parent.glob(f".{folder.name}.*"):
        shutil.rmtree(draft, ignore_errors=True)
