"""What moves between subaccounts unsigned: portfolios that change hands, losses, shares of fees.

Parts of `events`, which passes them on.
"""

import msgspec

from exchange.reasons import Event


class TransferredLeg(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Part of one position: `quantity` is signed as held before, `price` its mark to 0.01 USDC."""

    instrument_id: int
    quantity: int
    price: int
    funding_index: int = 0  # of a sale on chain: up to it the seller paid


class TransferredToken(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Some of a token besides cash: `amount` in 1e-8 of it, paid at `value` micro-USDC."""

    asset_id: int
    amount: int
    value: int
    token: str = ""  # its address
    underlying_id: int = 0  # whose index is its price


class PortfolioTransferred(Event, frozen=True, kw_only=True):
    """Positions changed hands: each leg as a fill at its price, without fees, and `discount`.

    The seller pays the discount to the taker; where `by_fund`, the insurance fund does.
    """

    subaccount_id: int  # the liquidated one
    taker_subaccount_id: int
    step: int
    fraction: int  # of each position, in 1e-18, rounded up to lots
    legs: tuple[TransferredLeg, ...]
    discount: int
    by_fund: bool
    tokens: tuple[TransferredToken, ...] = ()  # the taker pays their value in cash
    on_chain: bool = False  # sold there, or taken back by a reorganisation: no batch carries it


class InsuranceUsed(Event, frozen=True, kw_only=True):
    """The insurance fund paid `amount` to a subaccount for the liquidation of another, or of it."""

    fund_subaccount_id: int
    liquidated_id: int
    subaccount_id: int
    amount: int


class FeesShared(Event, frozen=True, kw_only=True):
    """The insurance fund got `amount` of the trading fees from the venue's own subaccount."""

    subaccount_id: int  # the venue's own
    fund_subaccount_id: int
    amount: int


class LossSocialised(Event, frozen=True, kw_only=True):
    """What the fund could not bear: each subaccount paid its share to the fund, in micro-USDC.

    Where many share, each event holds a part of them; the first says what all of them will pay.
    """

    fund_subaccount_id: int
    liquidated_id: int  # or the fund itself, of what it lost with what it took over
    amount: int
    shares: tuple[tuple[int, int], ...]  # (subaccount_id, amount), ascending
    declared: int = 0  # of the whole loss; 0 in the events after the first
