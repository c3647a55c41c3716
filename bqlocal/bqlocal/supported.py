"""The GoogleSQL functions and casts that are answered here: a list of what was compared with real
GoogleSQL.

How to extend it: add an expression to `tests/bqlocal/expressions.txt`; the tests run it here and in GoogleSQL's
own implementation; when both agree, add its class of sqlglot here; when they do not, rewrite it in
`rewrites.py` or give it a function in `googlesql.py` first.

Known differences that are not caught: NaN compares as the largest number and equal to itself, in LEAST too; a
product of FLOAT64 that overflows is infinite where BigQuery fails; AVG of NUMERIC is FLOAT64.
"""

from sqlglot import exp

CASTS = frozenset(
    {"BIGNUMERIC", "BOOL", "DATE", "DATETIME", "FLOAT64", "INT64", "NUMERIC", "STRING", "TIME", "TIMESTAMP"}
)

# What EXTRACT may take out of a date or a moment.
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
    CurrentDate CurrentTimestamp Date DateAdd DateDiff DateFromParts DateSub DateTrunc DatetimeAdd DatetimeTrunc
    Extract LastDay StrToDate TimestampAdd TimestampDiff TimestampSub TimestampTrunc TimeToStr TsOrDsToDate
    TsOrDsToTimestamp UnixDate UnixMillis UnixSeconds WeekStart
    AnyValue ApproxDistinct ArrayAgg Avg Corr Count CountIf CovarPop GroupConcat LogicalAnd LogicalOr Max Min Stddev
    StddevPop StddevSamp Sum Variance VariancePop
    CumeDist DenseRank FirstValue Lag LastValue Lead NthValue Ntile PercentRank Rank RowNumber
    Array ArrayConcat ArraySize GenerateSeries Struct Unnest JSONExtractScalar JSONFormat ParseJSON
"""

FUNCTIONS: frozenset[type] = frozenset(getattr(exp, name) for name in _NAMES.split())
