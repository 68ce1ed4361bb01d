"""Logs of our contracts as the engine's observations: what each argument means, and no more.

Knows no node: `settlement.chain` decodes the logs and names the contract that each came from.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from exchange.commands import (
    AccessSeen,
    AnyObservation,
    BatchMarginSeen,
    DepositSeen,
    ForceSeen,
    GovernanceSeen,
    KeyScopeSeen,
    NonceFloorSeen,
    NonceVoidSeen,
    PauseSeen,
    PriceBandsSeen,
    SessionKeySeen,
    SheetFloorSeen,
    SubaccountSeen,
    WithdrawalVoidSeen,
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

Arguments = Mapping[str, Any]
Observer = Callable[[Arguments], AnyObservation]

BAND_SCALE: Final = 10**6  # of KeyScope.band on chain
KINDS: Final = (Kind.OPTION, Kind.PERPETUAL, Kind.FUTURE)


def governed(change: str, *names: str) -> Observer:
    """What operators are told of a change: these arguments as text."""

    def observe(given: Arguments) -> GovernanceSeen:
        detail = " ".join(f"{name}={_text(given[name])}" for name in names)
        return GovernanceSeen(change=change, detail=detail)

    return observe


def _bands(given: Arguments) -> PriceBandsSeen:
    option_rate, linear_rate, age_max_s = _values(given["bands"])
    return PriceBandsSeen(option_rate=option_rate, linear_rate=linear_rate, age_max_s=age_max_s)


OF_CLEARING: Final[dict[str, Observer]] = {
    "SubaccountOpened": lambda given: SubaccountSeen(
        subaccount_id=given["subaccountId"], owner=given["owner"], standard=given["standard"]
    ),
    "Deposited": lambda given: DepositSeen(
        subaccount_id=given["subaccountId"], amount=given["amount"], token=given["token"]
    ),
    "SessionKeyScoped": lambda given: KeyScopeSeen(
        owner=given["owner"], key=given["key"], scope=scope_of(given["scope"])
    ),
    "SessionKeySet": lambda given: SessionKeySeen(
        owner=given["owner"], key=given["key"], deadline=given["deadline"]
    ),
    "NonceFloorRaised": lambda given: NonceFloorSeen(
        subaccount_id=given["subaccountId"], floor=given["floor"]
    ),
    "NonceCanceled": lambda given: NonceVoidSeen(
        subaccount_id=given["subaccountId"], nonce=given["nonce"]
    ),
    "WithdrawalRefused": lambda given: WithdrawalVoidSeen(
        subaccount_id=given["subaccountId"], nonce=given["nonce"]
    ),
    "SheetFloorRaised": lambda given: SheetFloorSeen(
        subaccount_id=given["subaccountId"], floor=given["floor"]
    ),
    "RiskPaused": lambda given: PauseSeen(until=given["until"]),
    "PriceBandsSet": _bands,
    "BatchMarginSet": lambda given: BatchMarginSeen(level=given["level"]),
    "TokenUnderlyingSet": governed("TokenUnderlyingSet", "token", "underlying"),
    "LiquidationsSet": governed("LiquidationsSet", "liquidations", "fund"),
    "MarginSet": governed("MarginSet", "margin"),
    "WithdrawalDelaySet": governed("WithdrawalDelaySet", "delay"),
    "AuctionRulesSet": governed("AuctionRulesSet", "rules"),
    "AuctionStarted": lambda given: AuctionStartedSeen(
        subaccount_id=given["subaccountId"], frozen_from=given["frozenFrom"]
    ),
    "AuctionTaken": lambda given: _sale(given),
    "AuctionEnded": lambda given: AuctionEndedSeen(subaccount_id=given["subaccountId"]),
}
OF_MARGIN: Final[dict[str, Observer]] = {
    "ParametersSet": governed("ParametersSet", "parametersHash"),  # the rest is in the log
}
OF_CUSTODY: Final[dict[str, Observer]] = {
    "TokenRulesSet": governed("TokenRulesSet", "token", "rules"),
}
OF_ORACLE: Final[dict[str, Observer]] = {
    "SignersProposed": governed("SignersProposed", "signers", "threshold", "acceptableAt"),
    "SignersSet": governed("SignersSet", "signers", "threshold"),
    "ProposalCanceled": governed("ProposalCanceled"),
}
OF_LIQUIDATIONS: Final[dict[str, Observer]] = {
    "ForceGranted": lambda given: ForceSeen(
        subaccount_id=given["subaccountId"],
        until=given["until"],
        contracts=given["contracts"],
        budget=given["budget"],
    ),
}
OF_ACCESS_PASS: Final[dict[str, Observer]] = {
    "AccessSet": lambda given: AccessSeen(owner=given["owner"], until=given["until"]),
}
OF_ACCESS_MANAGER: Final[dict[str, Observer]] = {
    name: governed(name, *arguments.split())
    for name, arguments in {
        "RoleGranted": "roleId account delay since",
        "RoleRevoked": "roleId account",
        "RoleAdminChanged": "roleId admin",
        "RoleGuardianChanged": "roleId guardian",
        "RoleGrantDelayChanged": "roleId delay since",
        "TargetClosed": "target closed",
        "TargetFunctionRoleUpdated": "target selector roleId",
        "TargetAdminDelayUpdated": "target delay since",
        "OperationScheduled": "operationId schedule caller target data",
        "OperationExecuted": "operationId",
        "OperationCanceled": "operationId",
    }.items()
}
# By the contract's name in a deployment.
OF: Final = {
    "clearing": OF_CLEARING,
    "custody": OF_CUSTODY,
    "oracle": OF_ORACLE,
    "margin": OF_MARGIN,
    "liquidations": OF_LIQUIDATIONS,
    "access_pass": OF_ACCESS_PASS,
    "access_manager": OF_ACCESS_MANAGER,
}


def _sale(given: Arguments) -> AuctionTakenSeen:
    """Tokens that the seller had none of are left out."""
    legs, tokens = (tuple(map(_values, given[name])) for name in ("legs", "tokens"))
    return AuctionTakenSeen(
        subaccount_id=given["subaccountId"],
        taker_id=given["takerId"],
        fraction=given["fraction"],
        legs=tuple(
            SoldLeg(instrument_id=number, quantity=quantity, price=price, funding_index=index)
            for number, quantity, price, index in legs
        ),
        tokens=tuple(
            SoldToken(token=token, amount=amount, value=value)
            for token, amount, value in tokens
            if amount
        ),
        discount=given["discount"],
    )


def scope_of(words: Any) -> KeyScope:
    """A key's scope from the struct in its log."""
    kinds, band, limits = _values(words)
    return KeyScope(
        kinds=tuple(kind for kind in KINDS if kinds >> kind & 1),
        limits=tuple(
            KeyLimit(underlying_id=underlying_id, daily_quantity=quantity)
            for underlying_id, quantity in map(_values, limits)
        ),
        band_rate=band * (RATIO_SCALE // BAND_SCALE),
    )


def words_of(scope: KeyScope) -> tuple[int, int, list[tuple[int, int]]]:
    """A scope as the contract takes it."""
    return (
        sum(1 << kind for kind in scope.kinds),
        scope.band_rate // (RATIO_SCALE // BAND_SCALE),
        [(limit.underlying_id, limit.daily_quantity) for limit in scope.limits],
    )


def _values(struct: Any) -> tuple[Any, ...]:
    return tuple(struct.values()) if isinstance(struct, Mapping) else tuple(struct)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Mapping | list | tuple):
        return ",".join(map(_text, _values(value)))
    return str(value)
