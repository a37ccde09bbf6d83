"""Refusals as watsonx writes them: `{"errors": [{"code", "message", "more_info"}], "trace", "status_code"}`."""

from __future__ import annotations

from llmauth.codecs.base import JSON, Rendered, to_json
from llmauth.errors import GatewayError

_MORE = "https://cloud.ibm.com/apidocs/watsonx-ai"


class WatsonxRefusals:
    """The shape that ibm-watsonx-ai reads codes and messages from."""

    name = "watsonx"

    def render_error(self, error: GatewayError, request_id: str) -> Rendered:
        """IBM's codes are words of lower case, as ours are; its trace is what its support asks for, as our id is."""
        fields = {"code": error.code, "message": error.sentence, "more_info": _MORE}
        body = {"errors": [fields], "trace": request_id, "status_code": error.status}
        return Rendered(headers=(JSON,), body=to_json(body))


REFUSALS = WatsonxRefusals()
