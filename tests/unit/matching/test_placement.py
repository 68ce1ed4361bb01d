"""The instruction word holds what it was made of."""

import itertools

import pytest

from exchange.matching import placement
from exchange.matching.placement import Outcome, PostOnly, instruction_word
from exchange.model import SelfTradePrevention, TimeInForce


def test_every_word_is_another():
    choices = itertools.product(TimeInForce, PostOnly, SelfTradePrevention, (True, False))
    words = {
        instruction_word(tif, post_only, mode, matching=matching)
        for tif, post_only, mode, matching in choices
    }
    assert len(words) == 4 * 3 * 4 * 2
    assert instruction_word() == 0


@pytest.mark.parametrize("outcome", Outcome)
def test_the_plain_numbers_are_those_of_the_outcomes(outcome):
    if placement.__file__.endswith(".py"):
        assert getattr(placement, outcome.name) == outcome
