"""Who would be liquidated by other parameters, found without touching the state."""

import msgspec
from tests.venue import MARGIN, C, configuration, open_venue, usdc

from exchange.fixed import RATIO_SCALE

HARDER = configuration(
    version=2, margin=msgspec.structs.replace(MARGIN, maintenance_factor=RATIO_SCALE * 4)
)


def short_venue():
    """Ann is short ten calls with little to spare, bob is long with much."""
    venue = open_venue()
    ann, bob = venue.fund("ann", 40_000), venue.fund("bob")
    venue.buy(bob, 10, 2_500)
    venue.sell(ann, 10, 2_500)
    return venue, ann, bob


def test_a_change_names_whom_it_would_liquidate():
    """And says by how much each would stand before and after, as the engine then does."""
    venue, ann, bob = short_venue()
    before = venue.engine.state_hash()
    found = {one.subaccount_id: one for one in venue.engine.preview((ann, bob, 99), HARDER, None)}
    assert sorted(found) == [ann, bob]
    assert [key for key, one in found.items() if one.liquidated] == [ann]
    assert venue.engine.state_hash() == before
    summary = venue.engine.margin(ann)
    assert found[ann].maintenance_before == summary.maintenance_excess
    assert found[ann].initial_before == summary.initial_excess
    venue.send(HARDER)
    assert found[ann].maintenance_after == venue.engine.margin(ann).maintenance_excess < 0
    assert found[bob].initial_after == venue.engine.margin(bob).initial_excess


def test_rows_may_change_instead():
    """The same for scaled scenarios: the epoch that would follow."""
    venue, ann, _ = short_venue()
    venue.marks[C] = usdc(9_000)
    update = venue.marks_update()
    (found,) = venue.engine.preview((ann,), configuration(), update)
    assert found.liquidated
    assert found.restricted
    venue.send(update)
    assert venue.engine.margin(ann).maintenance_excess == found.maintenance_after


def test_whoever_is_short_of_it_already_is_not_counted():
    """A change is charged with what it does, not with what was."""
    venue, ann, _ = short_venue()
    venue.mark({C: 9_000})
    (found,) = venue.engine.preview((ann,), HARDER, None)
    assert found.maintenance_before < 0
    assert not found.liquidated
    assert not found.restricted


def test_before_the_first_epoch_there_is_nothing_to_margin():
    """Cash alone stays as it is."""
    venue = open_venue()
    (found,) = venue.engine.preview((venue.fund("ann", 5),), HARDER, None)
    assert found.maintenance_after == found.initial_before == usdc(5)
