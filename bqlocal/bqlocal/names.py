"""Finds tables and functions by the names that statements give them, and names that are one to GoogleSQL.

A name without a project belongs to the session's project, as in BigQuery. Where that has no such name and exactly one
other project does, that one is meant, so SQL that was written for another project runs here unchanged.
"""

from collections.abc import Collection, Sequence

from bqlocal.errors import QueryError


def resolve(path: Sequence[str], project: str, known: Collection[str]) -> str:
    """Return `project.dataset.name` for a path of two or three parts, whether or not it is one of the known names.

    Raises QueryError where several other projects have it.
    """
    if len(path) > 2:
        return ".".join(path)
    short = ".".join(path)
    name = f"{project}.{short}"
    if name in known:
        return name
    # The project may be example.com:my-project, with dots of its own.
    others = sorted(other for other in known if other.rsplit(".", 2)[1:] == [*path])
    if len(others) > 1:
        raise QueryError(f"{short} may be {' or '.join(others)}; write the project too.")
    return others[0] if others else name


def repeated(names: Sequence[str]) -> str:
    """Return the first name that an earlier one equals, or an empty text. GoogleSQL ignores the case of A to Z only."""
    lower = [name.encode().lower() for name in names]
    return next((name for at, name in enumerate(names) if lower[at] in lower[:at]), "")
