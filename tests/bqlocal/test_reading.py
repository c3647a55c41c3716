"""Text files are read as people write them: what is clear gets its type, what isn't stays text and is named."""

import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bqlocal import SourceError
from bqlocal.tables import Reading, Table, read, sentences
from bqlocal.tables.numbers import NOTATIONS, notation_of, value


def load(folder: Path, content: str | bytes, *options: str, name: str = "t.csv") -> Table:
    """Read a file with this content."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(folder / name, Reading.parse(options))


# Content, rows, and part of what is said ("" if nothing is).
FILES: dict[str, tuple[str | bytes, list[dict[str, Any]], str]] = {
    "semicolon": ("a;b\nx;1,5\ny;2\n", [{"a": "x", "b": 1.5}, {"a": "y", "b": 2.0}], "delimiter is taken to be ';'"),
    "tab": ("a\tb\nx\t1\n", [{"a": "x", "b": 1}], "delimiter is taken to be tab"),
    "pipe": ("a|b\nx|1\n", [{"a": "x", "b": 1}], "delimiter is taken to be '|'"),
    "sep=": ("sep=;\na;b\nx;1\n", [{"a": "x", "b": 1}], "delimiter is taken to be ';'"),
    "latin-1": ("a,b\nKöln,1\n".encode("latin-1"), [{"a": "Köln", "b": 1}], "read as cp1252, with 'Köln'"),
    "utf-16": ("a,b\né,1\n".encode("utf-16"), [{"a": "é", "b": 1}], ""),
    "byte order mark": ("a,b\né,1\n".encode("utf-8-sig"), [{"a": "é", "b": 1}], ""),
    "carriage returns": ("a,b\rx,1\ry,2\r", [{"a": "x", "b": 1}, {"a": "y", "b": 2}], ""),
    "marked header": ("#a,b\nx,1\n", [{"a": "x", "b": 1}], ""),
    "comments": ("# made by, me\n#\na,b\nx,1\n", [{"a": "x", "b": 1}], ""),
    "header again": ("a,b\nx,1\na,b\ny,2\n", [{"a": "x", "b": 1}, {"a": "y", "b": 2}], "header, repeated in 1 row"),
    "empty rows": ("a,b\nx,1\n,\n , \n", [{"a": "x", "b": 1}], "2 rows without any value"),
    "row names of R": ("a,b\nr,x,1\ns,y,2\n", [{"column0": "r", "a": "x", "b": 1}, {"column0": "s", "a": "y", "b": 2}], "so the first column has no name"),
    "header alone": ("a,b", [], ""),
    "delimiter at the end": ("a,b\nx,1,\n", [{"a": "x", "b": 1, "column2": None}], ""),
    "lines in quotes": ('a,b\n"x\ny",1\n', [{"a": "x\ny", "b": 1}], ""),
}  # fmt: skip


@pytest.mark.parametrize(("content", "rows", "said"), FILES.values(), ids=FILES)
def test_layout(content: str | bytes, rows: list[dict[str, Any]], said: str, tmp_path: Path) -> None:
    """Delimiter, encoding and header are found, and a guess is said."""
    table = load(tmp_path, content)
    assert table.rows.to_pylist() == rows
    assert said in " ".join(table.notes) if said else not table.notes


# Values of a column, what they are read as, and part of what is said.
COLUMNS: dict[str, tuple[list[str], list[Any], str]] = {
    "decimal comma": (["2673,34", "1,5"], [2673.34, 1.5], "numbers with decimal ','"),
    "thousands": (["2,673.34", "1,234"], [2673.34, 1234.0], "numbers with thousands ','"),
    "both": (["1.234,5", "7"], [1234.5, 7.0], "decimal ',' and thousands '.'"),
    "Swiss": (["1'234.50", "7"], [1234.5, 7.0], 'thousands "\'"'),
    "narrow spaces": (["1\u202f234,5", "1\u00a0234"], [1234.5, 1234.0], "thousands ' '"),
    "India": (["12,34,567", "100"], [1234567.0, 100.0], "thousands ','"),
    "NULL words": (["1", "?", "--", "na", "n/a", " ", "NULL"], [1, *[None] * 6], "Read as NULL: '?', '--', 'na', 'n/a', 'NULL' in a"),
    "booleans": (["TRUE", "NA", "false"], [True, None, False], "'NA' in a"),
    "booleans and digits": (["True", "0", "1"], [True, False, True], "true and false: '0', '1', 'True' in a"),
    "infinity": (["1.5", "inf"], [1.5, float("inf")], ""),
    "infinity and commas": (["1,5", "-Inf"], [1.5, float("-inf")], "decimal ','"),
    "two meanings": (["1,234", "12,345"], ["1,234", "12,345"], "two numbers each: a ('1,234'); --read decimal="),
    "leading zeros": (["01234", "99999"], ["01234", "99999"], "Codes stay text: a ('01234')"),
    "letters in codes": (["77095", "M7A", "12345"], ["77095", "M7A", "12345"], "Codes stay text: a ('M7A')"),
    "hexadecimal": (["0x10", "0x1F"], ["0x10", "0x1F"], "Codes stay text: a ('0x10')"),
    "too many digits": (["12345678901234567890"], ["12345678901234567890"], "Codes stay text"),
    "currency": (["$5", "$2,673.34"], ["$5", "$2,673.34"], "look like numbers: a ('$5'); --read number=COLUMN"),
    "percent": (["15%", "7 %"], ["15%", "7 %"], "look like numbers: a ('15%')"),
    "other digits": (["١٢٣", "٤٥"], ["١٢٣", "٤٥"], "look like numbers"),
    "units": (["500 g", "1 kg"], ["500 g", "1 kg"], "several units and stay text: a ('500 g' and '1 kg')"),
    "a range": (["35", "36", "34 - 38"], ["35", "36", "34 - 38"], "a ('34 - 38' (in row 3)); --read number=COLUMN"),
    "NA of texts": (["NA", "EU"], ["NA", "EU"], "These may mean NULL"),
    "names": (["song 7", "song 8"], ["song 7", "song 8"], ""),
    "versions": (["1.2.3", "1.10.0", "1.2.12"], ["1.2.3", "1.10.0", "1.2.12"], ""),
    "day first": (["05/06/2024", "13/06/2024"], ["2024-06-05", "2024-06-13"], "dates DD/MM/YYYY: a"),
    "month first": (["1/2/2024", "1/22/2024"], ["2024-01-02", "2024-01-22"], "dates MM/DD/YYYY: a"),
    "two formats": (["09/20/15", "24-02-2015"], ["2015-09-20", "2015-02-24"], "MM/DD/YYYY and DD-MM-YYYY"),
    "either order": (["05/06/2024", "06/07/2024"], ["05/06/2024", "06/07/2024"], "--read dayfirst=true or dayfirst=false"),
    "year first?": (["15/03/27", "15/04/28"], ["15/03/27", "15/04/28"], "--read dayfirst=true or dayfirst=false"),
    "no such day": (["31/02/2024", "15/03/2024"], ["31/02/2024", "15/03/2024"], "'31/02/2024' (in row 1)"),
    "basic": (["20141013T000000"], ["2014-10-13 00:00:00"], ""),
    "half days": (["13/2/2024 1:30 PM"], ["2024-02-13 13:30:00"], "DD/MM/YYYY"),
    "zones": (["2024-01-01T10:00:00+02:00"], ["2024-01-01 08:00:00+00:00"], ""),
    "some zones": (["2024-01-01T10:00:00Z", "2024-01-01T10:00:00"], ["2024-01-01 10:00:00+00:00"] * 2, "as UTC where a time has no zone: a"),
    "words": (["5 June 2024", "1st Jan 2023"], ["2024-06-05", "2023-01-01"], ""),
    "German": (["5. März 2024"], ["2024-03-05"], ""),
    "Japanese": (["2024年6月5日"], ["2024-06-05"], ""),
    "durations": (["2h 50m", "19h"], ["2h 50m", "19h"], "Times stay text: a (durations such as '2h 50m')"),
    "times of day": (["10:30", "11:15"], ["10:30", "11:15"], "Times stay text: a (times of day such as '10:30')"),
    "months": (["Jan 2024"], ["Jan 2024"], "Times stay text"),
    "weeks": (["2024-W05", "2024-W6"], ["2024-W05", "2024-W6"], "weeks, quarters or halves of a year such as"),
    "German hours": (["1 Std. 30 Min.", "2 Std."], ["1 Std. 30 Min.", "2 Std."], "a (durations such as"),
    "sizes": (["2x3", "4x5"], ["2x3", "4x5"], ""),
}  # fmt: skip


@pytest.mark.parametrize(("values", "expected", "said"), COLUMNS.values(), ids=COLUMNS)
def test_column(values: list[str], expected: list[Any], said: str, tmp_path: Path) -> None:
    """A column has the type of all its values; one that can be read in two ways is text, and the option is named."""
    table = load(tmp_path, "a;b\n" + "".join(f'"{value}";x{at}y\n' for at, value in enumerate(values)))
    found = [str(each) if hasattr(each, "year") else each for each in table.rows["a"].to_pylist()]
    assert found == expected
    notes = [note for note in [*table.notes, *sentences(table.hints)] if "delimiter" not in note]
    assert said in " ".join(notes) if said else not notes


def test_reading_again(tmp_path: Path) -> None:
    """How a file was read can be kept as JSON; another file is then read in the same way, though it is ambiguous."""
    first = load(tmp_path, 'd,n,t\n13/06/2024,"1,5",7\n01/02/2024,2,x\n')
    kept = Reading.from_json(first.reading.to_json())
    assert kept == first.reading
    (tmp_path / "u.csv").write_text('d,n,t\n01/02/2024,"1,234",7\n')
    (row,) = read(tmp_path / "u.csv", kept).rows.to_pylist()
    assert (str(row["d"]), row["n"], row["t"]) == ("2024-02-01", 1.234, "7")
    (tmp_path / "v.csv").write_text("d,n,t\n01/02/2024,many,7\n")
    with pytest.raises(SourceError, match=r"'n' should hold numbers, but holds 'many' \(in row 1\)"):
        read(tmp_path / "v.csv", kept)


# Values, options, numbers, and part of what is said.
ASKED: dict[str, tuple[list[str], list[str], list[Any], str]] = {
    "currency": (["$ 1.200.000", "$ 5"], [], [1.2e6, 5.0], "as numbers: a ('$ 1.200.000' as 1200000)"),
    "percent": (["11 %", "7%"], [], [11.0, 7.0], "'11 %' as 11"),
    "at least": (["10,000+", "5,000,000+"], [], [1e4, 5e6], ""),
    "multipliers": (["19M", "201k", "Varies"], [], [19e6, 201e3, None], "Read as NULL: 'Varies' (in row 3) in a"),
    "plurals": (["1 Season", "2 Seasons"], [], [1.0, 2.0], ""),
    "metres": (["5 m", "7.5 m"], [], [5.0, 7.5], ""),
    "area": (["113.6㎡", "20㎡"], [], [113.6, 20.0], ""),
    "accounting": (["(1,234.50)", "5-"], [], [-1234.5, -5.0], ""),
    "Arabic": (["٣٫٥", "١٬٢٣٤٫٥"], [], [3.5, 1234.5], ""),
    "rupees": (["₹ 12,34,567", "₹ 5"], [], [1234567.0, 5.0], ""),
    "ranges": (["34 - 38", "35"], [], [None, 35.0], "'34 - 38' (in row 1)"),
    "codes": (["007", "8"], [], [7.0, 8.0], ""),
    "decimal": (["¥1,200", "¥300"], ["decimal=."], [1200.0, 300.0], ""),
}  # fmt: skip


@pytest.mark.parametrize(("values", "options", "expected", "said"), ASKED.values(), ids=ASKED)
def test_number_option(values: list[str], options: list[str], expected: list[Any], said: str, tmp_path: Path) -> None:
    """`number=COLUMN` reads currencies, units and digits of other scripts, and says what became NULL."""
    content = "a;b\n" + "".join(f'"{value}";x\n' for value in values)
    table = load(tmp_path, content, "number=a", *options)
    assert table.rows["a"].to_pylist() == pytest.approx(expected)
    assert said in " ".join(table.notes)


OPTIONS: dict[str, tuple[str, list[str], list[Any]]] = {
    "dayfirst": ("a\n05/06/2024\n", ["dayfirst=true"], ["2024-06-05"]),
    "month first": ("a\n05/06/2024\n", ["dayfirst=false"], ["2024-05-06"]),
    "thousands": ('a\n"1,234"\n', ["thousands=,"], [1234.0]),
    "decimal": ('a\n"1,234"\n', ["decimal=,"], [1.234]),
    "thousands points": ("a\n1.234\n", ["thousands=."], [1234.0]),
    "null marker": ("a\nNA\nEU\n", ["null-marker=NA"], [None, "EU"]),
    "delimiter": ("a^b\n1^x\n", ["delimiter=^"], [1]),
    "encoding": ("a\nж\n".encode("cp1251"), ["encoding=cp1251"], ["ж"]),
}  # fmt: skip


@pytest.mark.parametrize(("content", "options", "expected"), OPTIONS.values(), ids=OPTIONS)
def test_options(content: Any, options: list[str], expected: list[Any], tmp_path: Path) -> None:
    """An option takes the place of a guess."""
    found = load(tmp_path, content, *options).rows["a"].to_pylist()
    assert [str(each) if hasattr(each, "year") else each for each in found] == expected


REJECTED: dict[str, tuple[str | bytes, list[str], str]] = {
    "columns change": ("a,b\n1,2\n1,2,3\n", [], r"changes its columns: 1 row has .* row 2 with 3 instead of 2: '1,2,3'"),
    "title": ("Sales\n\na,b,c\n1,2,3\n", [], "'a,b,c'. Remove what stands above the header."),
    "doubled name": ("a,a\n1,2\n", [], "more than one column named 'a'"),
    "empty": ("", [], "is empty; expected a header"),
    "workbook": (b"PK\x03\x04", [], "is an Excel workbook or an archive, not text; save it as CSV"),
    "binary": (b"a,b\n\0\1", [], "is not a text file: it holds zero bytes"),
    "encoding": (b"a\n\xff\n", ["encoding=utf-8"], "is not text in utf-8: .*--read encoding=NAME"),
    "no number": ("a\nx\n", ["number=a"], "--read number=a: the column holds no numbers, for example 'x'"),
    "no column": ("a\nx\n", ["number=b"], "has no column 'b'; it has a"),
    "mixed units": ("a\n500 g\n1 kg\n", ["number=a"], "mixes units, such as '500 g' and '1 kg'"),
    "percent among shares": ("a\n15%\n0.15\n", ["number=a"], "mixes units"),
    "ambiguous": ('a\n"$1,234"\n', ["number=a"], r"'\$1,234' can be read as two numbers; add --read decimal="),
}  # fmt: skip


@pytest.mark.parametrize(("content", "options", "message"), REJECTED.values(), ids=REJECTED)
def test_unreadable(content: str | bytes, options: list[str], message: str, tmp_path: Path) -> None:
    """A file that can't be read is an error of one sentence."""
    with pytest.raises(SourceError, match=message):
        load(tmp_path, content, *options)


