"""Rules: what is more specific counts, field by field, and an empty list is no missing one."""

from __future__ import annotations

from llmauth.rules import NO_RULES, Rules


def test_what_says_nothing_leaves_it_to_the_other() -> None:
    default = Rules(models=("*",), rpm=600, instances=("openai",))
    assert NO_RULES.over(default) == default
    assert Rules(rpm=60, instances=()).over(default) == Rules(models=("*",), rpm=60, instances=())
    assert Rules(rpm=0).over(default).rpm == 0
