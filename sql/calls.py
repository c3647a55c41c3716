"""How a query calls a model's SQL functions, for everything that writes queries around them."""

from dataclasses import dataclass

from serving.functions import SqlFunction
from serving.model import Model
from sql.names import callable_functions, identifier
from sql.settings import SqlSettings


@dataclass(frozen=True)
class Call:
    """A SQL function by its name in the dataset; `columns` are those that it is given of a row, if it takes columns."""

    name: str
    function: SqlFunction
    columns: tuple[str, ...]

    def arguments(self, row: str) -> str:
        """Return the arguments for a row of a query; `row` is the alias of its table."""
        if self.function.takes == "nothing":
            return ""
        if self.function.takes == "row":
            return f"TO_JSON({row})"
        return ", ".join(f"{row}.{column}" for column in self.columns)


def calls(model: Model, settings: SqlSettings) -> list[Call]:
    """Return each SQL function that a query can call, the one that predicts first."""
    columns = tuple(identifier(column.name) for column in model.signature.columns)
    return [
        Call(settings.routines(function)[-1], function, columns if function.takes == "columns" else ())
        for function in callable_functions(model)
    ]
