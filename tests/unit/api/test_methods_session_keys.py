"""Session keys as their owner sees them."""

import asyncio

from tests.unit.api.world import MAKER_KEY, TAKER, allow, call, session_of

from exchange.commands import KeyScopeSeen
from exchange.fixed import RATIO_SCALE
from exchange.model import KeyLimit, KeyScope, Kind


def listed(world, *key):
    session = session_of(world, *key).session
    return asyncio.run(call(world, "private/get_session_keys", session=session))["result"]


def test_keys_are_shown_with_their_scopes_to_their_owner_alone(world):
    """Until they are revoked; a key without a scope has none."""
    scope = KeyScope(
        kinds=(Kind.OPTION, Kind.PERPETUAL),
        limits=(KeyLimit(underlying_id=1, daily_quantity=25_000),),
        band_rate=RATIO_SCALE // 50,
    )
    seen = KeyScopeSeen(owner=TAKER, key="0xbb", scope=scope)
    world.do(lambda venue: venue.observe(seen))
    until = world.venue.now_s + 60
    for key in ("0xaa", "0xbb", "0xcc"):
        allow(world, key, until)
    allow(world, "0xcc", 0)
    assert listed(world) == [
        {"session_key": "0xaa", "deadline": until * 1_000, "scope": None},
        {
            "session_key": "0xbb",
            "deadline": until * 1_000,
            "scope": {
                "kinds": ["option", "perpetual"],
                "daily_amount": {"BTC": 2.5},
                "distance": 0.02,
            },
        },
    ]
    assert listed(world, MAKER_KEY) == []
