"""The gateway's picture through a snapshot: the same, and it goes on."""

import pytest
from tests.signed_venue import traded_venue

from exchange.api.view_snapshot import frozen_view, thawed_view
from exchange.api.views import VenueView
from exchange.freeze import Foreign, freeze
from exchange.journal import Entry, EntryEncoder


def entries() -> list[Entry]:
    encoder = EntryEncoder()
    return [encoder.stamp(*entry[1:])[0] for entry in traded_venue().entries]


def test_it_goes_on_from_any_entry():
    """Owners and books are the view's own again, not copies of them."""
    history, whole = entries(), VenueView()
    for entry in history:
        whole.apply(entry)
    for cut in range(len(history)):
        view = VenueView()
        for entry in history[:cut]:
            view.apply(entry)
        view = thawed_view(frozen_view(view))
        assert view.owners is view._access.owners
        for entry in history[cut:]:
            view.apply(entry)
        assert frozen_view(view) == frozen_view(whole)
    assert whole.trades
    assert whole.owners


@pytest.mark.parametrize("memory", [{}, {"seq": 1}, 7])
def test_another_view_is_foreign(memory):
    """With other fields, or none."""
    with pytest.raises(Foreign, match="other fields now"):
        thawed_view(freeze(memory))
