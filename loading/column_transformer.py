"""Which columns the parts of a fitted ColumnTransformer get, in a table with other columns or in another order.

A ColumnTransformer that was fitted on named columns selects them by name: a signature may declare further ones, lack
those that no part gets, or have them in any order.
"""

from collections.abc import Iterator, Sequence
from typing import Any


def parts_of(step: Any, columns: Sequence[str]) -> Iterator[tuple[Any, list[int]]]:
    """Yield each part that isn't dropped, with the places among `columns` of those that it gets.

    A part is a fitted step or "passthrough". Raise IndexError if a column isn't there.
    """
    names = list(getattr(step, "feature_names_in_", ()))
    parts = [
        (part, list(step._transformer_to_input_indices.get(label, ())))
        for label, part, _ in step.transformers_
        if not (isinstance(part, str) and part == "drop")
    ]
    if not names or not {names[at] for _, places in parts for at in places} <= set(columns):
        yield from ((part, [range(len(columns))[at] for at in places]) for part, places in parts)
        return
    found = {name: at for at, name in enumerate(columns)}
    yield from ((part, [found[names[at]] for at in places]) for part, places in parts)


def columns_used(step: Any, columns: Sequence[str]) -> set[str]:
    """Return those of the columns that a step was fitted on without which it can't transform: not those it drops."""
    if type(step).__name__ != "ColumnTransformer":
        return set(columns)
    return {columns[at] for _, places in parts_of(step, columns) for at in places}
