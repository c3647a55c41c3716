"""Splits a text file into columns of texts: encoding, delimiter, header, and rows that aren't rows.

Nothing is typed here. An empty field is NULL; an empty text in quotes is an empty text, as BigQuery loads it.
"""

import codecs
import csv
import gzip
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from bqlocal.errors import SourceError, quantity
from bqlocal.tables.reading import Reading

DELIMITERS = ",;\t|"  # those that are guessed
HEAD = 200_000  # characters that decide about the delimiter
WESTERN = "cp1252"  # latin-1 with the quotes and dashes of Windows
_NAMES = {"\t": "tab", " ": "space"}


@dataclass(frozen=True)
class Text:
    """The columns of a text file, in which every value is a text or NULL."""

    columns: dict[str, pa.ChunkedArray]
    rows: np.ndarray  # the number of each row in the file, counted from 1 below the header
    unnamed: tuple[str, ...]  # columns without a name in the header, by the name that they got
    reading: Reading  # with the delimiter and the encoding that were used
    notes: list[str]


def read(path: Path, reading: Reading) -> Text:
    """Return the columns of a file with delimiters; raise SourceError if it has no rows and columns."""
    notes: list[str] = []
    content, encoding = _decoded(path, reading.encoding, notes)
    head = content[:HEAD].decode(errors="ignore")
    delimiter, lines, names = _header(head, path, reading.delimiter, len(content) <= HEAD, notes)
    suffix = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if reading.delimiter is None and delimiter != ("\t" if suffix == "tsv" else ","):
        notes.append(f"The delimiter is taken to be {shown(delimiter)}; --read delimiter=CHARACTER sets another.")
    names, unnamed = _named(names, path)
    table = _rows(content, delimiter, lines, names, path)
    columns, rows = _without_other_rows(dict(zip(names, table.columns, strict=True)), notes)
    return Text(columns, rows, unnamed, replace(reading, delimiter=delimiter, encoding=encoding), notes)


def shown(delimiter: str) -> str:
    """Return the delimiter as `--read delimiter=` takes it."""
    return _NAMES.get(delimiter, repr(delimiter))


def other_delimiter(names: Sequence[str], wanted: str) -> str | None:
    """Return the character that would make a column of this name out of one of the names, if there is one."""
    for name in names:
        for mark in dict.fromkeys(re.findall(r"[^\w\"]", name)):
            if wanted != name and wanted in [part.strip().strip('"') for part in name.split(mark)]:
                return str(mark)
    return None


def _decoded(path: Path, encoding: str | None, notes: list[str]) -> tuple[bytes, str]:
    """Return the content in UTF-8 without a byte order mark, and the encoding that it has in the file."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise SourceError(f"Cannot read {str(path)!r}: {getattr(error, 'strerror', None) or error}.") from error
    if content[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"PAR1"):
        kind = "Parquet" if content[:4] == b"PAR1" else "an Excel workbook or an archive"
        raise SourceError(f"{str(path)!r} is {kind}, not text; save it as CSV, or give it its own suffix.")
    if encoding is None:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            encoding = "utf-16"
        elif _is_utf8(content):
            return content.removeprefix(codecs.BOM_UTF8), "utf-8"
        else:
            encoding = WESTERN
            other = next((each for each in re.findall(rb"[^\s,;|\"]*[\x80-\xff][^\s,;|\"]*", content)), b"")
            example = other.decode(encoding, errors="replace")[:40]
            notes.append(
                f"The file is not UTF-8 and is read as {encoding}, with {example!r}; --read encoding=NAME sets another."
            )
    try:
        text = content.decode(encoding)
    except UnicodeError as error:
        raise SourceError(
            f"{str(path)!r} is not text in {encoding}: {error}. Set it by --read encoding=NAME."
        ) from error
    if "\0" in text:
        raise SourceError(f"{str(path)!r} is not a text file: it holds zero bytes. Save it as CSV in UTF-8.")
    return text.removeprefix("\ufeff").encode(), encoding


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def _header(head: str, path: Path, mark: str | None, is_whole: bool, notes: list[str]) -> tuple[str, int, list[str]]:
    """Return the delimiter, the number of lines to skip, and the names of the columns."""
    declared = re.match(r"sep=(.)\r?\n?", head)  # written by Excel
    skipped = 1 if declared else 0
    body = head[declared.end() :] if declared else head
    # Comments come before the header, which may begin with a mark of its own.
    comments: list[str] = []
    while match := re.match(r"#[^\r\n]*(?:\r\n|\n|\r|$)|[ \t]*(?:\r\n|\n|\r)", body):
        comments.append(match[0])
        body = body[match.end() :]
        if not body:
            break
    skipped += len(comments)
    delimiter = mark or (declared[1] if declared else _delimiter(body, is_whole))
    rows = _parsed(body, delimiter)
    first = next(rows, ([], 0))
    marked = [line for line in comments if line.startswith("#")]
    if marked:
        names = next(_parsed(marked[-1].lstrip("#"), delimiter), ([], 0))[0]
        if len(names) > 1 and len(names) == len(first[0]) and any(map(_is_data, first[0])):
            return delimiter, skipped, names
        if not first[0] and names:
            return delimiter, skipped, names
    if not any(name.strip() for name in first[0]):
        raise SourceError(f"{str(path)!r} is empty; expected a header with the names of the columns.")
    names, skipped = first[0], skipped + first[1]
    following = [row for row, _ in zip((row for row, _ in rows), range(100), strict=False)][: None if is_whole else -1]
    if following and all(len(row) == len(names) + 1 for row in following if row):
        # R leaves out the name of the row names; others end every line with the delimiter.
        if not any(row[-1] for row in following if row):
            return delimiter, skipped, [*names, ""]
        notes.append("Each row has one value more than the header has names, so the first column has no name.")
        names = ["", *names]
    return delimiter, skipped, names


def _is_data(value: str) -> bool:
    """Tell whether a value is more likely data than the name of a column."""
    return bool(re.fullmatch(r"\s*|[-+$€£]?\s*[\d.,]+(?:[-/:]\d+)*\s*%?|\d{4}-\d\d-\d\d.*", value))


def _parsed(text: str, delimiter: str) -> Iterator[tuple[list[str], int]]:
    """Yield the fields of each line, and the number of lines so far."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            yield row, reader.line_num
    except csv.Error:  # such as a field of more than 128 kB
        return


