"""What hooks note of a flow is its beginning, as it stood, and how much it weighs."""

from __future__ import annotations

from mitmproxy.test import tflow, tutils

from addons.viewing.bodies import KEPT
from addons.viewing.copies import blank
from addons.viewing.onlooker import Onlooker
from addons.viewing.seen import Seen


def test_a_long_body_is_noted_by_its_beginning() -> None:
    flow = tflow.tflow(req=tutils.treq(content=b"x" * (KEPT + 5), path=b"/a?b"))
    seen = Seen(flow, None, blank(flow))
    seen.note_request(flow, signed=True)
    flow.request.data.content = b""
    assert seen.request is not None
    assert (len(seen.request.body), seen.request.total, seen.request.signed) == (KEPT, KEPT + 5, True)
    assert (seen.request.method, seen.request.path, seen.request.port) == ("GET", "/a?b", 22)
    assert seen.weigh() > KEPT


def test_an_answer_that_streams_has_no_length_yet() -> None:
    flow = tflow.tflow(resp=True)
    assert flow.response
    seen = Seen(flow, None, blank(flow))
    seen.note_answer(flow.response, whole=False)
    assert seen.answer is not None
    assert (seen.answer.body, seen.answer.total) == (b"", None)
    seen.note_answer(flow.response, whole=True)
    assert (seen.answer.body, seen.answer.total) == (b"message", 7)
    flow.response.stream = True
    seen.note_answer(flow.response, whole=True)
    assert seen.answer.total is None
    before = seen.weigh()
    seen.onlooker = Onlooker(lambda: None)
    seen.onlooker.feed(b"12345")
    assert seen.weigh() == before + 5
