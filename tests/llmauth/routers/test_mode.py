"""Doors, hosts and paths, and the one answer that each has."""

import random

import pytest

from llmauth.addresses import HostPort
from llmauth.context import ProtocolRoute
from llmauth.egress import Egress
from llmauth.errors import BadRequest, Forbidden, GatewayError, HostNotServed, InternalError, NotFound, UnknownInstance
from llmauth.http import Door, Headers, Request, Url
from llmauth.providers import build, options_model
from llmauth.routers.mode import ModeRouter, Passage, Reroute
from llmauth.token_hosts import VENDORS

RUNTIME_EU = "bedrock-runtime.eu-west-1.amazonaws.com"


def instances(**kinds):
    """Instances by name, from (type, options) pairs."""
    return {
        name: build(name, options_model(kind).model_validate({"type": kind, **options}))
        for name, (kind, options) in kinds.items()
    }


ROUTER = ModeRouter(
    instances(
        openai=("openai", {}),
        claude=("anthropic", {}),
        bedrock=("bedrock", {"region": "us-east-1"}),
        bedrock_us1=("bedrock", {"region": "us-east-1"}),
        bedrock_eu1=("bedrock", {"region": "eu-west-1", "default": True}),
    ),
    frozenset({"llm.internal"}),
    Egress(allow=frozenset({HostPort("github.com", 443), HostPort("example.org", 80)})),
)


def build_request(door, path="/", *, host="10.0.0.7", port=443, scheme=None):
    scheme = scheme or ("https" if door in (Door.TUNNEL, Door.CONNECT) else "http")
    tunnel = HostPort(host, port) if door in (Door.TUNNEL, Door.CONNECT) else None
    return Request(method="GET", url=Url(scheme, host, port, path), headers=Headers(), door=door, tunnel=tunnel)


def by_path(path, router=ROUTER):
    return router.route(build_request(Door.GATEWAY, path))


def test_a_providers_own_host_keeps_its_path():
    route, decision = ROUTER.route(build_request(Door.TUNNEL, "/v1/chat?x=%2F", host="api.openai.com"))
    assert (route.instance, route.path, route.native) == ("openai", "/v1/chat?x=%2F", True)
    assert (decision.router, decision.input) == ("mode", "tunnel api.openai.com:443")


@pytest.mark.parametrize(
    ("path", "instance", "rest"),
    [
        ("/transparent/openai/v1/models?limit=2", "openai", "/v1/models?limit=2"),
        ("/transparent/anthropic/v1/messages", "claude", "/v1/messages"),
        ("/transparent/claude/v1/messages", "claude", "/v1/messages"),
        ("/transparent/bedrock/model/a%2Fb/converse", "bedrock", "/model/a%2Fb/converse"),
        ("/transparent/bedrock_us1/model/a:0/converse", "bedrock_us1", "/model/a:0/converse"),
        ("/transparent/bedrock-runtime/model/x/invoke", "bedrock_eu1", "/model/x/invoke"),
        ("/transparent/openai", "openai", "/"),
        ("/transparent/openai?x=1", "openai", "/?x=1"),
        ("/transparent/openai//v1;a/%2F", "openai", "//v1;a/%2F"),
    ],
)
@pytest.mark.parametrize(
    ("door", "host"), [(Door.GATEWAY, "api.openai.com"), (Door.TUNNEL, "llm.internal"), (Door.ABSOLUTE, "llm.internal")]
)
def test_a_path_names_the_instance_at_every_door_of_ours(door, host, path, instance, rest):
    """S4: at the gateway's door the Host header, a provider's here, chooses nothing."""
    route, _ = ROUTER.route(build_request(door, path, host=host))
    assert (route.instance, route.path, route.native) == (instance, rest, False)


def test_without_a_mark_the_first_of_a_type_is_its_default():
    router = ModeRouter(instances(b=("openai", {}), a=("openai", {"base_url": "https://gw.corp/v1"})), frozenset())
    assert by_path("/transparent/openai/v1", router)[0].instance == "b"


def test_names_are_exact_in_every_order_of_the_file():
    """`bedrock` never captures `bedrock_us1`."""
    names = ["bedrock", "bedrock_us1", "bedrock_us", "bedrock-us1", "bedrock_us10"]
    handlers = instances(**{name: ("bedrock", {}) for name in names})
    shuffle = random.Random(1).shuffle
    for _ in range(1000):
        shuffle(names)
        router = ModeRouter({name: handlers[name] for name in names}, frozenset())
        assert [by_path(f"/transparent/{name}/x", router)[0].instance for name in names] == names


