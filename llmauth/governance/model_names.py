"""By which names a rule or a price may mean a model: its id, and what is left of it without place and maker."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate
from functools import lru_cache

# Of ids such as `us.anthropic.claude-…` and `meta.llama…`: in which part of the world it runs, and whose it is.
_BEFORE = re.compile(
    r"(?:(?:us-gov|us|eu|apac|jp|au|ca|in|global)\.)?"
    r"(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|moonshot|moonshotai|nvidia|openai|qwen"
    r"|stability|twelvelabs|writer|xai|zai)\."
)


@lru_cache(maxsize=4096)
def names_of(model: str) -> tuple[str, ...]:
    """The id as it stands; its last part, where it is a path or an ARN; and that without place and maker."""
    last = model.rpartition("/")[2]
    return tuple(dict.fromkeys(name for name in (model, last, _BEFORE.sub("", last, count=1)) if name))


class Globs:
    """Some globs: `*`, `?` and `[…]` have their usual meaning and stand for no slash, and case counts.

    A slash separates an instance from its model: what allows `claude*` must not allow `claude-team/another-model`.
    """

    __slots__ = ("_paths", "_plain", "texts")

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(texts)
        plain = [translate(text) for text in self.texts if "/" not in text]
        self._plain = re.compile("|".join(plain) or r"(?!)")  # the latter matches nothing
        self._paths = [tuple(map(_compiled, text.split("/"))) for text in self.texts if "/" in text]

    def match(self, name: str) -> bool:
        """Whether one of them means this name."""
        if "/" not in name:
            return self._plain.match(name) is not None
        parts = name.split("/")
        return any(_fits(path, parts) for path in self._paths)

    def match_any(self, names: Iterable[str]) -> bool:
        """Whether one of them means one of these names."""
        return any(self.match(name) for name in names)


def _compiled(part: str) -> re.Pattern[str]:
    return re.compile(translate(part))


def _fits(path: Sequence[re.Pattern[str]], parts: Sequence[str]) -> bool:
    return len(path) == len(parts) and all(one.match(part) for one, part in zip(path, parts, strict=True))
