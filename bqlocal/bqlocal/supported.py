"""The GoogleSQL functions and casts that bqlocal answers, each compared with GoogleSQL's own implementation.

To add one, add an expression to `tests/bqlocal/expressions.txt`; the tests evaluate it here and in GoogleSQL. Where the
two agree, add its sqlglot class below. Where they differ, first rewrite it in `rewrites.py` or implement it in
`googlesql.py`.

Known differences that nothing catches: NaN compares as the largest number and as equal to itself, in LEAST too; a
FLOAT64 product that overflows is infinite where BigQuery fails; AVG of NUMERIC is FLOAT64; texts such as '2020/01/02',
'2020-01-02 03:04' and a DATETIME's text with a time zone are read where BigQuery fails.
"""

from sqlglot import exp

CASTS = frozenset(
    {"BIGNUMERIC", "BOOL", "DATE", "DATETIME", "FLOAT64", "INT64", "NUMERIC", "STRING", "TIME", "TIMESTAMP"}
)

# The parts that EXTRACT may take from a date or a time.
PARTS = frozenset(
    {
        *("YEAR", "ISOYEAR", "QUARTER", "MONTH", "ISOWEEK", "DAY", "DAYOFWEEK", "DAYOFYEAR"),
        *("HOUR", "MINUTE", "SECOND"),
    }
)

_NAMES = """
    And Or Case If Coalesce Nullif Exists Cast TryCast Greatest Least
    Abs Ceil Exp Floor Ln Log Pow Round SafeDivide Sign Sqrt Trunc IsInf IsNan Acos Asin Atan Atan2 Cos Sin Tan Rand
    Concat EndsWith Format Left Length Lower Pad Repeat Replace Reverse Right StartsWith StrPosition Substring Trim
    Upper RegexpExtract RegexpLike RegexpReplace Split ArrayToString LowerHex ToBase64 FromBase64 Uuid
    CurrentDate CurrentTimestamp Date DateAdd DateDiff DateFromParts DateFromUnixDate DateSub DateTrunc Datetime
    DatetimeAdd DatetimeTrunc Extract LastDay ParseDatetime StrToDate StrToTime Time TimeFromParts Timestamp
    TimestampAdd TimestampDiff TimestampFromParts TimestampSub TimestampTrunc TimeToStr TsOrDsToDate TsOrDsToDatetime
    TsOrDsToTime TsOrDsToTimestamp UnixDate UnixMicros UnixMillis UnixSeconds UnixToTime WeekStart
    AnyValue ApproxDistinct ArrayAgg Avg Corr Count CountIf CovarPop GroupConcat LogicalAnd LogicalOr Max Min Stddev
    StddevPop StddevSamp Sum Variance VariancePop
    CumeDist DenseRank FirstValue Lag LastValue Lead NthValue Ntile PercentRank Rank RowNumber
    Array ArrayConcat ArraySize GenerateSeries Struct Unnest
    Float64 Int64 JSONBool JSONExtract JSONExtractScalar JSONFormat JSONType ParseJSON String
"""

FUNCTIONS: frozenset[type] = frozenset(getattr(exp, name) for name in _NAMES.split())
