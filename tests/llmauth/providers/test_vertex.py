"""Vertex's handler: a host for each location, tokens and keys, and what Google says when it refuses them."""

import gzip
import json
import zlib

import pytest
from pydantic import ValidationError

from llmauth.addresses import HostPort
from llmauth.codecs.embeddings.gemini import GeminiEmbeddings
from llmauth.codecs.embeddings.predict import PredictEmbeddings
from llmauth.errors import InstanceIncomplete, InternalError
from llmauth.http import Door, Headers, Request, Url
from llmauth.providers.base import Verdict
from llmauth.providers.named import Call
from llmauth.providers.vertex import VertexHandler, VertexOptions
from llmauth.secrets import ApiKey, AwsKeys, BearerToken, Secret

HOST = "us-central1-aiplatform.googleapis.com"
PROJECT = "/v1beta1/projects/p/locations/us-central1"
GEMINI = f"{PROJECT}/publishers/google/models/gemini-2.5-flash"
CLAUDE = "/v1/projects/p/locations/us-central1/publishers/anthropic/models/claude-sonnet-4-5@20250929"
TOKEN, KEY = BearerToken(value=Secret("ya29.real")), ApiKey(value=Secret("AIza-real"))


def handler(region="us-central1", **options):
    return VertexHandler("vertex", VertexOptions(region=region, **options))


HANDLER = handler()


def request_to(path=f"{GEMINI}:generateContent", host=HOST, **fields):
    headers = [(b"Host", host.encode()), *((n.replace("_", "-").encode(), v) for n, v in fields.items())]
    return Request(method="POST", url=Url("https", host, 443, path), headers=Headers(headers), door=Door.TUNNEL)


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("us-central1", HOST),
        ("europe-west12", "europe-west12-aiplatform.googleapis.com"),
    ],
)
def test_every_location_has_its_host(region, host):
    ours = handler(region)
    assert ours.hosts == {HostPort(host, 443)}
    assert (ours.region, ours.base.host) == (region, host)


def test_the_location_is_global_unless_said():
    assert VertexOptions().region == "global"


@pytest.mark.parametrize(
    "region", ["", "US", "us-central1.evil.example/", "us-central1@x", "us_central1", "asia", "us-central1\n", "a/b"]
)
def test_s7_no_other_region_enters_a_host(region):
    with pytest.raises(ValidationError):
        VertexOptions(region=region)


@pytest.mark.parametrize("project", ["my-project", "my-project-123", "123456789012", "example.com:my-project"])
def test_projects(project):
    assert VertexOptions(project=project).project == project


@pytest.mark.parametrize("project", ["", "-", "My-Project", "p/../q", "a b", "my-project-", "my-project\n", "x" * 31])
def test_s7_no_other_project_enters_a_path(project):
    with pytest.raises(ValidationError):
        VertexOptions(project=project)


def test_a_path_may_name_another_project_and_location_and_goes_to_our_host_all_the_same():
    """Transparent: what the token may do there is Google's to judge."""
    path = "/v1/projects/other/locations/europe-west4/publishers/google/models/m:generateContent?alt=sse"
    assert HANDLER.forward(path, "POST") == Url("https", HOST, 443, path)


@pytest.mark.parametrize("host", ["aiplatform.googleapis.com", "europe-west4-aiplatform.googleapis.com", "x.example"])
def test_s1_the_credential_goes_nowhere_else(host):
    with pytest.raises(InternalError, match="does not serve"):
        HANDLER.authorize(request_to(host=host), TOKEN)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        (f"{GEMINI}:generateContent?alt=sse", "gemini-2.5-flash"),
        (f"{CLAUDE}:streamRawPredict", "claude-sonnet-4-5@20250929"),
        (f"{CLAUDE.replace('@', '%40')}:rawPredict", "claude-sonnet-4-5@20250929"),
        ("/v1beta1/publishers/google/models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("/v1beta1/publishers/google/models", None),
        (f"{PROJECT}/endpoints/123:generateContent", "123"),
        (f"/v1/publishers/google/models/{'x' * 300}:predict", "x" * 200),
    ],
)
def test_the_model_stands_in_the_path(path, model):
    assert HANDLER.named(Call(method="POST", path=path)).model == model


