"""Log lines: their two forms, what never gets into them, and streams that break."""

import asyncio
import io
import json
import logging
import os
import re
from pathlib import Path

import pytest

from llmauth.addresses import HostPort
from llmauth.http import Door
from llmauth.secrets import ApiKey, AwsKeys, Secret
from llmauth.telemetry import logs

LOG = logging.getLogger("llmauth.somewhere")


@pytest.fixture(autouse=True)
def unchanged_logging():
    names = ["", *logs._OWN, *logs._LIBRARIES]
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, logs._Lines)]:
        root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def stream():
    return io.StringIO()


def objects(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def raise_canary() -> None:
    try:
        raise KeyError("canary")
    except KeyError as error:
        raise ValueError("https://host/?key=canary") from error


def test_json_is_one_object_a_line_with_facts_as_fields(stream):
    logs.configure("info", "json", stream)
    LOG.info("[b] ✅ Successfully initialized with vault", extra={"instance": "b", "ms": 1.5, "n": 2, "none": None})
    (line,) = objects(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(line.pop("timestamp")))
    assert line == {
        "level": "INFO",
        "logger": "llmauth.somewhere",
        "message": "[b] ✅ Successfully initialized with vault",
        "instance": "b",
        "ms": 1.5,
        "n": 2,
        "none": None,
    }
    assert "✅" in stream.getvalue()


def test_console_lines_begin_as_the_readme_shows_them(stream):
    logs.configure("info", "console", stream)
    LOG.info("Platform detected: %s", "eks")
    LOG.warning("⚠️  AWS workload identity not available on aks", extra={"instance": "b", "why": "no role", "n": 1})
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO  Platform detected: eks", first)
    assert second[20:] == 'WARN  ⚠️  AWS workload identity not available on aks instance=b why="no role" n=1'


@pytest.mark.parametrize("form", ["json", "console"])
def test_control_characters_cannot_begin_a_line_or_steer_a_terminal(stream, form):
    """R3."""
    logs.configure("info", form, stream)
    LOG.info("a\nb\r\x1b[31m", extra={"f": "c\nd\x9b\u2028\u202e\ud800"})
    text = stream.getvalue()
    assert len(text.splitlines()) == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e\ud800]", text)


def test_json_gives_control_characters_back(stream):
    logs.configure("info", "json", stream)
    LOG.info("a\nb", extra={"f": "c\u202e\x7f"})
    (line,) = objects(stream)
    assert (line["message"], line["f"]) == ("a\nb", "c\u202e\x7f")


@pytest.mark.parametrize("form", ["json", "console"])
def test_client_text_is_limited(stream, form):
    """R3."""
    logs.configure("info", form, stream)
    LOG.info("m" * 100_000, extra={"f": "x" * 100_000, "deep": [["y" * 100_000] * 1000], "key": {"z" * 9999: 1}})
    assert len(stream.getvalue()) < 4096 + 512 * 53


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_and_what_may_hold_them_are_masked_by_type(stream, form):
    """R1, at debug level too."""
    logs.configure("debug", form, stream)
    secret = Secret("canary")
    LOG.debug(
        "%s",
        secret,
        extra={
            "a": secret,
            "b": ApiKey(value=secret),
            "c": [secret, {"k": secret}],
            "d": b"canary",
            "e": AwsKeys(access_key_id="AKIA", secret_access_key=secret),
            "f": ValueError("canary"),
            "g": io.StringIO("canary"),
            "h": [[[["canary"]]]],
        },
    )
    assert "canary" not in stream.getvalue()
    assert "********" in stream.getvalue()


def test_plain_values_are_shown(stream):
    logs.configure("info", "json", stream)
    LOG.info("x", extra={"a": Door.TUNNEL, "b": Path("/p"), "c": HostPort("h", 1), "d": float("inf"), "e": (1, "t")})
    (line,) = objects(stream)
    assert [line[name] for name in "abcde"] == ["tunnel", "/p", "h:1", "inf", [1, "t"]]


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_exception_is_its_classes_and_frames_without_its_text(stream, form):
    """R1: texts of HTTP and cloud libraries carry URLs and headers."""
    logs.configure("debug", form, stream)
    try:
        raise_canary()
    except ValueError:
        LOG.exception("failed")
    text = stream.getvalue()
    assert "canary" not in text.replace("raise_canary", "")
    assert "ValueError from KeyError" in text
    assert re.search(r"telemetry/test_logs\.py:\d+ raise_canary", text)
    assert len(text.splitlines()) == 1


def test_the_place_is_told_of_an_exception_that_stands_for_another(stream):
    """Whose text must not be seen is logged by its class alone, with the traceback beside it."""
    logs.configure("debug", "json", stream)
    try:
        raise_canary()
    except ValueError as error:
        LOG.error("failed", exc_info=(RuntimeError, RuntimeError("ValueError"), error.__traceback__))
    (line,) = objects(stream)
    frames = line["frames"]
    assert isinstance(frames, list)
    assert frames[-1].endswith("raise_canary")


@pytest.mark.parametrize(
    "name", ["mitmproxy", "mitmproxy.proxy.server", "botocore.auth", "urllib3", "asyncio", "hpack"]
)
def test_libraries_are_held_at_warning_and_say_no_more_than_where(stream, name):
    logs.configure("debug", "json", stream)
    library = logging.getLogger(name)
    library.debug("canary")
    library.info("canary")
    try:
        raise_canary()
    except ValueError:
        library.error("GET https://host/?key=canary", exc_info=True)
    (line,) = objects(stream)
    assert line["logger"] == name
    assert line["exception"] == "ValueError from KeyError"
    assert re.fullmatch(r"test_logs:\d+", str(line["at"]))
    assert "canary" not in stream.getvalue().replace("raise_canary", "")


