"""An order as margin sees it. A msgspec struct: not compiled, since mypyc drops its options."""

import msgspec


class MarginOrder(msgspec.Struct, frozen=True, gc=False):
    """What of an order can still fill: `sign` +1 buys, -1 sells; `max_fee` is per contract.

    In a combo price and fee are those of a unit, and the price may be negative.
    """

    instrument_id: int
    sign: int
    quantity: int
    limit_price: int
    max_fee: int
