"""Translations by LiteLLM, another implementation of the same work: one JSON job in, one JSON line of answers out.

Runs under an interpreter that has LiteLLM, and has nothing of ours. It translates and never calls anybody: a connection
is an error here.
"""

import contextlib
import copy
import importlib
import json
import os
import sys

# Before it is imported, since it would load its list of models from the network.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["WATSONX_PROJECT_ID"] = "golden-project"
COMPARTMENT = "ocid1.compartment.oc1..golden"


def _stay_here(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise PermissionError(f"LiteLLM was about to use the network: {args[1:]}")


def _part(path, name):
    # By name: where the tests' types are checked, it is not installed.
    return getattr(importlib.import_module(f"litellm.{path}"), name)


def _configs():
    return {
        "anthropic": _part("llms.anthropic.chat.transformation", "AnthropicConfig"),
        "bedrock": _part("llms.bedrock.chat.converse_transformation", "AmazonConverseConfig"),
        "vertex_ai": _part("llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini", "VertexGeminiConfig"),
        "watsonx": _part("llms.watsonx.chat.transformation", "IBMWatsonXChatConfig"),
        "oci": _part("llms.oci.chat.transformation", "OCIChatConfig"),
    }


class _Translator:
    def __init__(self):
        with contextlib.redirect_stdout(sys.stderr):
            self._litellm = importlib.import_module("litellm")
            self._configs = _configs()
            self._gemini = importlib.import_module("litellm.llms.vertex_ai.gemini.transformation")
            adapter = "llms.anthropic.pass_through.adapters.transformation"
            self._messages = _part(adapter, "LiteLLMAnthropicMessagesAdapter")()

    def request(self, provider, model, body):
        """An OpenAI body in the provider's form."""
        told = copy.deepcopy(body)
        messages = told.pop("messages")
        del told["model"]
        told.pop("stream", None)
        for message in messages:  # as its own entry point does before these functions are called
            if message["role"] == "developer":
                message["role"] = "system"
        params = self._litellm.get_optional_params(
            model=model, custom_llm_provider=provider, drop_params=True, messages=copy.deepcopy(messages), **told
        )
        return getattr(self, f"_{provider}")(model, messages, params)

    def _bedrock(self, model, messages, params):
        return self._configs["bedrock"]()._transform_request(
            model=model, messages=messages, optional_params=params, litellm_params={}
        )

    def _vertex_ai(self, model, messages, params):
        return self._gemini._transform_request_body(
            messages=messages,
            model=model,
            optional_params=params,
            custom_llm_provider="vertex_ai",
            litellm_params={},
            cached_content=None,
        )

    def _plain(self, provider, model, messages, params):
        return self._configs[provider]().transform_request(
            model=model, messages=messages, optional_params=params, litellm_params={}, headers={}
        )

    def _anthropic(self, model, messages, params):
        return self._plain("anthropic", model, messages, params)

    def _watsonx(self, model, messages, params):
        return self._plain("watsonx", model, messages, params)

    def _oci(self, model, messages, params):
        return self._plain("oci", model, messages, {**params, "oci_compartment_id": COMPARTMENT})

    def answer(self, provider, model, body):
        """A provider's answer in OpenAI's form."""
        httpx = importlib.import_module("httpx")
        mock = importlib.import_module("unittest.mock")
        logging = mock.MagicMock()
        logging.optional_params = {}
        answer = self._configs[provider]().transform_response(
            model=model,
            raw_response=httpx.Response(200, json=body),
            model_response=self._litellm.ModelResponse(),
            logging_obj=logging,
            api_key="",
            request_data={},
            messages=[{"role": "user", "content": "Hi"}],
            optional_params={},
            litellm_params={},
            encoding=None,
        )
        return answer.model_dump(exclude_none=True)

    def messages_answer(self, _provider, _model, body):
        """An answer of OpenAI's in the form of Messages."""
        return dict(self._messages.translate_openai_response_to_anthropic(self._litellm.ModelResponse(**body)))

    def messages(self, _provider, _model, body):
        """A body of Anthropic's Messages in OpenAI's form."""
        return dict(self._messages.translate_anthropic_to_openai(copy.deepcopy(body))[0])


def _told(translate, job):
    try:
        return {"body": json.loads(json.dumps(translate(job["provider"], job["model"], job["body"]), default=_dumped))}
    except Exception as problem:
        return {"problem": f"{type(problem).__name__}: {problem}"[:300]}


def _dumped(value):
    return value.model_dump(exclude_none=True) if hasattr(value, "model_dump") else str(value)


def main():
    jobs = json.load(sys.stdin)
    translator = _Translator()
    sys.addaudithook(_stay_here)
    with contextlib.redirect_stdout(sys.stderr):
        answers = {name: _told(getattr(translator, job["kind"]), job) for name, job in jobs.items()}
    version = importlib.import_module("importlib.metadata").version("litellm")
    json.dump({"version": version, "answers": answers}, sys.stdout)


main()
