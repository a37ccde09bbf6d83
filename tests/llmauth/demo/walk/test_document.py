"""The JSON document of a walk."""

from __future__ import annotations

import json

from llmauth.demo.walk.document import document
from tests.llmauth.demo.walk.samples import ALICE, outcome, refused, spoken
from tests.llmauth.demo.walk.test_report import stage


def test_tells_each_call_from_all_sides() -> None:
    facts = document(stage(), [outcome(), refused()], seconds=1.234, serving=False)
    good, denied = facts["calls"]
    assert (facts["ok"], facts["seconds"]) == (True, 1.23)
    assert (good["caller"], good["call"], good["via"]) == ("alice", "openai.chat", "HTTPS_PROXY")
    assert (good["received"], good["paid_by"], good["overhead_ms"]) == ("Bearer sk-demo-…Ab12", "openai", 0.4)
    assert (denied["received"], denied["status"], denied["code"]) == (None, 407, "invalid_api_key")


def test_tells_what_was_spoken_and_what_it_was_answered_in() -> None:
    _, gemini, *_, models = document(stage(), spoken()[1:], seconds=1, serving=False)["calls"]
    assert (gemini["call"], gemini["door"], gemini["model"]) == ("openai.responses", "/v1", "fast")
    assert gemini["answered_in"] == "Vertex generateContent"
    assert gemini["path"].endswith("/models/gemini-2.5-flash:generateContent")
    assert (models["answered_in"], models["path"]) == (None, None)


def test_gives_a_key_away_only_while_it_is_good_for_something() -> None:
    assert ALICE not in json.dumps(document(stage(), [outcome()], seconds=1, serving=False))
    serving = document(stage(), [outcome()], seconds=1, serving=True)
    assert ALICE in serving["try"]["environment"]["HTTPS_PROXY"]


def test_one_problem_makes_the_whole_not_ok() -> None:
    facts = document(stage(), [outcome(), outcome(problems=("x",))], seconds=1, serving=False)
    assert facts["ok"] is False
    assert facts["calls"][1]["problems"] == ["x"]
