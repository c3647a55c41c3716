"""What a request must be answered with: JSON by Python's own parser, the calls value by value, one request at a time.

Nothing of what makes the function fast takes part: neither orjson's nor simdjson's parsing, nor numbers as a matrix,
nor requests that share a prediction.
"""

import json
import math
import warnings
from typing import Any

from model_loader import load
from serving import contract, functions, scoring
from serving.errors import ServingError
from serving.options import check_schema, read_options


def parsed(body: bytes) -> Any:
    """Return what a body means by RFC 8259, UTF-8 and numbers that FLOAT64 holds; ValueError where it is no JSON."""
    message = json.loads(body.decode("utf-8"), parse_constant=_refused, parse_float=_finite, parse_int=_whole)
    json.dumps(message, ensure_ascii=False).encode("utf-8")  # a lone surrogate is no character
    return message


def _refused(word: str) -> Any:
    raise ValueError(word)


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(text)
    return number


def _whole(text: str) -> int | float:
    """Return a whole number; as FLOAT64 where no integer of 64 bits holds it, which is how orjson documents it."""
    return int(text) if len(text) < 25 and -(2**63) <= int(text) < 2**64 else _finite(text)


class Reference:
    """The model in a folder, loaded here as well."""

    def __init__(self, folder: str) -> None:
        self._model = load(folder)
        self.signature = self._model.signature

    def answer(self, body: bytes, path: str) -> tuple[int, Any]:
        """Return the status and the replies, or status 400 and the message; for what is no JSON "is not JSON"."""
        try:
            message = parsed(body)
        except (ValueError, RecursionError):
            return 400, "is not JSON"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a model that sees an unknown category, which it may
            try:
                request = contract._request(message, None)
                function = functions.find(request.context, path)
                options = read_options(request.context, function.keys)
                check_schema(request.context, self.signature)
                replies = scoring.answer(self._model, function, options, request)
                return 200, json.loads(contract.encode(replies))["replies"]
            except ServingError as error:
                return error.status, str(error)
