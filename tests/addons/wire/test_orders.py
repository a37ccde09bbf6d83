from __future__ import annotations

from addons.wire.orders import AwaitDrain, Reading
from tests.addons.layers import context


def test_neither_waits_for_an_answer_of_its_own() -> None:
    """A layer that yields a blocking command stands still until it is completed."""
    orders = [AwaitDrain(lambda: 7), Reading(context().server, wanted=False)]
    assert [order.blocking for order in orders] == [False, False]
    assert isinstance(orders[0], AwaitDrain)
    assert orders[0].unsent() == 7
