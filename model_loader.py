"""From MODEL_URI to a loaded model: the only module that knows Cloud Storage and MLflow."""

import hashlib
from pathlib import Path


def folder_digest(folder: Path) -> str:
    """Return the sha256 that identifies the content of a model folder.

    It is the sha256 of what `sha256sum` prints for every file, paths relative to the folder and sorted bytewise,
    so that it can be checked with
    `find . -type f | LC_ALL=C sort | sed 's|^./||' | xargs sha256sum | sha256sum`.
    """
    paths = sorted(
        (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()),
        key=str.encode,
    )
    listing = hashlib.sha256()
    for path in paths:
        with (folder / path).open("rb") as file:
            listing.update(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path}\n".encode())
    return listing.hexdigest()