@pytest.mark.parametrize(
    "name", ["Openai", "bedrock_", "bedrock_us", "bedrock_us11", "open.ai", "vertex", "oci", "x" * 300]
)
def test_an_unknown_name_is_told_what_exists(name):
    with pytest.raises(UnknownInstance) as caught:
        by_path(f"/transparent/{name}/v1")
    assert "/transparent/bedrock_eu1/…" in caught.value.sentence
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    "path",
    [
        "/transparent/op%65nai/v1",
        "/transparent//openai/v1",
        "/transparent/openai;x/v1",
        "/transparent/o@x",
        "/transparent/%2Fopenai",
    ],
)
def test_a3_the_routed_part_has_one_spelling(path):
    with pytest.raises(BadRequest, match="No instance name"):
        by_path(path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", ("openai", "chat", None)),
        ("/v1/messages?beta=true", ("anthropic", "messages", None)),
        ("/openai/openai/v1/responses", ("openai", "responses", "openai")),
    ],
)
def test_protocol_mode_has_its_own_doors(path, expected):
    route, decision = by_path(path)
    assert (route.protocol, route.operation, route.instance) == expected
    assert (decision.router, decision.outcome) == ("mode", f"protocol: {expected[0]} {expected[1]}")


REROUTED = ModeRouter(
    instances(openai=("openai", {})),
    frozenset(),
    rerouted={
        HostPort("api.openai.com", 443): Reroute(protocol="openai"),
        HostPort("api.anthropic.com", 443): Reroute(protocol="anthropic", instance="openai"),
    },
)


def rerouted(host, path):
    return REROUTED.route(build_request(Door.TUNNEL, host=host, path=path))


def test_inference_at_a_rerouted_host_is_answered_by_others():
    route, _ = rerouted("api.openai.com", "/v1/chat/completions")
    assert route == ProtocolRoute(protocol="openai", operation="chat", path="/v1/chat/completions")
    route, _ = rerouted("api.anthropic.com", "/v1/messages?beta=true")
    assert (route.protocol, route.operation, route.instance) == ("anthropic", "messages", "openai")


@pytest.mark.parametrize("path", ["/v1/files", "/v1/completions", "/v1/chat%2Fcompletions", "//v1/responses", "/"])
def test_nothing_else_is_answered_at_a_rerouted_host(path):
    """Its owner has a path of its own, and the refusal says so; of a host that nobody owns it names none."""
    with pytest.raises(NotFound, match="Nothing but inference") as owned:
        rerouted("api.openai.com", path)
    assert "/transparent/openai/…" in owned.value.sentence
    with pytest.raises(NotFound, match="Nothing but inference") as foreign:
        rerouted("api.anthropic.com", path)
    assert "/transparent/" not in foreign.value.sentence


def test_a_rerouted_host_is_told_of_its_own_protocols_paths_only():
    with pytest.raises(NotFound) as refused:
        rerouted("api.anthropic.com", "/v1/files")
    assert "/v1/messages" in refused.value.hint
    assert "/v1/chat/completions" not in refused.value.hint


def test_a_rerouted_host_is_intercepted_and_refused_in_its_protocols_shape():
    target = HostPort("api.anthropic.com", 443)
    assert REROUTED.passage(target) is Passage.INTERCEPT
    request = build_request(Door.TUNNEL, host="api.anthropic.com", path="/v1/files")
    assert REROUTED.shape_of(request).name == "anthropic"
    with pytest.raises(HostNotServed):
        REROUTED.passage(HostPort("api.anthropic.com", 8443))


@pytest.mark.parametrize(
    "path", ["/", "/transparent", "/transparent/", "/Transparent/openai/v1", "//transparent/openai/v1", "/admin"]
)
def test_anything_else_is_not_found(path):
    with pytest.raises(NotFound, match="Nothing is served at"):
        by_path(path)


def test_a_query_is_never_repeated_in_a_refusal():
    with pytest.raises(NotFound) as caught:
        by_path("/nowhere?key=llmauth_secret")
    assert "llmauth_secret" not in caught.value.sentence


