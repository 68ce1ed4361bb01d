"""The real parts have the shape that the gateway asks for."""

import pytest

from exchange.api import ports
from exchange.engine import Engine, MarginSummary
from exchange.sequencer import Reply, Sequencer


def members(protocol):
    return [name for name in vars(protocol) if not name.startswith("_")]


@pytest.mark.parametrize(
    ("protocol", "real"),
    [
        (ports.Sequencer, Sequencer),
        (ports.EngineState, Engine),
        (ports.Margin, MarginSummary),
        (ports.Reply, Reply),
    ],
)
def test_the_real_part_answers_each_question(protocol, real):
    assert members(protocol)
    assert [name for name in members(protocol) if not hasattr(real, name)] == []
