"""Names that AWS allows: as they are, or replaced so that they can be told again."""

import re

from hypothesis import given
from hypothesis import strategies as st

from llmauth.codecs.converse.names import DocumentNames, ToolNames, call_id

TOOL, CALL = re.compile(r"[a-zA-Z0-9_-]{1,64}"), re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
DOCUMENT = re.compile(r"(?!.*  )[a-zA-Z0-9 ()\[\]-]{1,200}")
ANY = st.text(st.characters(codec=None), max_size=100)


def test_what_is_allowed_stays():
    assert call_id("toolu_01:A.b-c") == "toolu_01:A.b-c"
    assert ToolNames.sent("get-weather_2") == "get-weather_2"


def test_names_like_those_of_mcp_are_told_apart():
    names = ToolNames(["files.read", "files_read", "files/read"])
    wire = [names.sent(name) for name in ("files.read", "files_read", "files/read")]
    assert len(set(wire)) == 3
    assert [names.told(name) for name in wire] == ["files.read", "files_read", "files/read"]
    assert names.told("unheard_of") == "unheard_of"


@given(st.lists(ANY, unique=True, max_size=5))
def test_every_name_goes_and_comes_back(given_names):
    names = ToolNames(given_names)
    for name in given_names:
        assert TOOL.fullmatch(names.sent(name))
        assert names.told(names.sent(name)) == name


@given(ANY)
def test_every_id_fits_and_is_the_same_each_time(given_id):
    assert CALL.fullmatch(call_id(given_id))
    assert call_id(given_id) == call_id(given_id)


def test_long_ids_that_begin_alike_stay_apart():
    assert call_id("a" * 65) != call_id("a" * 66)


def test_documents_are_named_without_extension_and_no_two_alike():
    names = DocumentNames()
    assert [names.take(name) for name in ("Q3_report (v2).pdf", "Q3 report (v2).pdf", None, "…", "")] == [
        "Q3 report (v2)",
        "Q3 report (v2) 2",
        "document",
        "document 2",
        "document 3",
    ]


@given(st.lists(ANY | st.none() | st.just("a" * 300), max_size=6))
def test_every_document_gets_a_name_that_aws_takes(given_names):
    names = DocumentNames()
    taken = [names.take(name) for name in given_names]
    assert len(set(taken)) == len(taken)
    assert all(DOCUMENT.fullmatch(name) for name in taken)
