"""What tokens cost: a table of prices by model, the cost of a use, and the models that have no price."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from llmauth.chat.messages import Usage
from llmauth.governance.model_names import Globs, names_of
from llmauth.storage.key_text import shown

logger = logging.getLogger(__name__)

_PER = Decimal(1_000_000)
_MOST_REMEMBERED = 2_000
_MOST_TOLD = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Money for a million tokens of each kind. What a cache holds costs as `input`, and thoughts as `output`, unless
    said otherwise.
    """

    input: Decimal
    output: Decimal = Decimal(0)
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None

    def cost(self, usage: Usage) -> Decimal:
        """What a use of so many tokens costs."""
        thought = min(usage.reasoning, usage.output)
        return (
            usage.input * self.input
            + usage.cache_read * _or(self.cache_read, self.input)
            + usage.cache_write * _or(self.cache_write, self.input)
            + (usage.output - thought) * self.output
            + thought * _or(self.reasoning, self.output)
        ) / _PER

    def most(self, prompt: int, output: int) -> Decimal:
        """The most that so many tokens can cost, whatever a cache holds and however much is thought."""
        dearest = max(self.input, _or(self.cache_read, self.input), _or(self.cache_write, self.input))
        return (prompt * dearest + output * max(self.output, _or(self.reasoning, self.output))) / _PER


class Prices:
    """The table; of several globs that mean a model the first counts.

    `unpriced` counts the uses that had no price.
    """

    def __init__(self, table: Mapping[str, Price] | None = None) -> None:
        self._table = [(Globs([text]), text == "*", price) for text, price in (table or {}).items()]
        self._found: dict[tuple[str | None, ...], Price | None] = {}
        self._told: set[str] = set()
        self.unpriced = 0

    def __bool__(self) -> bool:
        return bool(self._table)

    def price_of(self, *models: str | None) -> Price | None:
        """The price of a model, by the first of its names that has one; `None` where none has."""
        if models not in self._found:
            if len(self._found) >= _MOST_REMEMBERED:  # callers may make names up
                self._found.clear()
            self._found[models] = self._looked_up(models)
        return self._found[models]

    def cost(self, usage: Usage, *models: str | None) -> Decimal | None:
        """What a use costs; `None`, counted and told once for each model, where it has no price."""
        price = self.price_of(*models)
        if price is not None:
            return price.cost(usage)
        self.unpriced += 1
        if self._table:
            self._tell(next((model for model in models if model), ""))
        return None

    def most(self, prompt: int, output: int, *models: str | None) -> Decimal:
        """The most that a request can cost; nothing where its model has no price."""
        price = self.price_of(*models)
        return Decimal(0) if price is None else price.most(prompt, output)

    def _looked_up(self, models: tuple[str | None, ...]) -> Price | None:
        for model in models:
            names = names_of(model) if model else ()
            for globs, is_any, price in self._table:
                if globs.match_any(names) and not is_any:
                    return price
        # Last, so that a name that means nothing to the table does not hide one that does.
        return next((price for _, is_any, price in self._table if is_any), None)

    def _tell(self, model: str) -> None:
        name = shown(model) or "a request without a model"
        if name not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(name)
            logger.warning(
                "No price is known of a model that is in use, so it counts for no budget; add it to the price table.",
                extra={"model": name},
            )


def _or(price: Decimal | None, other: Decimal) -> Decimal:
    return other if price is None else price
