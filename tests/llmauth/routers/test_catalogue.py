"""Who answers for a model: rules in their order, prefixes, the form of an id; and nobody for an unknown name."""

import pytest

from llmauth import providers
from llmauth.errors import UnknownModel
from llmauth.providers import options_model
from llmauth.routers.catalogue import Catalogue, Rule, unreachable

CLAUDE = "anthropic.claude-3-5-sonnet-20240620-v1:0"


def instances(**types):
    made = {}
    for name, written in types.items():
        kind, _, rest = written.partition(" ")
        options = dict(pair.split("=") for pair in rest.split())
        if "deployments" in options:
            options["deployments"] = dict([options["deployments"].split(">")])
        made[name] = providers.build(name, options_model(kind).model_validate({"type": kind, **options}))
    return made


INSTANCES = instances(
    bedrock_eu1="bedrock region=eu-west-1",
    bedrock_us1="bedrock region=us-east-1",
    bedrock_us2="bedrock region=us-west-2 default=true",
    openai="openai",
    azure_main="azure base_url=https://x.openai.azure.com deployments=gpt-4o>my-deployment",
    vertex="vertex",
    watson="ibm",
)
RULES = (
    Rule(name="claude-3", instance="bedrock_us1", model=CLAUDE),
    Rule(name="claude-*", instance="bedrock_eu1"),
    Rule(name="gpt-4*", instance="azure_main", model="my-deployment"),
)


def found(model, rules=RULES, among=INSTANCES):
    one = Catalogue(among, rules).find(model)
    return one.instance, one.model


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-3", ("bedrock_us1", CLAUDE)),
        ("claude-3-haiku", ("bedrock_eu1", "claude-3-haiku")),
        ("gpt-4-turbo", ("azure_main", "my-deployment")),
        ("gpt-5", ("openai", "gpt-5")),
        ("openai/gpt-4o", ("openai", "gpt-4o")),
        ("azure_main/other", ("azure_main", "other")),
        ("bedrock/amazon.nova-pro-v1:0", ("bedrock_us2", "amazon.nova-pro-v1:0")),
        ("oci/x", None),
        ("ibm/granite-3-8b-instruct", ("watson", "ibm/granite-3-8b-instruct")),
        ("watson/ibm/granite-3-8b-instruct", ("watson", "ibm/granite-3-8b-instruct")),
        ("eu.anthropic.claude-sonnet-4", ("bedrock_eu1", "eu.anthropic.claude-sonnet-4")),
        ("us.anthropic.claude-sonnet-4", ("bedrock_us2", "us.anthropic.claude-sonnet-4")),
        ("apac.anthropic.claude-sonnet-4", None),
        ("bedrock/apac.anthropic.claude-sonnet-4", None),
        (f"arn:aws:bedrock:us-east-1:1:foundation-model/{CLAUDE}", ("bedrock_us1", "...")),
        ("gemini-2.5-pro", ("vertex", "gemini-2.5-pro")),
        ("meta.llama-3.3-70b-instruct", None),
        ("nobodys-model", None),
        ("openai/", None),
        ("", None),
    ],
)
def test_the_first_that_holds(model, expected):
    if expected is None:
        with pytest.raises(UnknownModel):
            found(model)
    else:
        assert found(model) == (expected[0], model if expected[1] == "..." else expected[1])


def test_a_rule_goes_before_what_an_id_tells():
    assert found("gpt-5", (Rule(name="*", instance="vertex", model="gemini-2.5-pro"),)) == ("vertex", "gemini-2.5-pro")


def test_the_answer_never_depends_on_how_names_begin():
    """Names of which one begins as another does are told apart, whatever stands first."""
    for order in (("bedrock", "bedrock_us1"), ("bedrock_us1", "bedrock")):
        among = instances(**dict.fromkeys(order, "bedrock"))
        assert found("bedrock_us1/x", (), among) == ("bedrock_us1", "x")
        assert found("bedrock/x", (), among) == ("bedrock", "x")


