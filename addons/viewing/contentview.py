"""The view "LLM Proxy Auth" of mitmproxy: what was decided about the request of the message that is looked at."""

from __future__ import annotations

from mitmproxy import contentviews
from mitmproxy.contentviews import Contentview, Metadata, SyntaxHighlight

from addons.viewing.notes import notes_of

NAME = "LLM Proxy Auth"
_NOTHING = "Nothing is known of this flow."


class Decided(Contentview):
    """Looks at no byte of the message itself."""

    name = NAME
    syntax_highlight: SyntaxHighlight = "yaml"

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """What is told beside the copy."""
        return (notes_of(metadata.flow) if metadata.flow is not None else "") or _NOTHING

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        """Chosen where there is nothing else to be seen, or by hand."""
        return 0.5 if not data else 0.01


def offer() -> None:
    """Have mitmproxy know the view; once is enough, and more does no harm."""
    if NAME.lower() not in contentviews.registry:
        contentviews.registry.register(Decided())
