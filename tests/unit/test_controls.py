"""What chain decisions are called in the journal."""

from exchange import controls, events


def test_events_pass_them_on_as_the_same_ones():
    for name in ("SessionKeySet", "KeyScoped", "NonceVoided", "SheetFloorRaised", "RiskPaused"):
        assert getattr(events, name) is getattr(controls, name)
