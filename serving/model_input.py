"""From typed rows to what a model's own library takes: a DataFrame, an array, a Series of texts, or tensors.

No model gets memory that is used again: some change their input in place, and after an error rows are scored once more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from serving.rows import DecodedColumn, Rows
from serving.signature import Signature, Tensor
from serving.types import Array


@dataclass(frozen=True)
class InputForm:
    """How a model takes its rows.

    `kind` is "frame", "array" for a model to which an array of double columns means the same as a DataFrame, which
    takes longer to build, or "series" for a model that takes the texts of its only column. `missing_texts` maps a text
    column to the value that stands for NULL in it; that of any other is None.
    """

    kind: str = "frame"
    missing_texts: Mapping[str, Any] = field(default_factory=dict)

    def build(self, signature: Signature, rows: Rows) -> Any:
        """Return the model's input; its memory belongs to the model."""
        if signature.tensors:
            arrays = {tensor.name: _tensor(tensor, rows) for tensor in signature.tensors}
            return arrays.get(None, arrays)
        if self.kind == "array":
            return rows.array()
        if self.kind == "series":
            return self._frame(signature, rows).iloc[:, 0]
        return self._frame(signature, rows)

    def _frame(self, signature: Signature, rows: Rows) -> pd.DataFrame:
        """Return a DataFrame of typed columns.

        INT64 and BOOL columns that may be NULL get the pandas types Int64, Int32 and boolean, as BigQuery's own client
        returns them to the person who trained the model.
        """
        index, labels = pd.RangeIndex(len(rows)), signature.labels.view()  # a model may rename its columns' index
        if signature.all_double:
            return pd.DataFrame(rows.array(), index=index, columns=labels, copy=False)
        frame = self.frame_of(list(rows.columns.values()))
        frame.columns = labels
        return frame

    def frame_of(self, columns: Sequence[DecodedColumn]) -> pd.DataFrame:
        """Return a DataFrame of some columns, labelled by their names."""
        return pd.DataFrame(
            {
                decoded.column.name: decoded.column.type.to_pandas(
                    decoded.array, decoded.nulls, decoded.column.required, self.missing_texts.get(decoded.column.name)
                )
                for decoded in columns
            },
            index=pd.RangeIndex(len(columns[0].array)),
        )


def _tensor(tensor: Tensor, rows: Rows) -> Array:
    """Return a tensor of shape (rows, *tensor.shape), in the tensor's dtype."""
    columns = [rows[name] for name in tensor.columns]
    if tensor.as_json:
        return np.stack(list(columns[0])) if len(rows) else np.empty((0, *tensor.shape), tensor.dtype)
    stacked = np.column_stack(columns)
    if tensor.dtype == "str":
        stacked = stacked.astype(str)
    return np.ascontiguousarray(stacked).reshape(len(rows), *tensor.shape)
