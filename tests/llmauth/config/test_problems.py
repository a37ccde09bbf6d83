"""Problems: how one reads, and in which order several are told."""

from llmauth.config.problems import ConfigError, Place, Problem


def problem(source: str, line: int | None, path: str = "a.b", message: str = "wrong") -> Problem:
    return Problem(place=Place(source=source, line=line), path=path, message=message)


def test_one_line_names_file_line_path_and_fault():
    assert str(problem("gateway.yaml", 14)) == "gateway.yaml:14: a.b: wrong"
    assert str(problem("environment variable PORT", None)) == "environment variable PORT: a.b: wrong"
    assert str(problem("gateway.yaml", 1, path="")) == "gateway.yaml:1: wrong"


def test_control_characters_are_escaped():
    """R3: a name in a file must not steer the terminal that shows the fault."""
    assert str(problem("f", 1, path="a\x1b[31m\nb")) == "f:1: a\\x1b[31m\\nb: wrong"


def test_all_are_listed_once_by_file_and_line():
    error = ConfigError([problem("b", 9), problem("a", 5), problem("b", 2), problem("b", 9)])
    assert [f"{one.place}" for one in error.problems] == ["b:2", "b:9", "a:5"]
    assert str(error).splitlines() == ["b:2: a.b: wrong", "b:9: a.b: wrong", "a:5: a.b: wrong"]