@pytest.mark.parametrize("path", ["/{}", "/transparent/{}/v1", "/transparent/{}%/v1", "/openai/{}/v1", "/v1/{}"])
def test_r1_a_key_in_the_path_is_never_repeated_in_a_refusal(path):
    with pytest.raises(GatewayError) as caught:
        by_path(path.format("llmauth_abcdefghij_secret"))
    assert "llmauth_" not in caught.value.sentence + caught.value.message + (caught.value.detail or "")


def test_without_instances_the_refusal_says_so():
    with pytest.raises(UnknownInstance, match=r"type 'openai' is configured") as caught:
        by_path("/transparent/openai/v1", ModeRouter({}, frozenset()))
    assert caught.value.hint == "This gateway has no instance configured."


def test_a_shared_host_means_the_marked_instance_or_nobody():
    shared = ROUTER.route
    with pytest.raises(Forbidden, match="bedrock, bedrock_us1"):
        shared(build_request(Door.TUNNEL, "/model/x/converse", host="bedrock-runtime.us-east-1.amazonaws.com"))
    for marks, winner in (((True, False), "a"), ((False, True), "b")):
        two = instances(a=("openai", {"default": marks[0]}), b=("openai", {"default": marks[1]}))
        route, decision = ModeRouter(two, frozenset()).route(build_request(Door.TUNNEL, host="api.openai.com"))
        assert route.instance == winner
        assert "default of 2" in decision.reason
    both = instances(a=("openai", {"default": True}), b=("openai", {"default": True}))
    with pytest.raises(Forbidden):
        ModeRouter(both, frozenset()).route(build_request(Door.TUNNEL, host="api.openai.com"))


@pytest.mark.parametrize("host", ["API.openai.com", "api.openai.com", RUNTIME_EU])
def test_s4_plain_http_to_a_provider_is_never_upgraded_nor_sent(host):
    with pytest.raises(Forbidden, match="clear text"):
        ROUTER.route(build_request(Door.ABSOLUTE, "/v1/models", host=host, port=80))


def test_https_in_absolute_form_is_told_to_connect():
    for host in ("api.openai.com", "llm.internal", "example.org"):
        with pytest.raises(BadRequest, match="absolute form") as caught:
            ROUTER.route(build_request(Door.ABSOLUTE, host=host, scheme="https"))
        assert "CONNECT" in caught.value.hint


@pytest.mark.parametrize("door", [Door.TUNNEL, Door.ABSOLUTE])
@pytest.mark.parametrize(
    "host", ["evil.example", "api.openai.com.evil.example", "xapi.openai.com", "openai.com", "github.com"]
)
def test_other_hosts_are_not_served(door, host):
    with pytest.raises(HostNotServed) as caught:
        ROUTER.route(build_request(door, host=host))
    assert "api.openai.com (openai)" in caught.value.hint
    assert caught.value.code == "host_not_allowed"


def test_s1_a_providers_host_at_another_port_is_another_place():
    with pytest.raises(HostNotServed):
        ROUTER.route(build_request(Door.TUNNEL, host="api.openai.com", port=8443))


@pytest.mark.parametrize(
    ("target", "passage"),
    [
        (HostPort("api.openai.com", 443), Passage.INTERCEPT),
        (HostPort(RUNTIME_EU, 443), Passage.INTERCEPT),
        (HostPort("bedrock-runtime.us-east-1.amazonaws.com", 443), Passage.INTERCEPT),
        (HostPort("llm.internal", 443), Passage.INTERCEPT),
        (HostPort("llm.internal", 8443), Passage.INTERCEPT),
        (HostPort("github.com", 443), Passage.TUNNEL),
        (HostPort("example.org", 80), Passage.TUNNEL),
    ],
)
def test_what_becomes_of_a_connect(target, passage):
    assert ROUTER.passage(target) is passage
    assert ROUTER.intercepts(target) is (passage is Passage.INTERCEPT)


@pytest.mark.parametrize(
    "target",
    [
        HostPort("api.openai.com", 80),
        HostPort("github.com", 22),
        HostPort("example.org", 443),
        HostPort("evil.example", 443),
    ],
)
def test_s8_the_rest_is_denied_unless_configured(target):
    with pytest.raises(HostNotServed):
        ROUTER.passage(target)
    assert not ROUTER.intercepts(target)
    for default in ("tunnel", "learn"):
        policy = Egress(default=default, ports=frozenset({22, 80, 443}))
        assert ModeRouter({}, frozenset(), policy).passage(target) is Passage.TUNNEL
        with pytest.raises(HostNotServed):
            ModeRouter({}, frozenset(), Egress(default=default, ports=frozenset({8443}))).passage(target)


