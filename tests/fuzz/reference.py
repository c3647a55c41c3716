"""The reference implementation: Python's own JSON parser, value by value, one request at a time.

It uses none of the function's fast paths: no orjson or simdjson, no matrix of numbers, no shared predictions.
"""

import json
import math
import warnings
from typing import Any

from model_loader import load
from serving import contract, functions
from serving.errors import ServingError
from serving.options import check_schema, read_options
from tests.answers import answer


def parsed(body: bytes) -> Any:
    """Parse a body as RFC 8259 in UTF-8 with numbers in FLOAT64's range; raise ValueError for anything else."""
    message = json.loads(body.decode("utf-8"), parse_constant=_reject_constant, parse_float=_finite, parse_int=_whole)
    json.dumps(message, ensure_ascii=False).encode("utf-8")  # raises for a lone surrogate
    return message


def _reject_constant(word: str) -> Any:
    raise ValueError(word)


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(text)
    return number


def _whole(text: str) -> int | float:
    """Return a whole number, as a float if it does not fit into 64 bits: so does orjson, by its documentation."""
    return int(text) if len(text) < 25 and -(2**63) <= int(text) < 2**64 else _finite(text)


class Reference:
    """Answers requests for the model in a folder."""

    def __init__(self, folder: str) -> None:
        self._model = load(folder)
        self.signature = self._model.signature

    def answer(self, body: bytes, path: str) -> tuple[int, Any]:
        """Return the status with the replies or the error message, which for invalid JSON is just "is not JSON"."""
        try:
            message = parsed(body)
        except (ValueError, RecursionError):
            return 400, "is not JSON"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # models may warn about unknown categories
            try:
                request = contract.request_of(message)
                function = functions.find(request.context, path)
                options = read_options(request.context, function.keys)
                check_schema(request.context, self.signature)
                replies = answer(self._model, function, options, request)
                return 200, json.loads(contract.write(replies))["replies"]
            except ServingError as error:
                return error.status, str(error)