def test_a_librarys_constant_text_is_shown_without_its_arguments(stream):
    logs.configure("debug", "json", stream)
    logging.getLogger("urllib3.pool").warning("Connection pool is full: %s", "canary")
    logging.getLogger("mitmproxy.x").warning("canary %s", "canary")
    assert [line["message"] for line in objects(stream)] == [
        "Connection pool is full: %s",
        "a message of mitmproxy.x",
    ]


def test_other_handlers_see_the_record_as_it_was(stream, caplog):
    logs.configure("debug", "json", stream)
    logging.getLogger("urllib3").warning("text %s", "argument")
    assert caplog.messages == ["text argument"]


@pytest.mark.parametrize(("level", "shown"), [("debug", 4), ("info", 3), ("warn", 2), ("WARNING", 2), ("error", 1)])
def test_levels(stream, level, shown):
    logs.configure(level, "json", stream)
    for method in (LOG.debug, LOG.info, LOG.warning, LOG.error):
        method("x")
    assert len(objects(stream)) == shown


def test_unknown_level_or_format_is_a_value_error():
    with pytest.raises(ValueError, match="unknown log level 'loud'"):
        logs.configure("loud")
    with pytest.raises(ValueError, match="unknown log format 'xml'"):
        logs.configure("info", "xml")  # type: ignore[arg-type]


def test_a_second_call_replaces_the_first(stream):
    logs.configure("info", "json", stream)
    second = io.StringIO()
    logs.configure("info", "json", second)
    LOG.info("x")
    assert (stream.getvalue(), len(objects(second))) == ("", 1)


def test_a_terminal_gets_text_and_everything_else_json():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, begins in ((Terminal(), "20"), (io.StringIO(), "{")):
        logs.configure("info", None, stream)
        LOG.info("x")
        assert stream.getvalue().startswith(begins)


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_closed_or_broken_stream_stops_nobody(form):
    closed = io.StringIO()
    logs.configure("info", form, closed)
    closed.close()
    LOG.info("x")
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", buffering=1) as broken:
        logs.configure("info", form, broken)
        LOG.info("x")
        with pytest.raises(BrokenPipeError):
            broken.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)


def test_a_closed_stream_can_be_configured():
    closed = io.StringIO()
    closed.close()
    logs.configure("info", None, closed)
    LOG.info("x")


def test_utf8_is_written_whatever_the_locale(tmp_path):
    with (tmp_path / "log").open("w", encoding="ascii") as stream:
        logs.configure("info", "json", stream)
        LOG.info("✅")
    assert "✅" in (tmp_path / "log").read_text("utf-8")


@pytest.mark.parametrize("form", ["json", "console"])
def test_many_lines_of_one_record_are_lines_of_their_own(stream, form):
    logs.configure("info", form, stream)
    told = [{"request_id": "req_1", "status": 200}, {"request_id": "a\nb\u2028", "status": 401}]
    logs.tell(logging.getLogger("llmauth.access"), logging.INFO, "request", told)
    logs.tell(logging.getLogger("llmauth.access"), logging.INFO, "request", [])
    logs.tell(logging.getLogger("llmauth.access"), logging.DEBUG, "request", told)
    first, second = stream.getvalue().splitlines()
    if form == "console":
        assert first.endswith("INFO  request request_id=req_1 status=200")
        assert "\\n" in second
    else:
        head = {"level": "INFO", "logger": "llmauth.access", "message": "request"}
        for line, facts in zip((first, second), told, strict=True):
            found = json.loads(line)
            assert found.pop("timestamp").endswith("Z")
            assert found == {**head, **facts}


def test_what_a_sentence_says_to_people_is_not_said_again(stream):
    extra = {"in_words": True, "instance": "one"}
    logs.configure("info", "console", stream)
    LOG.info("[one] ready", extra=extra)
    assert stream.getvalue()[20:] == "INFO  [one] ready\n"
    again = io.StringIO()
    logs.configure("info", "json", again)
    LOG.info("[one] ready", extra=extra)
    (line,) = objects(again)
    assert (line["message"], line["instance"], "in_words" in line) == ("[one] ready", "one", False)


def test_of_several_processes_each_line_says_whose_it_is(stream, monkeypatch):
    monkeypatch.setattr(logs, "_writer", {})
    logs.configure("info", "json", stream)
    logs.name_worker(3)
    LOG.info("one", extra={"more": 1})
    logs.tell(LOG, logging.INFO, "many", [{"more": 2}, {"more": 3}])
    assert [(line["worker"], line["more"]) for line in objects(stream)] == [(3, 1), (3, 2), (3, 3)]
    logs.configure("info", "console", stream)
    LOG.info("as people read it", extra={"more": 4})
    assert stream.getvalue().splitlines()[-1].endswith("[3] as people read it more=4")


def test_records_bear_the_request_that_is_judged(stream):
    logs.configure("info", "json", stream)
    with logs.about("req_1"):
        LOG.info("inside")
        LOG.info("of another", extra={"request_id": "req_2"})
        with logs.about("req_3"):
            LOG.info("deeper")
    LOG.info("outside")
    told = [line.get("request_id") for line in objects(stream)]
    assert told == ["req_1", "req_2", "req_3", None]


def test_tasks_that_run_beside_keep_their_own_request(stream):
    logs.configure("info", "json", stream)

    async def judge(name):
        with logs.about(name):
            await asyncio.sleep(0)
            LOG.info(name)

    async def all_of_them():
        await asyncio.gather(*(judge(f"req_{number}") for number in range(5)))

    asyncio.run(all_of_them())
    lines = objects(stream)
    assert [line["request_id"] for line in lines] == [line["message"] for line in lines]