@pytest.mark.parametrize("port", [80, 8443, 22])
def test_a_providers_name_is_tunnelled_on_no_port(port):
    """Who speaks to a provider is seen, whatever the egress policy says."""
    target = HostPort("api.openai.com", port)
    policy = Egress(default="tunnel", allow=frozenset({target}), ports=frozenset({443, port}))
    with pytest.raises(HostNotServed):
        ModeRouter(instances(openai=("openai", {})), frozenset(), policy).passage(target)


def plain_to(url, policy, door=Door.ABSOLUTE):
    router = ModeRouter(instances(openai=("openai", {})), frozenset({"llm.internal"}), policy)
    return router.plain(Request(method="GET", url=url, headers=Headers(), door=door))


def test_plain_http_is_carried_where_an_entry_names_the_port():
    policy = Egress(default="tunnel", allow=frozenset({HostPort("example.org", 80), HostPort("llm.internal", 80)}))
    assert plain_to(Url("http", "Example.ORG.", 80, "/"), policy) == HostPort("example.org", 80)
    assert plain_to(Url("http", "example.org", 8080, "/"), policy) is None
    assert plain_to(Url("https", "example.org", 80, "/"), policy) is None
    assert plain_to(Url("http", "llm.internal", 80, "/"), policy) is None
    assert plain_to(Url("http", "api.openai.com", 80, "/"), policy) is None
    assert plain_to(Url("http", "example.org", 80, "/"), policy, Door.GATEWAY) is None
    assert plain_to(Url("http", "example.org", 80, "/"), policy, Door.TUNNEL) is None


TOKENS = HostPort("iam.cloud.ibm.com", 443)


def test_a_token_host_is_intercepted_and_never_routed():
    """S1, S4: what is asked of it is answered elsewhere; nothing here leads to it, nor to whoever owns it besides."""
    owner = instances(odd=("openai", {"base_url": "https://iam.cloud.ibm.com/v1"}))
    everything = Egress(default="tunnel", allow=frozenset({TOKENS, HostPort(TOKENS.host, 80)}))
    for router in (
        ModeRouter({}, frozenset(), everything, {TOKENS: VENDORS["ibm"]}),
        ModeRouter(owner, frozenset(), everything, {TOKENS: VENDORS["ibm"]}),
    ):
        assert router.intercepts(TOKENS)
        assert router.passage(TOKENS) is Passage.INTERCEPT
        with pytest.raises(HostNotServed):
            router.passage(HostPort(TOKENS.host, 8443))
        with pytest.raises(HostNotServed):
            router.route(build_request(Door.TUNNEL, "/identity/token", host=TOKENS.host))
        plain = build_request(Door.ABSOLUTE, "/identity/token", host=TOKENS.host, port=80)
        assert router.plain(plain) is None
        with pytest.raises(Forbidden):
            router.route(plain)
        for door in (Door.CONNECT, Door.TUNNEL, Door.ABSOLUTE):
            assert router.shape_of(build_request(door, host=TOKENS.host)).name == "iam"


def test_a_connect_is_not_a_request_to_be_routed():
    with pytest.raises(InternalError):
        ROUTER.route(build_request(Door.CONNECT, host="api.openai.com"))


@pytest.mark.parametrize(
    ("request_", "shape"),
    [
        (build_request(Door.TUNNEL, host="api.anthropic.com"), "anthropic"),
        (build_request(Door.CONNECT, host=RUNTIME_EU), "converse"),
        (build_request(Door.TUNNEL, host="bedrock-runtime.us-east-1.amazonaws.com"), "converse"),
        (build_request(Door.ABSOLUTE, host="API.anthropic.com", port=80), "anthropic"),
        (build_request(Door.GATEWAY, "/transparent/claude/v1/messages"), "anthropic"),
        (build_request(Door.GATEWAY, "/transparent/bedrock/x", host="api.openai.com"), "converse"),
        (build_request(Door.TUNNEL, "/transparent/bedrock-runtime/x", host="llm.internal"), "converse"),
        (build_request(Door.GATEWAY, "/anthropic/x/v1/messages"), "anthropic"),
        (build_request(Door.GATEWAY, "/v1/messages"), "anthropic"),
        (build_request(Door.GATEWAY, "/v1/bedrock/invoke-model"), "converse"),
        (build_request(Door.GATEWAY, "/model/x/invoke"), "converse"),
        (build_request(Door.GATEWAY, "/v1/chat/completions"), "openai"),
        (build_request(Door.GATEWAY, "/transparent/nobody/x"), "openai"),
        (build_request(Door.GATEWAY, ""), "openai"),
        (build_request(Door.TUNNEL, "\udcff", host="evil.example"), "openai"),
        (build_request(Door.ABSOLUTE, host="user@\0"), "openai"),
    ],
)
def test_the_shape_is_known_before_anything_is_judged(request_, shape):
    assert ROUTER.shape_of(request_).name == shape


