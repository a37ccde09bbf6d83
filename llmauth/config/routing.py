"""The sections that say who answers: models by name and rule, rerouted hosts, and what is sent differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from llmauth.chat.words import PARAMETERS, Word
from llmauth.config.sections import Section
from llmauth.context import ClientProtocol
from llmauth.storage.key_text import PREFIX

_PARAMETERS = {word.value: word for word in PARAMETERS}


def _model(value: object) -> object:
    if isinstance(value, str):
        if not value.isprintable() or not value.strip():
            raise ValueError("not the name of a model")
        if PREFIX in value:
            raise ValueError("a key of this gateway, where the name of a model is wanted")
    return value


def _word(value: object) -> object:
    if isinstance(value, Word):
        return value
    if isinstance(value, str) and value in _PARAMETERS:
        return _PARAMETERS[value]
    raise ValueError(f"no parameter of a chat; known are {', '.join(_PARAMETERS)}")


ModelName = Annotated[str, BeforeValidator(_model), Field(min_length=1, max_length=2048)]
Parameter = Annotated[Word, BeforeValidator(_word)]


class ModelEntry(Section):
    """Who answers for a model, or for every model that a glob matches; `model` is its name there."""

    instance: str
    model: ModelName | None = None


class HostEntry(Section):
    """A provider's own host whose inference calls others answer: by the model router, or by one instance."""

    protocol: ClientProtocol
    instance: str | None = None


class Transformation(Section):
    """What is sent to an instance differently from what was asked, where a chat is translated."""

    defaults: Mapping[Parameter, Any] = {}
    drop: tuple[Parameter, ...] = ()
