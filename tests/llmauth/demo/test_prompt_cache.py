"""Prompts that are kept: written once, read when they come again, by marks and by a key."""

from __future__ import annotations

from llmauth.demo.prompt_cache import Block, Cached, PromptCache

LONG = "x" * 400


def text(*, mark: str | None = None, said: str = LONG) -> Block:
    return Block({"text": said, "cache_control": {"type": "ephemeral"}} if mark else {"text": said}, mark)


def test_a_prefix_is_written_and_then_read() -> None:
    cache = PromptCache()
    first = cache.by_marks("m", [text(mark="5m"), text()])
    again = cache.by_marks("m", [text(mark="5m"), text(said="another end")])
    assert first.written > 90
    assert (first.read, again) == (0, Cached(read=first.written))
    assert cache.by_marks("another model", [text(mark="5m")]).read == 0


def test_a_mark_that_moves_on_reads_what_was_written_before_it() -> None:
    cache = PromptCache()
    first = cache.by_marks("m", [text(mark="5m")])
    later = cache.by_marks("m", [text(), text(), text(mark="5m")])
    assert later.read == first.written
    assert later.written > 190
    assert cache.by_marks("m", [text(), text(), text(mark="5m")]) == Cached(read=later.total)


def test_each_mark_says_for_how_long() -> None:
    told = PromptCache().by_marks("m", [text(mark="1h"), text(mark="5m")])
    assert 0 < told.hour < told.written


def test_without_a_mark_nothing_is_kept() -> None:
    cache = PromptCache()
    assert cache.by_marks("m", [text()]) == cache.by_marks("m", [text()]) == Cached()


def test_by_a_key_every_prefix_is_kept_and_none_is_marked() -> None:
    cache = PromptCache()
    assert cache.by_key("k", [text()]) == 0
    read = cache.by_key("k", [text(), text(said="more")])
    assert read > 90
    assert cache.by_key("another key", [text()]) == 0


def test_it_can_be_emptied() -> None:
    cache = PromptCache()
    cache.by_marks("m", [text(mark="5m")])
    cache.clear()
    assert cache.by_marks("m", [text(mark="5m")]).read == 0
