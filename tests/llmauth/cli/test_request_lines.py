from __future__ import annotations

import pytest

from llmauth.cli.request_lines import clock, cost, duration, line, model, plain, size, table, tokens
from llmauth.hindsight.facts import brief
from llmauth.hindsight.remembered import Refusal
from tests.llmauth.hindsight.requests import remembered

ONE = {**brief(remembered()), "short": "req_91c2"}
EVIL = {**ONE, "path": "/v1/\x1b]0;owned\x07x", "asked": "gpt\x1b[31m\n\u202e", "user": "a\rb", "client": "\x9b1m"}


def test_a_row_says_who_where_to_and_what_it_cost() -> None:
    (row,) = table([{**ONE, "stream": False}], None)
    assert row == (
        "req_91c2  alice  forward  api.openai.com  /v1/chat/completions  gpt-5-mini  200  "
        "in 41,212 (cached 39,870) out 522 tok  $0.021  upstream 1.4 s  proxy 3 ms"
    )


def test_a_line_as_it_comes_has_the_clock_and_who_served() -> None:
    assert line(ONE, None) == (
        f"{clock(ONE['at'])}  req_91c2  alice  claude-cli/2.1  /v1/chat/completions  gpt-5-mini  stream  200  "
        "in 41,212 (cached 39,870) out 522  $0.021  ttft 900 ms  proxy 3 ms  served-by openai"
    )


def test_columns_stand_below_each_other() -> None:
    first, second = table([ONE, {**ONE, "user": "a-longer-name", "short": "req_00"}], None)
    assert first.index("forward") == second.index("forward")
    assert first.index("200") == second.index("200")


@pytest.mark.parametrize("width", [200, 120, 80, 60, 40])
def test_a_table_fits_its_terminal_and_keeps_how_it_ended(width: int) -> None:
    long = {**ONE, "path": "/v1/projects/" + "x" * 200, "asked": "anthropic.claude-3-5-sonnet-20240620-v1:0"}
    for row in table([long, ONE], width):
        assert len(row) <= max(width, 53)  # so much say id, status and tokens alone
        assert row.startswith("req_91c2")
        assert "200" in row
    assert len(line(long, width)) <= width


def test_without_a_terminal_nothing_is_cut() -> None:
    path = "/v1/projects/" + "x" * 250
    assert path in table([{**ONE, "path": path}], None)[0]


def test_wide_letters_are_counted_as_they_are_shown() -> None:
    from rich.cells import cell_len

    for row in table([{**ONE, "asked": "模型" * 60}, ONE], 100):
        assert cell_len(row) <= 100


def test_what_a_client_wrote_says_nothing_to_the_terminal() -> None:
    for text in (*table([EVIL], None), line(EVIL, None), *table([EVIL], 80)):
        assert text.isprintable()


def test_refusals_are_told_by_code_and_fault() -> None:
    refusal = Refusal("model_not_allowed", "policy", "", "", "", None, None)
    one = brief(remembered(status=403, refusal=refusal, usage=None, cost=None))
    assert "403  model_not_allowed (policy)" in table([one], None)[0]


def test_a_socket_is_told_by_its_bytes() -> None:
    one = brief(remembered(status=101, carried=(9410, 233_000), usage=None, streamed=False))
    assert "  wss  /v1/chat/completions  gpt-5-mini  101  in 9.4 kB out 233 kB" in line(one, None)


def test_who_answered_in_the_place_of_another_is_told() -> None:
    one = {"protocol": "openai", "asked": "gpt-oss-120b", "instance": "bedrock_us1", "answer": "passed"}
    assert model(one) == "gpt-oss-120b → bedrock_us1 (passed)"
    assert model({"asked": "gpt-5", "instance": "openai"}) == "gpt-5"


def test_one_that_runs_or_was_never_told_of_says_so() -> None:
    assert "running" in table([brief(remembered(status=None))], None)[0]
    assert "  ?" in table([{"request_id": "r", "host": "h", "recorded": True}], None)[0]


@pytest.mark.parametrize(
    ("money", "said"),
    [
        ("0.0000100", "$0.00001"),
        ("0.0213", "$0.021"),
        ("12.5", "$12.500"),
        ("0", "$0"),
        ("0.00912", "$0.009"),
        ("1E-9", "$0.000000001"),
        (None, ""),
        ("NaN", ""),
    ],
)
def test_money_shows_its_first_figure(money: str | None, said: str) -> None:
    assert cost(money) == said


def test_stretches_and_sizes_are_short() -> None:
    assert [duration(ms) for ms in (0.26, 2.4, 612.0, 999.4, 1400.0, None)] == [
        "0.26 ms",
        "2 ms",
        "612 ms",
        "999 ms",
        "1.4 s",
        "",
    ]
    assert [size(count) for count in (0, 71, 9_410, 233_000, 7_000_000, 2_000_000_000)] == [
        "0 B",
        "71 B",
        "9.4 kB",
        "233 kB",
        "7.0 MB",
        "2.0 GB",
    ]
    assert plain("a\tb") == "a\ufffdb"
    assert tokens({"unmetered": "not_told"}) == "tokens not_told"
