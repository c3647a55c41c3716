"""Quoting, argument names and example queries, checked by GoogleSQL's own parser and evaluator."""

import dataclasses
import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot.dialects.bigquery import BigQuery

from model_loader import load
from serving.column_names import argument_names
from sql.names import RESERVED_KEYWORDS, identifier, predict_call, select_examples, string_literal
from tests import googlesql

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.mark.check
@given(TEXTS.map(lambda text: f"{text}!"))
@settings(max_examples=100, deadline=None)
def test_quoted_identifier_keeps_its_name(name: str) -> None:
    """GoogleSQL reads a quoted identifier as the very name, whatever characters it has."""
    assert json.loads(googlesql.to_json_string(f"STRUCT(1 AS {identifier(name)})")) == {name: 1}


@pytest.mark.check
@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_string_literal_keeps_its_text(text: str) -> None:
    """GoogleSQL evaluates a string literal to the very text."""
    assert json.loads(googlesql.to_json_string(string_literal(text))) == text


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("a", "a"),
        ("_1", "_1"),
        ("mean radius", "`mean radius`"),
        ("Höhe", "`Höhe`"),
        ("1st", "`1st`"),
        ("Select", "`Select`"),
    ],
)
def test_identifier_is_quoted_only_if_needed(name: str, quoted: str) -> None:
    """A name is quoted if it isn't an ASCII identifier or if it is a reserved word."""
    assert identifier(name) == quoted


def test_reserved_keywords_are_sqlglots() -> None:
    """The list in names.py, which can't import sqlglot, agrees with sqlglot's."""
    assert RESERVED_KEYWORDS == BigQuery.Generator.RESERVED_KEYWORDS


@pytest.mark.parametrize("word", sorted(RESERVED_KEYWORDS - {"qualify"}))  # which the parser reserves on demand only
def test_reserved_keyword_needs_quotes(word: str) -> None:
    """GoogleSQL's parser rejects every reserved word as a bare alias and takes it quoted."""
    with pytest.raises(Exception, match=r"Syntax error|must be followed by"):
        googlesql.statements(f"SELECT 1 AS {word}, 2 AS other")
    assert googlesql.statements(f"SELECT 1 AS {identifier(word)}, 2 AS other") == 1


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (["MedInc", "AveRooms"], ["MedInc", "AveRooms"]),
        (["mean radius", "mean-radius", "mean.radius"], ["mean_radius", "mean_radius_2", "mean_radius_3"]),
        (["A", "a"], ["A", "a_2"]),
        (["select", "Group", "row"], ["select", "Group", "row"]),
        (["1st", ""], ["_1st", "x1"]),
        (["Höhe", "日本"], ["Hohe", "__"]),
        (["a`b", "a'b", "a\nb", "a) RETURNS INT64; --"], ["a_b", "a_b_2", "a_b_3", "a__RETURNS_INT64____"]),
    ],
    ids=str,
)
def test_argument_names(columns: list[str], names: list[str]) -> None:
    """A column whose name can't be an argument's gets a similar name that no other column has."""
    assert argument_names(columns) == names


def test_argument_names_respect_max_length() -> None:
    """Long columns get names of at most 128 characters that still differ."""
    names = argument_names(["x" * 300, "x" * 301])
    assert len(set(names)) == 2
    assert all(len(name) <= 128 for name in names)


@pytest.mark.parametrize(("count", "call"), [(256, "ds.predict(t.x0, t.x1, "), (257, "ds.predict_row(TO_JSON(t))")])
def test_predict_call_beyond_max_arguments(count: int, call: str) -> None:
    """With more columns than BigQuery allows arguments, the row is passed as JSON."""
    assert predict_call([f"x{at}" for at in range(count)], "ds").startswith(call)


def test_select_examples_quote_columns(saved: Callable[[str], str]) -> None:
    """Columns keep the table's names, qualified so that none can be mistaken for the table's alias."""
    (_, _, sql), *_ = select_examples(load(saved("odd_names")))
    assert (
        sql == "SELECT ds.predict(t.`mean radius`, t.`select`, t.`Höhe (m)`, t.`1st`) AS result\nFROM ds.my_table AS t;"
    )


def test_select_examples_of_names_alike(saved: Callable[[str], str]) -> None:
    """Of columns that differ in case only, a table has one; the others have the names of their arguments."""
    model = load(saved("tree_regressor"))
    first, *others = model.signature.columns
    model.signature = dataclasses.replace(model.signature, columns=(dataclasses.replace(first, name="B"), *others))
    (_, _, sql), *_ = select_examples(model)
    assert sql.startswith("SELECT ds.predict(t.B, t.b_2, t.c, t.d) AS result\n")