def test_wrong_options() -> None:
    """All options that are wrong are named at once, with what was expected."""
    wrong = ["delimeter=;", "decimal=x", "encoding=none", "dayfirst=maybe", "number", "delimiter=;", "delimiter=,"]
    with pytest.raises(SourceError) as failure:
        Reading.parse(wrong)
    lines = failure.value.message.splitlines()
    assert len(lines) == 6
    assert lines[0] == "--read 'delimeter=;': there is no option 'delimeter'; did you mean delimiter?"
    with pytest.raises(SourceError, match="are both ','"):
        Reading.parse(["decimal=,", "thousands=,"])


def test_suffixes(tmp_path: Path) -> None:
    """Compressed and tab-separated files and JSON lines are read by their suffix; a workbook is refused."""
    for name, content in {
        "t.csv.gz": gzip.compress(b"a,b\n1,x\n"),
        "t.tsv": b"a\tb\n1\tx\n",
        "t.jsonl": b'{"a": 1, "b": "x"}\n',
        "t.jsonl.gz": gzip.compress(b'{"a": 1, "b": "x"}\n'),
    }.items():
        table = load(tmp_path, content, name=name)
        assert table.rows.to_pylist() == [{"a": 1, "b": "x"}]
        assert table.notes == []
    with pytest.raises(SourceError, match=r"workbook .*; save the sheet as CSV"):
        load(tmp_path, b"", name="t.xlsx")