@pytest.mark.parametrize(
    ("path", "model", "certain"),
    [
        (f"{GEMINI}:generateContent", "gemini-2.5-flash", True),
        (f"{PROJECT}/endpoints/openapi/chat/completions", "m", True),
        (f"{PROJECT}/endpoints/123:generateContent", "123", True),
        (f"{PROJECT}/publishers/anthropic/models/count-tokens:rawPredict", "m", True),
        (f"{PROJECT}/publishers/google/model%73/e:generateContent", "m", False),
        (f"{PROJECT}/publishers/google/models/a/publishers/google/models/b:x", "b", False),
        (f"{PROJECT}/cachedContents", "m", False),
        (f"{PROJECT}/batchPredictionJobs", "m", False),
    ],
)
def test_h6_a_body_names_it_only_where_google_looks_there(path, model, certain):
    told = HANDLER.named(Call(method="POST", path=path, body=b'{"model":"m"}'))
    assert (told.model, told.certain) == (model, certain)


def test_the_model_that_a_router_of_googles_is_told_is_named_beside():
    body = b'{"generationConfig":{"routingConfig":{"manualMode":{"modelName":"e"}}}}'
    assert HANDLER.named(Call(method="POST", path=f"{GEMINI}:generateContent", body=body)).others == ("e",)


@pytest.mark.parametrize(
    ("path", "name", "listed"),
    [
        (f"{GEMINI}:generateContent", "gemini", False),
        (f"{GEMINI}:streamGenerateContent?alt=sse", "gemini", False),
        (f"{GEMINI}:streamGenerateContent?x=1&%24alt=sse", "gemini", False),
        (f"{GEMINI}:streamGenerateContent", "gemini", True),
        (f"{PROJECT}/endpoints/1:streamGenerateContent?alt=json", "gemini", True),
        (f"{CLAUDE}:rawPredict", "anthropic", False),
        ("", "gemini", False),
    ],
)
def test_the_shape_is_the_one_of_the_path(path, name, listed):
    shape = HANDLER.shape_of(path)
    assert (shape.name, getattr(shape, "listed", False)) == (name, listed)


@pytest.mark.parametrize(
    ("credential", "field"),
    [(TOKEN, (b"Authorization", b"Bearer ya29.real")), (KEY, (b"x-goog-api-key", b"AIza-real"))],
    ids=["token", "key"],
)
def test_s9_the_one_credential_is_ours(credential, field):
    """Also of what Google takes from a query, which may even carry headers."""
    path = (
        f"{GEMINI}:generateContent?key=AIza-x&alt=sse&access_token=ya29.x&%24httpHeaders=Authorization%3ABearer%20x"
        "&oauth_token=1&$key=2&fields=a%2Fb"
    )
    fields = {"authorization": b"Bearer x", "x_goog_api_key": b"x", "x_goog_user_project": b"billed"}
    signed = HANDLER.authorize(request_to(path, **fields), credential)
    assert signed.headers.fields == ((b"Host", HOST.encode()), (b"x-goog-user-project", b"billed"), field)
    assert signed.url.path == f"{GEMINI}:generateContent?alt=sse&fields=a%2Fb"


def test_other_kinds_are_of_no_use_here():
    with pytest.raises(InternalError, match="cannot use"):
        HANDLER.authorize(request_to(), AwsKeys(access_key_id="AKIA", secret_access_key=Secret("hidden")))


# ---- what an answer says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(401, Verdict.EXPIRED), (400, Verdict.UNTOLD), (403, Verdict.UNTOLD)]
    + [(status, Verdict.PASSES) for status in (200, 302, 404, 429, 500, 503)],
)
def test_a_status_tells_or_leaves_it_to_the_body(status, verdict):
    assert HANDLER.verdict(status, Headers()) is verdict


def refusal(reason):
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}
    help_ = {"@type": "type.googleapis.com/google.rpc.Help", "links": []}
    return {"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT", "details": [help_, detail]}}


