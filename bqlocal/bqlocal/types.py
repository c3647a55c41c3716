"""The SQL types that remote functions may take and return, as Arrow and DuckDB represent them.

To add a type, add it to both tables and give it an encoder in `encoding.py` and a decoder in `decoding.py`.
"""

import pyarrow as pa

# DuckDB's decimals have 38 digits, half as many as a BIGNUMERIC; values that need more are errors.
ARROW_TYPES: dict[str, pa.DataType] = {
    "BOOL": pa.bool_(),
    "INT64": pa.int64(),
    "FLOAT64": pa.float64(),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.decimal128(38, 18),
    "STRING": pa.string(),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "TIME": pa.time64("us"),
    "JSON": pa.string(),
}
DUCKDB_TYPES = {
    "BOOL": "BOOLEAN",
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "NUMERIC": "DECIMAL(38, 9)",
    "BIGNUMERIC": "DECIMAL(38, 18)",
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "DATE": "DATE",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "TIME": "TIME",
    "JSON": "JSON",
}
TYPES = tuple(ARROW_TYPES)

# BigQuery passes a value of the first type to a parameter of the others without a CAST.
COERCIONS = {
    "INT64": ("NUMERIC", "BIGNUMERIC", "FLOAT64"),
    "NUMERIC": ("BIGNUMERIC", "FLOAT64"),
    "BIGNUMERIC": ("FLOAT64",),
    "DATE": ("DATETIME",),
}


def accepts(want: str, have: str) -> bool:
    """Return whether BigQuery passes a value of type `have`, NULL included, to a parameter or column of type `want`."""
    return have in (want, "NULL") or want in COERCIONS.get(have, ())
