"""The commands of a page, in the order in which a reader types them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.test_docs import Fence, fences

SHELLS = ("sh", "bash", "console")
_HERE_DOCUMENT = re.compile(r"<<-?\s*'?\"?(\w+)")


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is typed at once, and the heading that it stands under."""

    heading: str = field(compare=False)
    text: str

    @property
    def serves(self) -> bool:
        """Whether it runs until it is ended."""
        return re.search(r"(?m)^(?:\w+=\S+ )*(?:llmauth serve|\S*mitm(?:dump|web))\s", self.text) is not None


def steps(page: Path) -> list[Step]:
    """Whole blocks of `sh` and `bash`; of `console`, what stands behind each `$`."""
    blocks = (fence for fence in fences(page) if fence.language in SHELLS)
    return [Step(heading=fence.heading, text=text) for fence in blocks for text in _typed(fence)]


def _typed(fence: Fence) -> Iterator[str]:
    if fence.language != "console":
        yield fence.text
        return
    lines = iter(fence.text.splitlines())
    for line in lines:
        if not line.startswith("$ "):
            continue
        typed = [line.removeprefix("$ ")]
        while typed[-1].endswith("\\"):
            typed.append(next(lines).removeprefix("> "))
        if found := _HERE_DOCUMENT.search(typed[-1]):
            while typed[-1] != found[1]:
                typed.append(next(lines).removeprefix("> "))
        yield "\n".join(typed) + "\n"
