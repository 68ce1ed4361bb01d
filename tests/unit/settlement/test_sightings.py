"""Logs of contracts as observations: names, and how a key's scope is packed."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.commands import (
    AccessSeen,
    BatchMarginSeen,
    GovernanceSeen,
    KeyScopeSeen,
    NonceVoidSeen,
    PauseSeen,
    PriceBandsSeen,
    SheetFloorSeen,
)
from exchange.fixed import RATIO_SCALE
from exchange.model import KeyLimit, KeyScope, Kind
from exchange.observations import (
    AuctionEndedSeen,
    AuctionStartedSeen,
    AuctionTakenSeen,
    SoldLeg,
    SoldToken,
)
from exchange.settlement.deploy import project_artifacts
from exchange.settlement.sightings import (
    KINDS,
    OF,
    OF_ACCESS_MANAGER,
    OF_ACCESS_PASS,
    OF_CLEARING,
    OF_CUSTODY,
    OF_MARGIN,
    OF_ORACLE,
    scope_of,
    words_of,
)

SCOPES = st.builds(
    KeyScope,
    kinds=st.sets(st.sampled_from(KINDS), min_size=1).map(lambda kinds: tuple(sorted(kinds))),
    limits=st.lists(
        st.builds(
            KeyLimit,
            underlying_id=st.integers(1, 511),
            daily_quantity=st.integers(1, 2**64 - 1),
        ),
        min_size=1,
        max_size=4,
    ).map(tuple),
    band_rate=st.integers(0, 2**24 - 1).map(lambda band: band * RATIO_SCALE // 10**6),
)


@given(SCOPES)
def test_a_scope_comes_back_as_it_was_given(scope: KeyScope) -> None:
    """Whether the log's struct is decoded to tuples or to names."""
    kinds, band, limits = words_of(scope)
    found = scope_of((kinds, band, limits))
    assert found == scope
    assert isinstance(found.band_rate, int)
    named = [{"underlying": a, "dailyQuantity": b} for a, b in limits]
    assert scope_of({"kinds": kinds, "band": band, "limits": named}) == scope


def test_kinds_are_bits() -> None:
    """The contract's: 2 option, 4 perpetual, 8 future."""
    scope = KeyScope(kinds=(Kind.OPTION, Kind.FUTURE), limits=())
    assert words_of(scope) == (10, 0, [])


def test_controls_are_named_as_the_engine_knows_them() -> None:
    """What takes effect later on chain does so at once here: its time is not told."""
    where = {"subaccountId": 2, "effectiveAt": 99}
    assert OF_CLEARING["NonceCanceled"](where | {"nonce": 5}) == NonceVoidSeen(
        subaccount_id=2, nonce=5
    )
    assert OF_CLEARING["SheetFloorRaised"](where | {"floor": 5}) == SheetFloorSeen(
        subaccount_id=2, floor=5
    )
    assert OF_CLEARING["RiskPaused"]({"from": 7, "until": 8}) == PauseSeen(until=8)
    assert OF_ACCESS_PASS["AccessSet"]({"owner": "0x", "until": 8}) == AccessSeen(
        owner="0x", until=8
    )
    seen = OF_CLEARING["SessionKeyScoped"]({"owner": "0x", "key": "0y", "scope": (2, 0, [(1, 9)])})
    assert isinstance(seen, KeyScopeSeen)
    assert seen.scope.limits == (KeyLimit(underlying_id=1, daily_quantity=9),)


def test_changes_by_governance_are_told() -> None:
    """Bands as figures, which the engine keeps to; all else as text, structs as their values."""
    assert OF_CLEARING["BatchMarginSet"]({"level": 2}) == BatchMarginSeen(level=2)
    assert OF_CLEARING["PriceBandsSet"]({"bands": (1, 2, 3)}) == PriceBandsSeen(
        option_rate=1, linear_rate=2, age_max_s=3
    )
    rules = {"open": True, "totalCap": 4, "hourCap": 5, "dayCap": 6}
    assert OF_CUSTODY["TokenRulesSet"]({"token": "0xT", "rules": rules}) == GovernanceSeen(
        change="TokenRulesSet", detail="token=0xT rules=True,4,5,6"
    )
    signers = {"signers": ["0xA", "0xB"], "threshold": 2}
    assert OF_ORACLE["SignersSet"](signers) == GovernanceSeen(
        change="SignersSet", detail="signers=0xA,0xB threshold=2"
    )
    given = {"parametersHash": b"\x12\x34", "parameters": ("long",)}
    assert OF_MARGIN["ParametersSet"](given) == GovernanceSeen(
        change="ParametersSet", detail="parametersHash=0x1234"
    )


def test_changes_of_roles_are_told() -> None:
    """Who got what, which function is whose, and what is announced."""
    given = {"roleId": 3, "account": "0xA", "delay": 7, "since": 9, "newMember": True}
    assert OF_ACCESS_MANAGER["RoleGranted"](given) == GovernanceSeen(
        change="RoleGranted", detail="roleId=3 account=0xA delay=7 since=9"
    )
    given = {"target": "0xT", "selector": b"\x01\x02\x03\x04", "roleId": 1}
    assert OF_ACCESS_MANAGER["TargetFunctionRoleUpdated"](given) == GovernanceSeen(
        change="TargetFunctionRoleUpdated", detail="target=0xT selector=0x01020304 roleId=1"
    )


def test_every_log_that_is_watched_exists() -> None:
    """A log that the contract renamed would be missed in silence."""
    artifacts = project_artifacts()
    names = {"access_pass": "AccessPass", "access_manager": "AccessManager"}
    for contract, observers in OF.items():
        abi = artifacts[names.get(contract, contract.capitalize())].abi
        events = {item["name"] for item in abi if item["type"] == "event"}
        assert observers.keys() <= events, contract


def test_auctions_are_told_from_their_start_to_their_end() -> None:
    """A token that the seller had none of is left out."""
    begun = {"subaccountId": 3, "by": "0x", "frozenFrom": 77, "bidsFrom": 99}
    assert OF_CLEARING["AuctionStarted"](begun) == AuctionStartedSeen(
        subaccount_id=3, frozen_from=77
    )
    taken = {"subaccountId": 3, "takerId": 9, "bids": 1, "fraction": 5, "discount": 6}
    taken |= {"legs": [(1, -2, 30_000, 4)], "tokens": [("0xa", 8, 9), ("0xb", 0, 0)]}
    assert OF_CLEARING["AuctionTaken"](taken) == AuctionTakenSeen(
        subaccount_id=3,
        taker_id=9,
        fraction=5,
        legs=(SoldLeg(instrument_id=1, quantity=-2, price=30_000, funding_index=4),),
        tokens=(SoldToken(token="0xa", amount=8, value=9),),
        discount=6,
    )
    assert OF_CLEARING["AuctionEnded"]({"subaccountId": 3}) == AuctionEndedSeen(subaccount_id=3)
