"""Lists of models as the two protocols write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from llmauth.codecs.base import to_json
from llmauth.context import ClientProtocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A model that may be asked for. `owner` is the provider's type; `since` is Unix time."""

    id: str
    owner: str
    since: int


def render_list(protocol: ClientProtocol, models: Sequence[Listed]) -> bytes:
    """All of them, on one page."""
    if protocol == "openai":
        return to_json({"object": "list", "data": [_openai(one) for one in models]})
    ends = (models[0].id, models[-1].id) if models else (None, None)
    data = [_anthropic(one) for one in models]
    return to_json({"data": data, "has_more": False, "first_id": ends[0], "last_id": ends[1]})


def render_one(protocol: ClientProtocol, model: Listed) -> bytes:
    """One by itself."""
    return to_json(_openai(model) if protocol == "openai" else _anthropic(model))


def _openai(model: Listed) -> dict[str, object]:
    return {"id": model.id, "object": "model", "created": model.since, "owned_by": model.owner}


def _anthropic(model: Listed) -> dict[str, object]:
    since = datetime.fromtimestamp(model.since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "model", "id": model.id, "display_name": model.id, "created_at": since}
