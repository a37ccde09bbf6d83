"""The record for others."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from llmauth.audit.chain import next_line
from llmauth.audit.export import Export, Wanted, as_csv, as_json
from llmauth.audit.heads import KEY, Signer
from llmauth.audit.records import Record, facts
from llmauth.audit.segments import Segment, begin, starting
from tests.fixtures.audits import administered, decided


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def write(home: Path, name: str, *records: tuple[float, Record]) -> Segment:
    segment = begin(home, Signer(KEY.load_or_create(home)), starting(name, "start"), 100.0)
    for at, record in records:
        segment.append(*next_line(segment.link, facts(record), at))
    segment.close()
    return segment


def ids(home: Path, **wanted: Any) -> list[str]:
    told = Export(home=home, wanted=Wanted(**wanted)).lines()
    return [line.get("request_id", line["kind"]) for line in told if line["kind"] != "start"]


@pytest.fixture
def two(home: Path) -> Path:
    write(home, "a.jsonl", (101.0, decided("r-1")), (103.0, decided("r-3", user="bob")), (105.0, administered()))
    write(home, "b.jsonl", (102.0, decided("r-2", instance="azure")), (104.0, decided("r-4", decision="deny")))
    return home


def test_all_processes_in_the_order_of_time(two: Path) -> None:
    assert ids(two) == ["r-1", "r-2", "r-3", "r-4", "admin"]


def test_those_that_are_asked_for(two: Path) -> None:
    assert ids(two, user="bob") == ["r-3"]
    assert ids(two, instance="azure") == ["r-2"]
    assert ids(two, kind="admin") == ["admin"]
    assert ids(two, since=102.0, until=104.0) == ["r-2", "r-3"]


def test_a_line_is_as_it_was_written_and_names_its_file(two: Path) -> None:
    out: list[str] = []
    as_json(Export(home=two).lines(), out.append)
    told = json.loads(next(line for line in out if "r-2" in line))
    assert (told["file"], told["seq"], told["at"], len(told["hash"])) == ("b.jsonl", 2, 102_000, 64)


def test_a_table_has_every_column_and_no_formula(home: Path) -> None:
    """A caller names the model, and somebody opens the table in a spreadsheet."""
    write(home, "a.jsonl", (101.0, decided("r-1", model="=cmd|'/C calc'!A0", decisions=("auth: a", "mode: b"))))
    out: list[str] = []
    as_csv(Export(home=home).lines(), out.append)
    rows = list(csv.DictReader(io.StringIO("".join(out))))
    assert rows[1]["model"].startswith("'=cmd")
    assert (rows[1]["groups"], rows[1]["decisions"]) == ("a b", "auth: a mode: b")
    assert rows[0]["kind"] == "start"


@pytest.mark.parametrize("model", ["a\x1b]0;mine\x07", "a\nb", "a\u202eb", "a\ud800", "\tx", "\r=1"])
def test_a_table_says_nothing_to_a_terminal(home: Path, model: str) -> None:
    write(home, "a.jsonl", (101.0, decided("r-1", model=model)))
    out: list[str] = []
    as_csv(Export(home=home).lines(), out.append)
    (_, row) = csv.DictReader(io.StringIO("".join(out)))
    assert row["model"].isprintable()
    assert "\N{REPLACEMENT CHARACTER}" in row["model"]
    "".join(out).encode()


def test_an_empty_table_has_its_head(home: Path) -> None:
    out: list[str] = []
    as_csv(Export(home=home).lines(), out.append)
    assert "".join(out).startswith("file,seq,at,kind,")


def test_what_nobody_was_told_of_is_left_out(home: Path) -> None:
    segment = write(home, "a.jsonl", (101.0, decided("r-1")))
    line, _ = next_line(segment.link, facts(decided("forged")), 102.0)
    with (home / "audit" / "a.jsonl").open("ab") as file:
        file.write(line)
    assert ids(home) == ["r-1"]


def test_what_cannot_be_read_is_counted(two: Path) -> None:
    file = two / "audit" / "a.jsonl"
    file.write_bytes(file.read_bytes().replace(b'{"', b"x{", 1))
    (two / "audit" / "c.jsonl").mkdir()
    export = Export(home=two)
    assert len(list(export.lines())) == 6
    assert export.unreadable == 2


def test_long_files_are_read_in_pieces(home: Path) -> None:
    write(home, "a.jsonl", *((101.0, decided(f"r-{number}", model="m" * 200)) for number in range(6000)))
    assert (home / "audit" / "a.jsonl").stat().st_size > 2 << 20
    assert ids(home) == [f"r-{number}" for number in range(6000)]
