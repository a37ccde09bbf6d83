"""The table of Converse, held to AWS's own model of it."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from llmauth.demo.bedrock_converse_shapes import check
from llmauth.demo.shapes import Mismatch

TURN: dict[str, Any] = {"role": "user", "content": [{"text": "hello"}]}
VALUES: dict[str, Any] = {
    "messages": [TURN],
    "system": [{"text": "s"}],
    "inferenceConfig": {"maxTokens": 1},
    "toolConfig": {"tools": [{"cachePoint": {"type": "default"}}]},
    "additionalModelResponseFieldPaths": ["/a"],
    "performanceConfig": {"latency": "standard"},
    "serviceTier": {"type": "flex"},
    "projectIdentifier": "p",
}


def test_every_member_that_aws_has_is_known() -> None:
    service = botocore.session.get_session().get_service_model("bedrock-runtime")
    shapes = service.operation_model("Converse").input_shape.members.items()
    members = {name for name, shape in shapes if "location" not in shape.serialization}  # those of the body
    assert len(members) > 10
    check({"messages": [TURN], **{name: VALUES.get(name, {}) for name in members}})


@pytest.mark.parametrize("name", ["modelId", "stream", "model"])
def test_what_aws_has_not_is_refused(name: str) -> None:
    with pytest.raises(Mismatch):
        check({"messages": [TURN], name: "x"})
