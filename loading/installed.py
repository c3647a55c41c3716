"""What is installed in this environment, as the metadata of its packages says; some have none, or an incomplete one."""

import contextlib
import importlib.metadata
from typing import Any


def version(package: str) -> str | None:
    """Return the version of an installed package; None if it isn't there or its metadata doesn't tell."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, OSError):
        # Without a METADATA file this is empty, None, or an OSError, depending on Python's own version.
        metadata: Any = importlib.metadata.metadata(package)
        return metadata.get("Version") if metadata else None
    return None
