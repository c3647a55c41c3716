"""The dtypes of tensors: one row per NumPy dtype that a model may take, beside the MLflow types of columns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serving import json_type
from serving.json_type import BadValue
from serving.types import TYPES, Array, Decoder, MlflowType


def _decode_whole(dtype: str) -> Decoder:
    limits = np.iinfo(dtype)

    def decode(values: Sequence[Any], value_types: set[type], detail: Mapping[str, Any] | None) -> Array:
        wide = TYPES["long"].decode(values, value_types, detail)
        if len(wide) and not limits.min <= int(wide.min()) <= int(wide.max()) <= limits.max:
            raise BadValue(f"the tensor's dtype {dtype} holds {limits.min} to {limits.max}")
        return wide.astype(dtype)

    return decode


def _decode_half(values: Sequence[Any], value_types: set[type], detail: Mapping[str, Any] | None) -> Array:
    wide = TYPES["double"].decode(values, value_types, detail)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float16)
    if (np.isinf(narrow) & ~np.isinf(wide)).any():
        raise BadValue("the tensor's dtype float16 ends at 65504")
    return narrow


def _decode_array(values: Sequence[Any], _: set[type], detail: Mapping[str, Any] | None) -> Array:
    """Return an object array of arrays; `detail` has the `dtype` and the `shape` of each."""
    assert detail
    element, shape = TENSOR_TYPES[detail["dtype"]], tuple(detail["shape"])
    arrays = np.empty(len(values), object)
    for row, value in enumerate(values):
        flat = _flat(value, shape, shape)
        array = element.decode(flat, set(map(type, flat)), None)
        arrays[row] = (array.astype(str) if detail["dtype"] == "str" else array).reshape(shape)
    return arrays


def _flat(value: Any, shape: tuple[int, ...], whole: tuple[int, ...]) -> list[Any]:
    """Return the elements of nested lists of this shape."""
    if not shape:
        return [value]
    if type(value) is not list or len(value) != shape[0]:
        raise BadValue(f"expected an array of shape {list(whole)}")
    return [element for inner in value for element in _flat(inner, shape[1:], whole)]


# The dtypes that columns have too -> the MLflow type of such a column.
COLUMN_TYPES = {row.dtype.name: name for name, row in TYPES.items() if row.dtype.kind in "fib"}
TENSOR_TYPES: dict[str, MlflowType] = {
    **{dtype: TYPES[name] for dtype, name in COLUMN_TYPES.items()},
    "float16": MlflowType("FLOAT64", np.dtype(np.float16), _decode_half, json_type.encode_float64),
    "str": TYPES["string"],
    "tensor": MlflowType("JSON", np.dtype(object), _decode_array, json_type.encode),
} | {
    dtype: MlflowType("INT64", np.dtype(dtype), _decode_whole(dtype), TYPES["long"].encode)
    for dtype in ("int8", "int16", "uint8", "uint16", "uint32", "uint64")
}
