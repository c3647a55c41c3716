"""The GoogleSQL functions and casts that are answered here: a list of what was compared with real
GoogleSQL.

How to extend it: add an expression to `tests/local/expressions.txt`; the tests run it here and in GoogleSQL's
own implementation; when both agree, add its class here; when they do not, give it a function in
`googlesql.py` first. What DuckDB is known to answer otherwise stays off the list: DATE_ADD, DATE_TRUNC (they
return a DATETIME there), TIMESTAMP_DIFF (counts boundaries there), FORMAT, GREATEST and arrays out of bounds.

Known differences that are not caught: NaN compares as the largest number and equal to itself; a product of
FLOAT64 that overflows is infinite where BigQuery fails; AVG of NUMERIC is FLOAT64.
"""

from sqlglot import exp

CASTS = frozenset(
    {"BIGNUMERIC", "BOOL", "DATE", "DATETIME", "FLOAT64", "INT64", "NUMERIC", "STRING", "TIME", "TIMESTAMP"}
)

# What EXTRACT may take out of a date or a moment.
PARTS = frozenset({"YEAR", "QUARTER", "MONTH", "DAY", "DAYOFYEAR", "HOUR", "MINUTE", "SECOND"})

_LOGIC = {exp.And, exp.Or, exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Exists, exp.Cast, exp.TryCast}
_NUMBERS = {
    *(exp.Abs, exp.Ceil, exp.Exp, exp.Floor, exp.Ln, exp.Log, exp.Pow, exp.Round, exp.SafeDivide, exp.Sign),
    *(
        exp.Sqrt,
        exp.Trunc,
        exp.IsInf,
        exp.IsNan,
        exp.Acos,
        exp.Asin,
        exp.Atan,
        exp.Atan2,
        exp.Cos,
        exp.Sin,
        exp.Tan,
    ),
    *(exp.Rand,),
}
_STRINGS = {
    *(
        exp.Concat,
        exp.EndsWith,
        exp.Left,
        exp.Length,
        exp.Lower,
        exp.Pad,
        exp.Repeat,
        exp.Replace,
        exp.Reverse,
    ),
    *(exp.Right, exp.StartsWith, exp.StrPosition, exp.Substring, exp.Trim, exp.Upper),
    *(exp.RegexpExtract, exp.RegexpLike, exp.RegexpReplace, exp.Split, exp.ArrayToString),
    *(exp.LowerHex, exp.ToBase64, exp.FromBase64, exp.Uuid),
}
_TIMES = {
    *(
        exp.CurrentDate,
        exp.CurrentTimestamp,
        exp.Date,
        exp.DateDiff,
        exp.DateFromParts,
        exp.Extract,
        exp.LastDay,
    ),
    *(exp.DatetimeAdd, exp.DatetimeTrunc, exp.TimestampAdd, exp.TimestampSub, exp.TimestampTrunc),
    *(
        exp.StrToDate,
        exp.TimeToStr,
        exp.TsOrDsToDate,
        exp.TsOrDsToTimestamp,
        exp.UnixDate,
        exp.UnixSeconds,
        exp.UnixMillis,
        exp.WeekStart,
    ),
}
_AGGREGATES = {
    *(
        exp.AnyValue,
        exp.ApproxDistinct,
        exp.ArrayAgg,
        exp.Avg,
        exp.Corr,
        exp.Count,
        exp.CountIf,
        exp.CovarPop,
    ),
    *(exp.GroupConcat, exp.LogicalAnd, exp.LogicalOr, exp.Max, exp.Min, exp.Sum),
    *(exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Variance, exp.VariancePop),
}
_WINDOWS = {
    *(exp.DenseRank, exp.FirstValue, exp.Lag, exp.Lead, exp.Ntile, exp.PercentRank, exp.Rank, exp.RowNumber),
}
_ARRAYS = {exp.Array, exp.ArrayConcat, exp.ArraySize, exp.GenerateSeries, exp.Struct, exp.Unnest}
_JSON = {exp.JSONExtractScalar, exp.JSONFormat, exp.ParseJSON}

FUNCTIONS: frozenset[type] = frozenset().union(
    _LOGIC, _NUMBERS, _STRINGS, _TIMES, _AGGREGATES, _WINDOWS, _ARRAYS, _JSON
)
