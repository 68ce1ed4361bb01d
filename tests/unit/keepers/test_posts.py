"""What waits for the chain is posted; positions that no batch reaches are paid off."""

import asyncio

from tests.unit.keepers.node import FakeNode

from exchange.keepers.ethereum import CallRefused, calldata
from exchange.keepers.posts import ExitKeeper, ExitPayment, PostKeeper, RealiseKeeper
from exchange.keepers.runner import Post
from exchange.sdk.types import SigningDomain

CLEARING = "0x" + "aa" * 20
ROWS = [
    {"key": "funding:9:1", "kind": "funding", "to": CLEARING, "data": "0x01", "waiting_s": 40},
    {"key": "batch:4", "kind": "batch", "to": CLEARING, "data": "0x02", "waiting_s": 40},
    {"key": "root:8", "kind": "root", "to": CLEARING, "data": "0x03", "waiting_s": 3},
    {"key": "index:1:5", "kind": "index", "to": CLEARING, "data": "0x05", "waiting_s": 40},
    {"key": "delivery:1:5", "kind": "delivery", "to": CLEARING, "data": "0x04", "waiting_s": 40},
]


class Venue:
    """A client that answers from tables."""

    def __init__(self, instruments=()):
        self.instruments = list(instruments)

    async def call(self, method, params=None):
        return ROWS if method == "public/get_pending_posts" else self.instruments

    async def domain(self):
        fields = {name: 0 for name in SigningDomain.__struct_fields__ if name != "collaterals"}
        return SigningDomain(**(fields | {"verifying_contract": CLEARING}))


def test_each_keeper_posts_its_kinds_once_the_relayer_had_its_time():
    """In the venue's order; what has not waited for long enough is left."""
    found = {}
    for name in ("settle", "expire", "funding"):
        keeper = PostKeeper(name, Venue(), patience_s=30)
        found[name] = [(one.name, one.work, one.needed) for one in asyncio.run(keeper.look())]
    assert found == {
        "settle": [("batch:4", Post(to=CLEARING, data=b"\x02"), True)],
        "expire": [
            ("index:1:5", Post(to=CLEARING, data=b"\x05"), True),
            ("delivery:1:5", Post(to=CLEARING, data=b"\x04"), True),
        ],
        "funding": [("funding:9:1", Post(to=CLEARING, data=b"\x01"), True)],
    }


def instrument(number, expiry_s, **more):
    return {"instrument_id": number, "expiration_timestamp": expiry_s * 1000} | more


def test_expired_positions_are_paid_off_when_no_batch_can_do_it():
    """Old enough, held, and with a delivery price; each subaccount in one transaction."""
    node = FakeNode()
    old = node.now - 3_601
    venue = Venue(
        [
            instrument(11, old),
            instrument(12, old),
            instrument(13, node.now - 3_599),
            instrument(14, old, legs=[1, 2]),
        ]
    )
    node.answer("MAX_BATCH_AGE()", ["uint64"], 3_600)
    node.answer("subaccountCount()", ["uint64"], 2)
    view, returns = "cashAndPositions(uint64,uint64[])", ["int96", "(int64,int64,int128)[]"]
    node.answer(view, returns, 0, [(0, 0, 0), (0, 0, 0)], to=(1, [11, 12]))
    node.answer(view, returns, 5, [(-3, 0, 0), (4, 0, 0)], to=(2, [11, 12]))
    payoff = "payoffOf(uint64,uint64)"
    node.answer(payoff, ["int256", "int256"], -3, 0, to=(2, 11))
    node.answers[calldata(payoff, 2, 12)] = CallRefused("NotFixed")
    for only in ((), (2,)):
        keeper = RealiseKeeper(venue, node, subaccount_ids=only)
        [action] = asyncio.run(keeper.look())
        wanted = calldata("realise(uint64,uint64[])", 2, [11])
        assert (action.work, action.needed) == (Post(to=CLEARING, data=wanted), True)


def test_nothing_expired_asks_for_nobody():
    """The node is not asked for positions."""
    node = FakeNode()
    node.answer("MAX_BATCH_AGE()", ["uint64"], 3_600)
    assert asyncio.run(RealiseKeeper(Venue(), node).look()) == []


def test_exits_that_are_due_are_served():
    """Also one that pays nothing: open, it would end the venue."""
    due = [ExitPayment(subaccount_id=7, paid=paid, data=bytes([paid])) for paid in (5, 0)]
    found = asyncio.run(ExitKeeper(CLEARING, lambda: due).look())
    assert [one.work for one in found] == [Post(to=CLEARING, data=one.data) for one in due]
    assert all(one.needed for one in found)
