"""The output folder: either all of a finished run, or what was there before.

Rule: everything is written into a hidden folder beside it, which takes the place of the output folder at the
very end. A folder that does not hold an earlier run is never replaced.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from train.errors import TrainError

SCORES = "scores.json"  # a folder with this file is an earlier run


@contextlib.contextmanager
def output(folder: Path) -> Iterator[Path]:
    """Give a folder to write into, which becomes `folder` when the block ends without an error."""
    folder = folder.absolute()
    if folder.exists() and not folder.is_dir():
        raise TrainError(f"--output {str(folder)!r} is a file; expected a folder that can be made.")
    if folder.exists() and any(folder.iterdir()) and not (folder / SCORES).is_file():
        raise TrainError(f"--output {str(folder)!r} holds something other than an earlier run; name another folder.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise TrainError(f"--output {str(folder)!r} cannot be written: {error.strerror}.") from error
    try:
        draft.chmod(0o755)  # mkdtemp's folders are for their owner alone
        (draft / "new").mkdir()
        yield draft / "new"
        if folder.exists():
            folder.rename(draft / "old")
        (draft / "new").rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