@pytest.mark.parametrize(
    ("instance", "model", "expected"),
    [
        ("bedrock_us1", "claude-3", CLAUDE),
        ("bedrock_eu1", "claude-3", "claude-3"),
        ("bedrock_us1", CLAUDE, CLAUDE),
        ("openai", "openai/gpt-4o", "gpt-4o"),
        ("openai", "vertex/gemini", "vertex/gemini"),
        ("watson", "watson/x", "watson/x"),
        ("watson", "watson/meta-llama/llama-3-3-70b-instruct", "meta-llama/llama-3-3-70b-instruct"),
    ],
)
def test_an_instance_that_was_named_is_not_left(instance, model, expected):
    one = Catalogue(INSTANCES, RULES).within(instance, model)
    assert (one.instance, one.model) == (instance, expected)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("ibm/meta-llama/llama-3-3-70b-instruct", "meta-llama/llama-3-3-70b-instruct"),
        ("ibm/ibm/granite-3-8b-instruct", "ibm/granite-3-8b-instruct"),
        ("ibm/granite-3-8b-instruct", "ibm/granite-3-8b-instruct"),
    ],
)
def test_ibm_is_a_maker_where_one_name_follows_and_an_instance_where_two_do(model, expected):
    among = instances(ibm="ibm")
    assert found(model, (), among) == ("ibm", expected)
    assert Catalogue(among).within("ibm", model).model == expected


def test_an_unknown_name_is_told_its_neighbours():
    with pytest.raises(UnknownModel) as refused:
        Catalogue(INSTANCES, RULES).find("claude3")
    assert "claude-3" in refused.value.hint
    assert refused.value.param == "model"


def test_a_key_that_was_put_there_is_not_repeated():
    with pytest.raises(UnknownModel) as refused:
        Catalogue(INSTANCES, RULES).find("llmauth_abc_secret")
    assert "secret" not in refused.value.sentence


def test_the_list_names_what_the_configuration_names():
    assert Catalogue(INSTANCES, RULES).names() == (("claude-3", "bedrock_us1"), ("gpt-4o", "azure_main"))


def test_each_of_two_instances_lists_a_name_that_both_have():
    address = "azure base_url=https://x.openai.azure.com deployments=gpt-4o>mine"
    catalogue = Catalogue(instances(east=address, west=address), (Rule(name="fast", instance="west"),))
    assert catalogue.names_within("east") == ("gpt-4o",)
    assert catalogue.names_within("west") == ("fast", "gpt-4o")
    assert catalogue.names() == (("fast", "west"), ("gpt-4o", "east"))


def test_a_name_is_listed_with_whom_a_caller_reaches_by_it():
    rules = (Rule(name="gpt-*", instance="azure_main"), Rule(name="gpt-5", instance="openai"))
    assert ("gpt-5", "azure_main") in Catalogue(INSTANCES, rules).names()


@pytest.mark.parametrize(
    ("instance", "model", "served"),
    [
        ("azure_main", "gpt-4o", True),
        ("bedrock_us1", "claude-3", True),
        ("bedrock_eu1", "claude-3", True),
        ("bedrock_eu1", CLAUDE, True),
        ("openai", "gpt-5", True),
        ("openai", "openai/anything", True),
        ("openai", "claude-3", False),
        ("watson", "nobodys-model", False),
    ],
)
def test_what_is_known_to_be_an_instances(instance, model, served):
    assert Catalogue(INSTANCES, RULES).serves(instance, model) is served


def test_of_an_instance_only_its_own_neighbours_are_told():
    hint = Catalogue(INSTANCES, RULES).unknown("claude3", "azure_main").hint
    assert "gpt-4o" in hint
    assert "claude-3" not in hint


def test_the_names_that_may_be_shown_are_those_of_the_configuration():
    assert Catalogue(INSTANCES, RULES).known() == {"claude-3", "gpt-4o", CLAUDE, "my-deployment"}


def test_short_names_count_for_their_own_provider():
    catalogue = Catalogue(INSTANCES, RULES)
    assert catalogue.alias("claude-3", "bedrock").model == CLAUDE
    assert catalogue.alias("claude-3", "vertex") is None
    assert catalogue.alias("claude-3-haiku", "bedrock") is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("gpt-*", "gpt-4o"), [("gpt-4o", "gpt-*")]),
        (("gpt-4o", "gpt-*"), []),
        (("*", "gpt-*", "x"), [("gpt-*", "*"), ("x", "*")]),
        (("a", "b"), []),
        (("gpt-4*", "gpt-*"), []),
        (("gpt-?", "gpt-*"), []),
        (("gpt-?", "gpt-4"), [("gpt-4", "gpt-?")]),
        (("gpt-*", "gpt-?"), [("gpt-?", "gpt-*")]),
    ],
)
def test_rules_that_never_match(names, expected):
    rules = [Rule(name=name, instance="openai") for name in names]
    assert [(later.name, earlier.name) for later, earlier in unreachable(rules)] == expected
