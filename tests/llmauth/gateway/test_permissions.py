"""The four actions of Bedrock: by IAM's simulation where a role may ask for it, else by calls that cost nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from moto.server import ThreadedMotoServer

from llmauth import providers
from llmauth.addresses import parse_authority
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.gateway.permissions import ACTIONS, ANY_MODEL, permissions, role_of
from llmauth.outbound import Outbound
from llmauth.providers.bedrock import BedrockOptions
from llmauth.secrets import AwsKeys, Secret

ROLE = "arn:aws:iam::123456789012:role/bedrock-proxy"
ASSUMED = "arn:aws:sts::123456789012:assumed-role/bedrock-proxy/pod"
RUNTIME, CONTROL = "bedrock-runtime.us-east-1.amazonaws.com", "bedrock.us-east-1.amazonaws.com"
NO_IAM = {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_IAM": "http://127.0.0.1:1"}
DENIED = f"User: {ASSUMED} is not authorized to perform: {{}} on resource: * because no identity-based policy allows it"


@pytest.fixture(scope="module")
def providers_() -> Iterator[Emulators]:
    with Emulators(pace=0.001, tokens=4) as running:
        yield running


@pytest.fixture
def emulators(providers_: Emulators) -> Emulators:
    providers_.clear()
    return providers_


@pytest.fixture(scope="module")
def iam() -> Iterator[Iam]:
    with Iam() as running:
        yield running


class Iam:
    """GetCallerIdentity and SimulatePrincipalPolicy, for a policy that a test writes; None forbids to ask."""

    def __init__(self) -> None:
        self.allowed: set[str] | None = None
        self.asked: list[dict[str, list[str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                status, body = outer.answer(form)
                self.send_response(status)
                self.send_header("content-type", "text/xml")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> Iam:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def environ(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self._server.server_port}"
        return {"AWS_ENDPOINT_URL_STS": url, "AWS_ENDPOINT_URL_IAM": url}

    def answer(self, form: dict[str, list[str]]) -> tuple[int, bytes]:
        (action,) = form["Action"]
        if action == "GetCallerIdentity":
            told = f"<Arn>{ASSUMED}</Arn><UserId>x</UserId><Account>123456789012</Account>"
        elif self.allowed is None:
            error = "<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error>"
            return 403, f"<ErrorResponse>{error}</ErrorResponse>".encode()
        else:
            self.asked.append(form)
            told = f"<EvaluationResults>{''.join(map(self._member, self._named(form)))}</EvaluationResults>"
        return 200, f"<{action}Response><{action}Result>{told}</{action}Result></{action}Response>".encode()

    def _named(self, form: dict[str, list[str]]) -> list[str]:
        return [value[0] for name, value in sorted(form.items()) if name.startswith("ActionNames.member.")]

    def _member(self, action: str) -> str:
        decision = "allowed" if action in (self.allowed or ()) else "implicitDeny"
        return f"<member><EvalActionName>{action}</EvalActionName><EvalDecision>{decision}</EvalDecision></member>"


def ask(emulators: Emulators, environ: dict[str, str], **options: Any) -> Any:
    known = emulators.credentials
    keys = AwsKeys(
        access_key_id=known.aws_access_key_id,
        secret_access_key=Secret(known.aws_secret_access_key),
        session_token=Secret(known.aws_session_token) if known.aws_session_token else None,
    )
    resolve = {host: parse_authority(place, 443) for host, place in emulators.resolve.items()}
    handler = providers.build("one", BedrockOptions(region="us-east-1", **options))
    return permissions(handler, keys, Outbound(ca_file=emulators.ca_file, resolve=resolve), environ, ANY_MODEL)


def states(told: Any) -> list[str]:
    return [one.state for one in told.actions]


def deny(emulators: Emulators, host: str, action: str, path: str, message: str = DENIED) -> None:
    body = json.dumps({"message": message.format(action)}).encode()
    emulators.behave(host, Behaviour(status=403, error="AccessDeniedException", body=body), path=path)


def test_probes_run_no_model_and_tell_all_four(emulators: Emulators) -> None:
    told = ask(emulators, NO_IAM)
    assert [(one.action, one.state, one.way) for one in told.actions] == [(a, "allowed", "probe") for a in ACTIONS]
    asked = emulators.requests()
    assert [one.status for one in asked if one.method == b"POST"] == [400, 400]  # refused before anything runs
    assert {one.body for one in asked} == {b"{}", b""}


def test_a_denied_action_is_told_from_the_others_with_its_role(emulators: Emulators) -> None:
    deny(emulators, RUNTIME, ACTIONS[1], "/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke-with")
    told = ask(emulators, NO_IAM)
    assert states(told) == ["allowed", "denied", "allowed", "allowed"]
    assert told.principal == ROLE


def test_a_model_that_was_never_enabled_is_no_missing_permission(emulators: Emulators) -> None:
    message = "You don't have access to the model with the specified model ID."
    deny(emulators, RUNTIME, "", "/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke", message)
    assert states(ask(emulators, NO_IAM))[0] == "no_model_access"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("User: x is not authorized to perform: {} with an explicit deny in a service control policy", "explicit deny"),
        ("User: x is not authorized to perform: {} because no VPC endpoint policy allows it", "VPC endpoint"),
    ],
)
def test_what_denies_it_is_named(emulators: Emulators, message: str, reason: str) -> None:
    deny(emulators, CONTROL, ACTIONS[2], "/foundation-models", message)
    told = ask(emulators, NO_IAM).actions[2]
    assert (told.state, reason in told.reason) == ("denied", True)


def test_an_outage_is_no_denial(emulators: Emulators) -> None:
    emulators.behave(RUNTIME, Behaviour(status=503), times=2)
    assert states(ask(emulators, NO_IAM)) == ["unknown", "unknown", "allowed", "allowed"]


def test_the_runtimes_own_endpoint_does_not_serve_the_other_plane(emulators: Emulators) -> None:
    told = ask(emulators, NO_IAM, base_url=f"https://{RUNTIME}")
    assert states(told) == ["allowed", "allowed", "unknown", "unknown"]


def test_where_simulation_allows_all_no_model_is_touched(emulators: Emulators, iam: Iam) -> None:
    iam.allowed, iam.asked = set(ACTIONS), []
    told = ask(emulators, iam.environ)
    assert [(one.state, one.way) for one in told.actions] == [("allowed", "simulation")] * 4
    assert (told.principal, emulators.requests()) == (ROLE, ())
    resources = {form["ResourceArns.member.1"][0] for form in iam.asked}
    assert resources == {"*", f"arn:aws:bedrock:us-east-1::foundation-model/{ANY_MODEL}"}


def test_what_simulation_does_not_allow_is_tried_and_the_provider_has_the_last_word(
    emulators: Emulators, iam: Iam
) -> None:
    iam.allowed = {ACTIONS[0], ACTIONS[2], ACTIONS[3]}
    assert ask(emulators, iam.environ).actions[1].way == "probe"
    emulators.behave(RUNTIME, Behaviour(status=503))
    told = ask(emulators, iam.environ).actions[1]
    assert (told.state, told.way, told.reason) == ("denied", "simulation", "no policy allows it")


def test_a_role_that_may_not_ask_iam_is_tried(emulators: Emulators, iam: Iam) -> None:
    iam.allowed = None
    told = ask(emulators, iam.environ)
    assert ({one.way for one in told.actions}, told.principal) == ({"probe"}, ROLE)


def test_against_motos_sts_and_iam(emulators: Emulators) -> None:
    """moto knows the caller, and has no simulation: that is a refusal like any other."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        told = ask(emulators, dict.fromkeys(NO_IAM, f"http://{host}:{port}"))
    finally:
        server.stop()
    assert told.principal.startswith("arn:aws:sts::123456789012:")
    assert {one.way for one in told.actions} == {"probe"}


def test_no_secret_is_in_what_is_told(emulators: Emulators) -> None:
    told = repr(ask(emulators, NO_IAM))
    assert emulators.credentials.aws_secret_access_key not in told


def test_a_session_is_called_by_its_role() -> None:
    assert role_of("arn:aws-cn:sts::123456789012:assumed-role/a.b/c") == "arn:aws-cn:iam::123456789012:role/a.b"
    assert role_of("arn:aws:iam::123456789012:user/u") == "arn:aws:iam::123456789012:user/u"
