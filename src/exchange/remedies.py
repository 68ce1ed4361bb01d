"""What puts journal and chain together again where they part: novations, and holds.

Parts of `commands` and `events`, which pass them on.
"""

import msgspec

from exchange.model import OrderTerms
from exchange.reasons import Event


class NovatedFill(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One side of a trade that the chain refused, and the venue's own order in its place.

    `terms` are for the venue's subaccount: the trade's instrument, price and quantity, and the side
    of the one that failed.
    """

    trade_id: int
    maker: bool  # whether the maker's side failed
    subaccount_id: int  # whose
    fee: int  # micro-USDC that it paid
    terms: OrderTerms
    signature: bytes

    @property
    def key(self) -> tuple[int, bool]:
        """What can be novated once."""
        return self.trade_id, self.maker


class FillNovated(Event, frozen=True, kw_only=True):
    """The venue's own subaccount took a failing side of a trade, at its price and without a fee.

    `quantity` is signed as the failing side had traded it; that side's cash, fee and contracts are
    as if it had not. `batch` is the settlement batch that holds the trade.
    """

    batch: int
    trade_id: int
    maker: bool
    subaccount_id: int
    house_subaccount_id: int
    instrument_id: int
    quantity: int
    price: int
    fee: int


class WithdrawalsHeld(Event, frozen=True, kw_only=True):
    """No money leaves a subaccount until a release (`held` False); everything else goes on."""

    subaccount_id: int
    held: bool
    detail: str