def test_json_lines(tmp_path: Path) -> None:
    """Values of several types in a column are texts, without JSON's quotes; an array of rows isn't JSON lines."""
    table = load(tmp_path, '{"a": "x"}\n{"a": 1.5}\n', name="t.jsonl")
    assert table.rows["a"].to_pylist() == ["x", "1.5"]
    with pytest.raises(SourceError, match="is not JSON lines; save it with one object per line"):
        load(tmp_path, '[{"a": 1}]', name="t.json")


def test_index_of_a_data_frame(tmp_path: Path) -> None:
    """In a Parquet file, an index without a name is left out, and one with a name is a column."""
    frame = pd.DataFrame({"a": [1.5, 2.5]}, index=[7, 9])
    frame.to_parquet(tmp_path / "t.parquet")
    table = read(tmp_path / "t.parquet")
    assert table.rows.column_names == ["a"]
    assert "__index_level_0__" in table.notes[0]
    frame.rename_axis("id").to_parquet(tmp_path / "t.parquet")
    assert sorted(read(tmp_path / "t.parquet").rows.column_names) == ["a", "id"]


@given(st.lists(st.from_regex(r"-?\d{1,4}([.,' ]\d{1,3}){0,3}", fullmatch=True), min_size=1, max_size=4))
def test_clear_notation(texts: list[str]) -> None:
    """Where a notation is chosen, every other one that fits gives the same numbers."""
    try:
        chosen = notation_of(texts)
    except ValueError:
        return
    for other in NOTATIONS:
        try:
            numbers = [value(text, other) for text in texts]
        except ValueError:
            continue
        assert chosen is not None
        assert numbers == [value(text, chosen) for text in texts]
