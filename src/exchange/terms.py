"""What a venue takes beside cash, what it lends, what small accounts need, how much all may hold.

Parts of `Configure`; `commands` passes them on.
"""

from typing import Final

import msgspec

from exchange.fixed import RATIO_SCALE


class Collateral(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A token besides USDC that backs margin; amounts in 1e-8 of a token, haircuts in 1e-18.

    Priced by the index of its underlying, and shocked with it. What one account holds beyond
    `account_cap`, or all of them beyond `total_cap`, counts nothing.
    """

    asset_id: int  # from 1; 0 is USDC
    token: str  # its address
    name: str  # such as WETH
    decimals: int
    underlying_id: int
    initial_haircut: int
    maintenance_haircut: int
    account_cap: int
    total_cap: int
    isolated: bool = False  # a risk group of its own: its gains offset no position


INTEREST_RATE_MAX: Final = 5 * 10**17  # a year, in 1e-18; Payments.sol takes no more


class InterestParameters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What cash below zero costs, and how much of it the venue allows.

    `rate` (1e-18 a year) accrues continuously; `AccrueInterest` comes every `interval_ns`. Orders
    that could carry the sum of all debts beyond `debt_max` (micro-USDC) are refused.
    """

    rate: int
    interval_ns: int
    debt_max: int


class PositionLimit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What may be held of one underlying, in 1e-4 contracts, whichever open orders fill."""

    underlying_id: int
    contracts_max: int  # of one subaccount, long and short added
    open_interest_max: int  # of all together


class StandardRates(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Margin of small accounts, each position by itself; rates of the index in 1e-18."""

    option_initial: int  # less what the option is out of the money ...
    option_initial_min: int  # ... but at least this
    option_maintenance: int
    perpetual_initial: int
    perpetual_maintenance: int


FULLY_SECURED: Final = StandardRates(  # without rates a position is as good as what secures it
    option_initial=RATIO_SCALE,
    option_initial_min=RATIO_SCALE,
    option_maintenance=RATIO_SCALE,
    perpetual_initial=RATIO_SCALE,
    perpetual_maintenance=RATIO_SCALE,
)
