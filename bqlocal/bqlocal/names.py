"""Finds tables and functions by the names that statements give them.

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
    others = sorted(other for other in known if other.partition(".")[2] == short)
    if len(others) > 1:
        raise QueryError(f"{short} may be {' or '.join(others)}; write the project too.")
    return others[0] if others else name
