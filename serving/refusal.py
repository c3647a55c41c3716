"""Why the model refuses a row, in one sentence: because of a NULL, if it scores the row with a value in its place.

Libraries say that in many ways, some of them with a page of advice, and none knows the column's name in SQL.
"""

from collections.abc import Callable

from serving.errors import describe_error
from serving.rows import Rows

MAX_COLUMNS = 20  # that are tried one by one to find the NULL that the model refuses


def explain(row: int, rows: Rows, example: Rows | None, score: Callable[[Rows], object], error: BaseException) -> str:
    """Return the message for the only row in `rows`, number `row` of its request, for which the model raised an error.

    `example` gives the values to put in the place of NULLs.
    """

    def is_scored(columns: list[str]) -> bool:
        try:
            score(rows.with_values_of(example, columns))
        except BaseException:
            return False
        return True

    null = rows.null_columns()
    if not null or not is_scored(null):
        return f"Row {row}: the model could not score it: {describe_error(error)}"
    refused = (name for name in null[:MAX_COLUMNS] if not is_scored([other for other in null if other != name]))
    found = f"Row {row}, column {next(refused, null[0])} is NULL, which the model"
    estimator = _estimator(error)
    return f"{found}'s {estimator} doesn't take." if estimator else f"{found} doesn't take: {_first_line(error)}"


def _estimator(error: BaseException) -> str | None:
    """Return the class of the innermost estimator whose method raised an error."""
    found, traceback = None, error.__traceback__
    while traceback:
        owner = type(traceback.tb_frame.f_locals.get("self"))
        if hasattr(owner, "fit"):
            found = owner.__name__
        traceback = traceback.tb_next
    return found


def _first_line(error: BaseException) -> str:
    return describe_error(error).strip().partition("\n")[0]
