"""A conversation that another keeps is refused by the code that SDKs know."""

import pytest

from llmauth.codecs.anthropic.errors import error_fields
from llmauth.codecs.anthropic.threads import refuse_thread
from llmauth.errors import UnsupportedParameter


@pytest.mark.parametrize("thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}, "x"])
def test_a_thread_is_refused_as_anthropic_refuses_it(thread):
    with pytest.raises(UnsupportedParameter) as refused:
        refuse_thread(thread)
    assert (refused.value.status, refused.value.param) == (400, "thread")
    assert error_fields(refused.value)["details"] == {"error_code": "thread_unsupported_request"}


def test_no_thread_is_no_matter():
    refuse_thread(None)