CLAUDE = "/v1/projects/p/locations/global/publishers/anthropic/models/c:rawPredict"


@pytest.mark.parametrize(
    ("request_", "shape"),
    [
        (build_request(Door.TUNNEL, CLAUDE, host="aiplatform.googleapis.com"), "anthropic"),
        (build_request(Door.TUNNEL, CLAUDE.replace("anthropic", "google"), host="aiplatform.googleapis.com"), "gemini"),
        (build_request(Door.CONNECT, "", host="aiplatform.googleapis.com"), "gemini"),
        (build_request(Door.GATEWAY, f"/transparent/vertex{CLAUDE}"), "anthropic"),
        (build_request(Door.GATEWAY, "/transparent/vertex-ai/v1/x"), "gemini"),
        (build_request(Door.GATEWAY, "/transparent/azure/anthropic/v1/messages"), "anthropic"),
        (build_request(Door.GATEWAY, "/transparent/azure/openai/v1/x"), "openai"),
        (build_request(Door.GATEWAY, "/transparent/nobody/v1beta1/publishers/google/models"), "gemini"),
        (build_request(Door.GATEWAY, "/transparent/nobody/v1/projects/p"), "gemini"),
    ],
)
def test_a_provider_may_have_a_shape_for_each_of_its_apis(request_, shape):
    azure = ("azure", {"base_url": "https://c.openai.azure.com"})
    router = ModeRouter(instances(vertex=("vertex", {}), azure=azure), frozenset())
    assert router.shape_of(request_).name == shape


def test_several_instances_of_a_type_are_told_by_their_hosts():
    azure = [("azure", {"base_url": f"https://{name}.openai.azure.com"}) for name in ("us", "eu")]
    vertex = [("vertex", {"region": region}) for region in ("us-central1", "global")]
    router = ModeRouter(instances(a=azure[0], b=azure[1], c=vertex[0], d=vertex[1]), frozenset())
    hosts = {
        "us.services.ai.azure.com": "a",
        "eu.cognitiveservices.azure.com": "b",
        "us-central1-aiplatform.googleapis.com": "c",
        "aiplatform.googleapis.com": "d",
    }
    for host, instance in hosts.items():
        assert router.route(build_request(Door.TUNNEL, "/x", host=host))[0].instance == instance


def test_two_instances_of_one_resource_need_a_mark():
    azure = {"base_url": "https://c.openai.azure.com"}, {"base_url": "https://c.services.ai.azure.com/openai/v1"}
    request_ = build_request(Door.TUNNEL, "/x", host="c.cognitiveservices.azure.com")
    with pytest.raises(Forbidden, match="a, b"):
        ModeRouter(instances(a=("azure", azure[0]), b=("azure", azure[1])), frozenset()).route(request_)
    marked = instances(a=("azure", azure[0]), b=("azure", {**azure[1], "default": True}))
    assert ModeRouter(marked, frozenset()).route(request_)[0].instance == "b"


def test_the_shape_of_a_type_without_an_instance_is_still_its_own():
    router = ModeRouter({}, frozenset())
    assert router.shape_of(build_request(Door.GATEWAY, "/transparent/bedrock/x")).name == "converse"
    assert router.shape_of(build_request(Door.GATEWAY, "/transparent/oci/x")).name == "oracle"
    assert router.shape_of(build_request(Door.GATEWAY, "/transparent/watson/x")).name == "watsonx"
    for path, name in (("/20231130/actions/chat", "oracle"), ("/ml/v1/text/chat", "watsonx"), ("/x", "openai")):
        assert router.shape_of(build_request(Door.GATEWAY, f"/transparent/nobody{path}")).name == name