def _delimiter(body: str, is_whole: bool) -> str:
    """Return the delimiter by which most rows have as many fields as the header, and the header the most."""

    def score(delimiter: str) -> tuple[float, int]:
        counts = [len(row) for row, _ in _parsed(body, delimiter) if row]
        counts = counts if is_whole or len(counts) < 2 else counts[:-1]
        if not counts or counts[0] < 2:
            return 0.0, 0
        same = sum(count - counts[0] in (0, 1) for count in counts[1:]) / max(1, len(counts) - 1)
        return round(same, 1), counts[0]

    return max(DELIMITERS, key=score)


def _named(names: Sequence[str], path: Path) -> tuple[list[str], tuple[str, ...]]:
    """Return the names of all columns, and those that were made up; raise SourceError for doubled ones."""
    stripped = [name.strip() for name in names]
    doubled = sorted({name for name in stripped if name and stripped.count(name) > 1})
    if doubled:
        raise SourceError(
            f"{str(path)!r} has more than one column named {', '.join(map(repr, doubled))}; rename all but one."
        )
    made_up = {at: f"column{at}" for at, name in enumerate(stripped) if not name}
    return [made_up.get(at, name) for at, name in enumerate(stripped)], tuple(made_up.values())


def _rows(content: bytes, delimiter: str, lines: int, names: Sequence[str], path: Path) -> pa.Table:
    """Return the rows below the header; raise SourceError if some have another number of values."""
    fields = [str(at) for at in range(len(names))]
    wrong: list[arrow_csv.InvalidRow] = []

    def skip(row: arrow_csv.InvalidRow) -> str:
        wrong.append(row)
        return "skip"

    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(content),
            arrow_csv.ReadOptions(column_names=fields, skip_rows=lines, use_threads=False),
            arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(fields, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error) or "Could not skip" in str(error):  # there is nothing below the header
            return pa.table({name: pa.array([], pa.string()) for name in fields})
        raise SourceError(f"{str(path)!r} cannot be read as CSV: {' '.join(str(error).split())}.") from error
    if wrong:
        first = wrong[0]
        where = f"row {first.number - lines}" if first.number is not None else "one"
        count = quantity(len(wrong), "row has", "rows have")
        advice = "Correct these rows, or save each table as a file of its own."
        raise SourceError(
            f"{str(path)!r} changes its columns: {count} another number of values than the header, the first being "
            f"{where} with {first.actual_columns} instead of {first.expected_columns}: {first.text[:60]!r}. "
            f"{advice if len(table) else 'Remove what stands above the header.'}"
        )
    return table


def _without_other_rows(
    columns: dict[str, pa.ChunkedArray], notes: list[str]
) -> tuple[dict[str, pa.ChunkedArray], np.ndarray]:
    """Leave out rows without any value and repeated headers; return the columns and the numbers of their rows."""
    count = len(next(iter(columns.values())))
    is_empty, is_header = np.ones(count, bool), np.ones(count, bool)
    for name, column in columns.items():
        if is_empty.any():
            blank = pc.equal(pc.utf8_trim_whitespace(column), "")
            is_empty &= pc.fill_null(blank, True).to_numpy(zero_copy_only=False)
        if is_header.any():
            same = pc.equal(pc.utf8_trim_whitespace(column), name)
            is_header &= pc.fill_null(same, re.fullmatch(r"column\d+", name) is not None).to_numpy(zero_copy_only=False)
    is_header &= ~is_empty
    if is_empty.any():
        notes.append(f"Left out: {quantity(int(is_empty.sum()), 'row')} without any value.")
    if is_header.any():
        notes.append(f"Left out: the header, repeated in {quantity(int(is_header.sum()), 'row')}.")
    kept = ~(is_empty | is_header)
    rows = np.arange(1, count + 1)
    if kept.all():
        return columns, rows
    mask = pa.array(kept)
    return {name: column.filter(mask) for name, column in columns.items()}, rows[kept]
