"""`${NAME}` and `${NAME:-default}`."""

import pytest

from llmauth.config.expansion import expand

ENVIRON = {"HOST": "db", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain $HOST and $", "plain $HOST and $"),
        ("${HOST}", "db"),
        ("a-${HOST}-${HOST:-x}-b", "a-db-db-b"),
        ("${NOT_SET:-fallback}", "fallback"),
        ("${EMPTY:-fallback}", "fallback"),
        ("[${EMPTY}]", "[]"),
        ("${NOT_SET:-}", ""),
        ("${NOT_SET:-a:-b}", "a:-b"),
        ("$${HOST}", "${HOST}"),
    ],
)
def test_expands(text, expected):
    result = expand(text, ENVIRON)
    assert (result.text, result.faults) == (expected, ())


def test_knows_the_variables_and_where_each_value_came_from():
    result = expand("${HOST}${NOT_SET:-x}", ENVIRON)
    assert [(e.name, e.from_default) for e in result.expansions] == [("HOST", False), ("NOT_SET", True)]


def test_what_was_expanded_is_not_expanded_again():
    assert expand("${A}", {"A": "${HOST}", **ENVIRON}).text == "${HOST}"


def test_unset_without_default_is_a_fault_that_names_the_variable():
    assert expand("${NOT_SET}", ENVIRON).faults == (
        "${NOT_SET} is not set; set it, or give a default: `${NOT_SET:-default}`",
    )


@pytest.mark.parametrize("text", ["${}", "${a-b}", "${HOST", "${1A}", "${A:-${HOST}}", "${HOST:=x}"])
def test_malformed_is_a_fault(text):
    assert any(fault.startswith("`${` begins a variable") for fault in expand(text, ENVIRON).faults)


def test_values_are_not_shown_by_repr():
    """R1."""
    assert "canary" not in repr(expand("${K}", {"K": "canary"}).expansions)
