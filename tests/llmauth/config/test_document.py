"""The models of the files, and docs/CONFIGURATION.md, which must say what the models do."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from llmauth import providers
from llmauth.config import environment
from llmauth.config.document import Document, Instance
from llmauth.config.policies import BudgetSection, PolicySection, PriceSection
from llmauth.config.shapes import shapes_of
from llmauth.config.telemetry import Otlp
from llmauth.credentials import StrategyOptions, WorkloadIdentityOptions
from llmauth.vaults import VaultsOptions

ROOT = Path(__file__).parents[3]
# A path, whose file has rows of its own.
FILES = {"prices"}


def tables() -> dict[str, dict[str, str]]:
    """Heading -> the rows below it: key -> the default as written, without its quotes."""
    found: dict[str, dict[str, str]] = {}
    heading = ""
    for line in (ROOT / "docs/CONFIGURATION.md").read_text().splitlines():
        if match := re.match(r"#+ `(.*)`", line):
            heading = match[1]
        elif match := re.match(r"\| `(\w+)` \| (?:`(.*?)`)? *\| \S", line):
            found.setdefault(heading, {})[match[1]] = match[2] or ""
    return found


def section_model(name: str) -> type[BaseModel]:
    shapes: tuple[object, ...] = shapes_of(Document.model_fields[name].annotation)
    entries = (shapes_of(get_args(shape)[1]) for shape in shapes if get_origin(shape) is Mapping)
    models = [m for m in (*shapes, *(shape for each in entries for shape in each)) if isinstance(m, type)]
    return next(model for model in models if issubclass(model, BaseModel))


def assert_same(model: type[BaseModel], rows: dict[str, str], skip: frozenset[str] = frozenset()) -> None:
    fields = {name: field for name, field in model.model_fields.items() if name not in skip}
    assert set(rows) == set(fields)
    for name, written in rows.items():
        field = fields[name]
        if not written:
            assert field.is_required() or field.default in (None, "")
            continue
        value = YAML(typ="safe").load(written)
        parsed = getattr(model.model_validate({**required(model), name: value}), name)
        assert parsed == field.default, f"{model.__name__}.{name}: the page says {written}"


def required(model: type[BaseModel]) -> dict[str, Any]:
    values = {"port": 1, "path": "x", "type": None, "provider": "aws", "instance": "x", "protocol": "openai"}
    values |= {"backend": "hashicorp", "secret_name": "x", "amount": 1, "input": 1, "endpoint": "https://x"}
    return {
        name: get_args(field.annotation)[0] if name == "type" else values[name]
        for name, field in model.model_fields.items()
        if field.is_required()
    }


SECTIONS = [name for name in Document.model_fields if name not in FILES | {"instances", "vaults"}]


@pytest.mark.parametrize("name", SECTIONS)
def test_the_page_has_every_key_of_a_section_with_its_default(name):
    assert_same(section_model(name), tables()[name])


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("policies.users.NAME", PolicySection),
        ("policies.users.NAME.budget", BudgetSection),
        ("prices", PriceSection),
        ("telemetry.otlp", Otlp),
    ],
)
def test_the_page_has_every_key_of_a_part(heading, model):
    assert_same(model, tables()[heading])


def test_the_page_has_every_key_of_an_instance():
    rows = tables()["instances"]
    fields = {
        name: field.default
        for handler in providers.HANDLERS.values()
        for name, field in handler.options_model.model_fields.items()
    }
    assert set(rows) == {*fields, "authentication"}
    lines = re.findall(r"(?m)^\| `region` .*", (ROOT / "docs/CONFIGURATION.md").read_text())
    line = next(line for line in lines if "`bedrock`: " in line)
    for type_, handler in providers.HANDLERS.items():
        if region := handler.options_model.model_fields.get("region"):
            assert f"`{type_}`: `{region.default}`" in line
    assert (rows["default"], rows["strict"]) == ("false", "false")


def test_the_page_has_every_key_of_a_strategy():
    pages = {name[6:]: rows for name, rows in tables().items() if name.startswith("type: ")}
    models = {model.model_fields["type"].default: model for model in reversed(shapes_of(StrategyOptions))}
    assert set(pages) == set(models)
    for name, rows in pages.items():
        assert_same(models[name], rows, skip=frozenset({"type"}))


def test_the_page_has_every_key_of_a_clouds_identity():
    pages = {name[10:]: rows for name, rows in tables().items() if name.startswith("provider: ")}
    models = {model.model_fields["provider"].default: model for model in shapes_of(WorkloadIdentityOptions)}
    assert set(pages) == set(models) - {"aws"}
    for name, rows in pages.items():
        assert_same(models[name], rows, skip=frozenset({"type", "provider"}))


def test_the_page_has_every_key_of_a_vault():
    pages = {name[7:]: rows for name, rows in tables().items() if name.startswith("vaults.")}
    fields = VaultsOptions.model_fields
    assert set(pages) == set(fields)
    for name, rows in pages.items():
        (model,) = shapes_of(fields[name].annotation)
        assert_same(model, rows)


def test_the_page_has_every_environment_variable():
    text = (ROOT / "docs/CONFIGURATION.md").read_text()
    for name, path in environment.VARIABLES.items():
        assert f"| `{name}` | `{path}`" in text
    for name in environment.LATER_VARIABLES:
        assert f"`{name}`" in text


def test_the_page_names_every_section():
    text = (ROOT / "docs/CONFIGURATION.md").read_text()
    for name in Document.model_fields:
        assert f"`{name}`" in text


def test_an_instance_is_its_providers_own_options():
    document = Document.model_validate({"instances": {"b": {"type": "bedrock", "region": "eu-west-1"}}})
    instance = document.instances["b"]
    assert isinstance(instance, Instance)
    assert isinstance(instance, providers.HANDLERS["bedrock"].options_model)
    assert instance.strategies == ()
