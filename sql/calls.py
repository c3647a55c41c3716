"""How a query calls a model's SQL functions, for everything that writes queries around them."""

from dataclasses import dataclass

from serving.functions import SqlFunction
from serving.model import Model
from sql.names import call_arguments, callable_functions, identifier
from sql.settings import SqlSettings


@dataclass(frozen=True)
class Call:
    """A SQL function by its name in the dataset; `columns` are the model's, quoted where necessary."""

    name: str
    function: SqlFunction
    columns: tuple[str, ...]

    def arguments(self, row: str) -> str:
        """Return the arguments for a row of a query; `row` is the alias of its table."""
        return call_arguments(self.function.takes, self.columns, row)


def calls(model: Model, settings: SqlSettings) -> list[Call]:
    """Return each SQL function that a query can call, the one that predicts first."""
    columns = tuple(identifier(column.name) for column in model.signature.columns)
    return [Call(settings.routines(function)[-1], function, columns) for function in callable_functions(model)]
