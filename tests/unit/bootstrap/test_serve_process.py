"""What a gateway's process says of itself."""

import pytest

from exchange.bootstrap.serve_process import UNHEARD_S, _reasons
from exchange.ingress.replica import SILENCE_S


class Side:
    """A replica by its figures: seconds since it heard or read anything."""

    def __init__(self, **figures: float) -> None:
        self.connected = "lost" not in figures
        self._figures = figures

    def unheard_s(self) -> float:
        return self._figures.get("unheard", 0.0)

    def unread_s(self) -> float:
        return self._figures.get("unread", 0.0)

    def leader_silent_s(self) -> float:
        return self._figures.get("silent", 0.0)


@pytest.mark.parametrize(
    ("figures", "names"),
    [
        ({}, set()),
        ({"unheard": UNHEARD_S, "unread": SILENCE_S, "silent": SILENCE_S}, set()),
        ({"lost": 1.0, "unheard": 99.0}, {"ingress"}),
        ({"unheard": UNHEARD_S + 1}, {"ingress"}),
        ({"unread": SILENCE_S + 1}, {"journal"}),
        ({"silent": SILENCE_S + 1}, {"engine"}),
    ],
)
def test_each_reason_has_its_cause(figures, names):
    """Redis, an engine that does not reach it, the journal, and nobody who leads."""
    assert set(_reasons(Side(**figures))) == names
