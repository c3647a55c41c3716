"""Values in requests and replies, compared with what GoogleSQL's own implementation writes."""

import json
import random
import struct
from collections.abc import Callable

import pyarrow as pa
import pytest

from bqlocal import BigQuery
from bqlocal.encoding import encode
from tests.bqlocal.conftest import Create
from tests.endpoint import Endpoint

# GoogleSQL expressions by type, edges included.
VALUES = {
    "BOOL": ["TRUE", "FALSE"],
    "INT64": [
        *("0", "-1", "9007199254740992", "9007199254740993", "-9007199254740992", "-9007199254740993"),
        *("9223372036854775807", "-9223372036854775807"),
    ],
    "FLOAT64": [
        *("1.0", "-0.0", "0.1", "2.0/3", "0.1+0.2", "1e15", "1e16", "123456789.0", "123456789012345680.0"),
        *("1e300", "1.7976931348623157e308", "5e-324", "2.2250738585072014e-308", "1e-5", "0.0001", "1.1e-7"),
        *("CAST('nan' AS FLOAT64)", "CAST('inf' AS FLOAT64)", "CAST('-inf' AS FLOAT64)"),
    ],
    "NUMERIC": [
        *("NUMERIC '0'", "NUMERIC '1.50'", "NUMERIC '-0.5'", "NUMERIC '123.56'", "NUMERIC '0.000000001'"),
        *("NUMERIC '9007199254740992'", "NUMERIC '9007199254740993'", "NUMERIC '-9007199254740993'"),
        "NUMERIC '99999999999999999999999999999.999999999'",
    ],
    "BIGNUMERIC": [
        *("BIGNUMERIC '1'", "BIGNUMERIC '0.000000000000000001'", "BIGNUMERIC '9007199254740993'"),
        "BIGNUMERIC '12345678901234567890.123456789012345678'",
    ],
    "STRING": [
        "''",
        "'abc'",
        "'é 😀 \"quoted\" \\\\ / < '",
        r"'line\nend\ttab\u2028\u2029\x01'",
        "'NaN'",
        "'1'",
    ],
    "BYTES": ["b''", "b'abc'", r"b'\x00\xff\n'"],
    "DATE": ["DATE '2017-03-06'", "DATE '0001-01-01'", "DATE '9999-12-31'"],
    "DATETIME": [
        "DATETIME '2017-03-06 12:34:56'",
        "DATETIME '2017-03-06 12:34:56.5'",
        "DATETIME '2017-03-06 12:34:56.123456'",
        "DATETIME '0001-01-01 00:00:00'",
        "DATETIME '9999-12-31 23:59:59.999999'",
    ],
    "TIMESTAMP": [
        "TIMESTAMP '2017-03-06 12:34:56+00'",
        "TIMESTAMP '2017-03-06 12:34:56.789+02'",
        "TIMESTAMP '2017-03-06 12:34:56.000001-08'",
        "TIMESTAMP '0001-01-01 00:00:00+00'",
        "TIMESTAMP '9999-12-31 23:59:59.999999+00'",
    ],
    "TIME": ["TIME '12:34:56'", "TIME '12:34:56.789'", "TIME '00:00:00.000001'"],
    "JSON": [
        *('JSON \'{"b": [1, 2.50, null], "a": {"c": "x"}}\'', "JSON '1.0'", "JSON '\"x\"'", "JSON 'true'"),
        *(
            "TO_JSON(STRUCT(2 AS b, 1.0 AS a, 'x' AS c))",
            "TO_JSON(9007199254740993)",
            "TO_JSON(NUMERIC '0.5')",
        ),
        *("TO_JSON(STRUCT([1, 2] AS l, DATE '2020-01-02' AS d, CAST(NULL AS STRING) AS n))", "TO_JSON(-0.0)"),
        *("TO_JSON(STRUCT(CAST('nan' AS FLOAT64) AS f, b'abc' AS b, JSON '{\"y\": 1}' AS j))",),
        *("TO_JSON(NUMERIC '12345678901234567890123456789')", "TO_JSON(STRUCT(STRUCT(TRUE AS x) AS s))"),
    ],
}
CASES = [
    pytest.param(sql_type, value, id=f"{sql_type} {value}") for sql_type, values in VALUES.items() for value in values
]


@pytest.mark.parametrize(("sql_type", "value"), CASES)
def test_round_trip(
    sql_type: str,
    value: str,
    bigquery: BigQuery,
    endpoint: Endpoint,
    create: Create,
    googlesql: Callable[[str], str],
) -> None:
    """An argument is sent as GoogleSQL writes it, and comes back as the same value."""
    endpoint.answer = endpoint.echoing
    create(f"ds.f(x {sql_type})", sql_type)
    result = bigquery.sql(f"SELECT TO_JSON_STRING(ds.f({value}))")
    written = googlesql(value)
    assert endpoint.calls == [[json.loads(written)]]
    assert result.table["f0_"].to_pylist() == [written]


@pytest.mark.parametrize("sql_type", VALUES)
def test_null(sql_type: str, bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """NULL is sent and received as null."""
    endpoint.answer = endpoint.echoing
    create(f"ds.f(x {sql_type})", sql_type)
    result = bigquery.sql("SELECT ds.f(NULL) AS a")
    assert endpoint.calls[0] == [None]
    assert result.table["a"].to_pylist() == [None]


def test_random_floats(googlesql: Callable[[str], str]) -> None:
    """FLOAT64 values of any magnitude are written digit by digit as GoogleSQL writes them."""
    generator = random.Random(0)
    values = [struct.unpack("d", generator.randbytes(8))[0] for _ in range(150)]
    values += [round(generator.uniform(-1e4, 1e4), digits) for digits in range(10) for _ in range(10)]
    values = [value for value in values if value == value]
    literals = ", ".join(f"CAST('{value!r}' AS FLOAT64)" for value in values)
    written = googlesql(f"[{literals}]").removeprefix("[").removesuffix("]").split(",")
    assert encode("FLOAT64", pa.array(values, pa.float64())) == written


def test_exact_text() -> None:
    """The text, not only the value that it parses to, is GoogleSQL's."""
    assert encode("FLOAT64", pa.array([1.0, -0.0, 1e300, 2 / 3])) == [
        "1",
        "0",
        "1e+300",
        "0.66666666666666663",
    ]
    assert encode("STRING", pa.array(["\u2028\x01é"])) == ['"\\u2028\\u0001é"']
