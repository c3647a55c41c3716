"""The kernel of DateParts: timestamps to numbers, as pandas computes them."""

from typing import Any

import numpy as np

from loading.plan.kernel import Columns, Head, NotCovered
from serving.rows import Rows
from serving.types import Array

_DAY = np.timedelta64(1, "D")
_EPOCH = np.datetime64(0, "ns")


def date_parts(step: Any, columns: Columns) -> Head:
    """Return what gives six columns per timestamp: days since 1970, year, month, day, day of the week, hour."""
    names = list(step.feature_names_in_)
    if names != [column.name for column in columns] or any(column.mlflow_type != "datetime" for column in columns):
        raise NotCovered("DateParts gets other columns than timestamps")

    def parts(rows: Rows) -> Array:
        found = np.empty((len(rows), 6 * len(names)))
        for at, name in enumerate(names):
            times = rows[name]
            days = times.astype("datetime64[D]")
            months = times.astype("datetime64[M]")
            number, month = days.astype(np.int64), months.astype(np.int64)
            part = found[:, 6 * at : 6 * at + 6]
            part[:, 0] = (times - _EPOCH) / _DAY
            part[:, 1] = month // 12 + 1970
            part[:, 2] = month % 12 + 1
            part[:, 3] = number - months.astype("datetime64[D]").astype(np.int64) + 1
            part[:, 4] = (number + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
            part[:, 5] = (times - days).astype("timedelta64[h]").astype(np.int64)
            missing = np.isnat(times)
            if missing.any():
                part[missing] = np.nan
        return found

    return parts