@pytest.mark.parametrize(
    ("status", "reason", "verdict"),
    [
        (400, "API_KEY_INVALID", Verdict.REJECTED),
        (400, "FIELD_INVALID", Verdict.PASSES),
        (400, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", Verdict.PASSES),
        (403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", Verdict.REJECTED),
        (403, "ACCESS_TOKEN_EXPIRED", Verdict.REJECTED),
        (403, "IAM_PERMISSION_DENIED", Verdict.PASSES),
        (403, "SERVICE_DISABLED", Verdict.PASSES),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_the_reason_in_the_body_decides(status, reason, verdict, listed):
    body = json.dumps([refusal(reason)] if listed else refusal(reason)).encode()
    zipped = Headers([(b"Content-Encoding", b"gzip")])
    assert HANDLER.verdict_of_body(status, Headers(), body) is verdict
    assert HANDLER.verdict_of_body(status, zipped, gzip.compress(body)) is verdict


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"7", b"[]", b"[[]]", b"{", b"\xff", b'{"error":7}', b'{"error":{"details":{}}}'),
        *(b'{"error":{"details":[7,{"reason":7}]}}', b"[" * 100_000),
    ],
)
def test_a_body_that_says_nothing_passes(body):
    assert HANDLER.verdict_of_body(400, Headers(), body) is Verdict.PASSES


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"deflate, gzip"])
def test_a_body_that_cannot_be_read_passes(coding):
    headers = Headers([(b"Content-Encoding", coding)])
    assert HANDLER.verdict_of_body(400, headers, b"\x1f\x8b\x00") is Verdict.PASSES


def test_b3_a_bomb_is_not_inflated():
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join([packer.compress(b" " * 1_000_000) for _ in range(50)]) + packer.flush()
    headers = Headers([(b"Content-Encoding", b"gzip")])
    assert HANDLER.verdict_of_body(400, headers, bomb) is Verdict.PASSES


@pytest.mark.parametrize(
    ("model", "verb", "kind"),
    [
        ("text-embedding-005", "predict", PredictEmbeddings),
        ("text-multilingual-embedding-002", "predict", PredictEmbeddings),
        ("textembedding-gecko@003", "predict", PredictEmbeddings),
        ("gemini-embedding-001", "batchEmbedContents", GeminiEmbeddings),
        ("gemini-embedding-2", "embedContent", GeminiEmbeddings),
    ],
)
def test_models_that_embed_each_have_their_call(model, verb, kind):
    way = handler(project="demo-project").embeddings(model)
    place = "/v1/projects/demo-project/locations/us-central1/publishers/google/models"
    assert way.path == f"{place}/{model.replace('@', '%40')}:{verb}"
    assert isinstance(way.format, kind)


def test_other_models_do_not_embed_and_without_a_project_none_does():
    assert handler(project="demo-project").embeddings("gemini-2.5-pro") is None
    assert handler(project="demo-project").embeddings("google/text-embedding-005") is None
    with pytest.raises(InstanceIncomplete):
        handler().embeddings("text-embedding-005")


def test_claudes_tokens_are_counted_with_the_model_and_the_version_in_the_body():
    native = handler(project="demo-project").natively("count_tokens", "claude-sonnet-4-5@20250929", stream=False)
    assert native.path.endswith("/publishers/anthropic/models/count-tokens:rawPredict")
    sent = json.loads(native.rewrite(b'{"model":"claude","messages":[]}', Headers()))
    assert sent == {"anthropic_version": "vertex-2023-10-16", "model": "claude-sonnet-4-5@20250929", "messages": []}


@pytest.mark.parametrize(
    ("operation", "model"),
    [("messages", "claude-sonnet-4-5"), ("count_tokens", "claude-sonnet-4-5"), ("chat", "meta/llama-4")],
)
def test_what_answers_in_the_clients_words_refuses_in_googles(operation, model):
    refused = handler(project="demo-project").natively(operation, model, stream=False).refused
    body = b'{"error":{"code":429,"message":"Resource exhausted.","status":"RESOURCE_EXHAUSTED"}}'
    error = refused(429, Headers(), body)
    assert (error.cause, "Resource exhausted." in error.message) == ("rate_limited", True)
