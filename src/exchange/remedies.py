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


class RebuiltPosition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A linear position before and after fills of it are replaced: (quantity, cost, funding index).

    What it cost and the funding that it paid depend on the order of its fills, so whoever replaces
    some tells what the chain will hold; `cash` is by how much the subaccount's differs then, fees
    apart. The engine takes it only where `before` is what it has, and nothing is made or lost.
    """

    subaccount_id: int
    instrument_id: int
    before: tuple[int, int, int]
    after: tuple[int, int, int]
    cash: int


class RefusedMove(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A withdrawal or transfer that the chain refused, by the `seq` of its command."""

    seq: int

    @property
    def key(self) -> tuple[int, bool]:
        """Beside those of fills: no trade has a number below zero."""
        return -self.seq, False


class RefusedAct(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a batch moves though nobody signed for it, and the chain refused.

    `act_id` is the place of its event in the journal (`model.numbered`). A takeover whose keeper is
    at fault goes to `fund_subaccount_id` in the keeper's place; where that is 0 the act does not
    happen.
    """

    act_id: int
    fund_subaccount_id: int = 0

    @property
    def key(self) -> tuple[int, bool]:
        """Beside those of fills and moves."""
        return -self.act_id, True


class MoveRefused(Event, frozen=True, kw_only=True):
    """Money that the chain did not let go is back where it was, and held there.

    Of a withdrawal `to_subaccount_id` is 0. `missing` is what of a token the receiver of a transfer
    has not got any more; the next tokens that arrive pay that first.
    """

    batch: int
    seq: int
    subaccount_id: int
    to_subaccount_id: int
    amount: int
    nonce: int
    token: str = ""
    missing: int = 0


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


class TradingSuspended(Event, frozen=True, kw_only=True):
    """A subaccount only reduces until it is reinstated (`suspended` False); its money is free."""

    subaccount_id: int
    suspended: bool
    detail: str


class WithdrawalsHeld(Event, frozen=True, kw_only=True):
    """No money leaves a subaccount until a release (`held` False); everything else goes on."""

    subaccount_id: int
    held: bool
    detail: str
