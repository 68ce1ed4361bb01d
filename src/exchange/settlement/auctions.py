"""Auctions that the contract holds without the operator: the step that is due, and what a bid buys.

The contract says everything itself: a call that it would refuse names the fraction that is offered,
the price, and the margin that a bidder lacks. Proofs come from whoever has the rows under the root.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from exchange.fixed import RATIO_SCALE, mul_div_down
from exchange.settlement.batch import encode_call
from exchange.settlement.chain import Chain
from exchange.settlement.errors import Reverted
from exchange.settlement.margin_proof import PROOF_TYPE

BID_TYPE: Final = "(uint64,uint64,uint64,int128,uint128)"
OPEN_FOR_S: Final = 86_400  # a start may come so long after the notice, and bids after the freeze
FORCE_S: Final = 3600  # that a proof lasts
_ANY_PRICE: Final = 2**127 - 1
_LEAST: Final = -(2**127)
_CUSHION: Final = 50  # a fiftieth more margin than is needed now

Prove = Callable[[int], tuple[object, ...]]  # `MarginProof` of what a subaccount holds


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where an auction stands by now; UTC seconds, 0: not yet."""

    announced_at: int
    starts_at: int
    bids_from: int
    bids: int
    lapsed: bool  # somebody proved health since the announcement
    proven_until: int


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A call that brings an auction on."""

    name: str
    to: str
    data: bytes


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a bid buys now, micro-USDC: `price` in all, negative if the bidder is paid."""

    subaccount_id: int
    fraction: int
    bids: int
    price: int
    discount: int
    requirement: int  # maintenance margin that comes along
    deposit: int  # from the bidder's wallet: the price, and initial margin


class ChainAuctions:
    """Reads auctions and writes their calls. `sender` pays and buys."""

    def __init__(self, chain: Chain, prove: Prove, sender: str) -> None:
        self._chain = chain
        self._prove = prove
        self._sender = sender

    def flagged(self) -> list[int]:
        """Subaccounts that somebody proved below maintenance, and nobody healthy since."""
        count = int(self._chain.call(self._chain.clearing, "subaccountCount"))
        return [one for one in range(1, count + 1) if self._since(one)]

    def standing(self, subaccount_id: int) -> Standing:
        """Where the auction of a subaccount stands."""
        chain = self._chain
        announced_at, frozen_from, bids = _values(
            chain.call(chain.clearing, "auctionOf", subaccount_id)
        )
        notice, *_ = _values(chain.call(chain.clearing, "auctionRules"))
        since = self._since(subaccount_id)
        batch_age = int(chain.call(chain.clearing, "MAX_BATCH_AGE"))
        return Standing(
            announced_at=announced_at,
            starts_at=announced_at + notice if announced_at else 0,
            bids_from=frozen_from + batch_age + 1 if frozen_from else 0,
            bids=bids,
            lapsed=bool(announced_at) and not 0 < since <= announced_at,
            proven_until=chain.force_until(subaccount_id),
        )

    def step(self, subaccount_id: int) -> Step | None:
        """The call that is due and that the chain would take; a bid is none."""
        found, now_s = self.standing(subaccount_id), self._chain.block_time()
        step = self._due(subaccount_id, found, now_s)
        if step is None or self._chain.refusal(self._sender, step.to, step.data) is not None:
            return None
        return step

    def _due(self, subaccount_id: int, found: Standing, now_s: int) -> Step | None:
        from_s = found.bids_from or found.starts_at
        if found.announced_at and (found.lapsed or now_s > from_s + OPEN_FOR_S):
            return self._plain("endAuction", subaccount_id)
        if found.bids_from or now_s < found.starts_at:
            return None
        needed = found.starts_at + FORCE_S if found.announced_at else 0
        if found.proven_until < max(needed, now_s):
            return self._flag(subaccount_id)
        name = "startAuction" if found.announced_at else "announceAuction"
        return self._plain(name, subaccount_id)

    def offer(self, subaccount_id: int) -> Offer | None:
        """What may be bought now; None where nothing is for sale."""
        found, now_s = self.standing(subaccount_id), self._chain.block_time()
        if not found.bids_from or not found.bids_from <= now_s <= found.bids_from + OPEN_FOR_S:
            return None
        proof = self._prove(subaccount_id)
        ask = (subaccount_id, found.bids, proof)
        fraction = self._told("FractionTooLarge", *ask, fraction=2 * RATIO_SCALE)
        if not fraction:
            return None
        price = self._told("PriceAboveLimit", *ask, fraction=fraction, limit=_LEAST)
        if price is None:
            return None
        short = self._told("BidderShort", *ask, fraction=fraction) or 0
        discount, requirement = self._discount(subaccount_id, fraction, found, proof)
        deposit = -short + -short // _CUSHION if short else 0
        return Offer(
            subaccount_id=subaccount_id,
            fraction=fraction,
            bids=found.bids,
            price=price,
            discount=discount,
            requirement=requirement,
            deposit=deposit,
        )

    def bid(self, offer: Offer, proof: tuple[object, ...] | None = None) -> Step:
        """The bid for an offer, at its price and no more."""
        proof = proof or self._prove(offer.subaccount_id)
        data = _bid_calldata(
            (offer.subaccount_id, offer.fraction, offer.bids, offer.price, offer.deposit), proof
        )
        return Step(name="bid", to=self._chain.deployment.clearing, data=data)

    def purchase(self, offer: Offer) -> Step:
        """What buys it: the bid, or before that the leave for Custody to take the deposit."""
        chain, custody = self._chain, self._chain.deployment.custody
        if chain.call(chain.usdc, "allowance", self._sender, custody) >= offer.deposit:
            return self.bid(offer)
        data = encode_call("approve", ("address", "uint256"), (custody, offer.deposit))
        return Step(name="approve", to=chain.deployment.usdc, data=data)

    def lapse(self, subaccount_id: int) -> Step:
        """The proof that a subaccount is healthy, which ends its auction."""
        return self._proven("lapse", subaccount_id)

    # ---- inside

    def _since(self, subaccount_id: int) -> int:
        since, _ = self._chain.call(self._chain.liquidations, "flagOf", subaccount_id)
        return int(since)

    def _plain(self, name: str, subaccount_id: int) -> Step:
        data = encode_call(name, ("uint64",), (subaccount_id,))
        return Step(name=name, to=self._chain.deployment.clearing, data=data)

    def _flag(self, subaccount_id: int) -> Step:
        return self._proven("flag", subaccount_id)

    def _proven(self, name: str, subaccount_id: int) -> Step:
        words = (subaccount_id, self._prove(subaccount_id))
        data = encode_call(name, ("uint64", PROOF_TYPE), words)
        return Step(name=name, to=self._chain.deployment.liquidations, data=data)

    def _told(
        self,
        error: str,
        subaccount_id: int,
        bids: int,
        proof: tuple[object, ...],
        *,
        fraction: int,
        limit: int = _ANY_PRICE,
    ) -> int | None:
        """The figure in the contract's refusal of a bid without a deposit; None for another."""
        data = _bid_calldata((subaccount_id, fraction, bids, limit, 0), proof)
        refusal: Reverted | None = self._chain.refusal(
            self._sender, self._chain.deployment.clearing, data
        )
        if refusal is None or refusal.error != error:
            return None
        [figure] = refusal.arguments
        assert isinstance(figure, int)
        return figure

    def _discount(
        self, subaccount_id: int, fraction: int, found: Standing, proof: tuple[object, ...]
    ) -> tuple[int, int]:
        """(discount, requirement that comes along): the twin of `Auctions._price`."""
        chain = self._chain
        equity, maintenance, _ = chain.call(chain.margin, "health", subaccount_id, proof)
        _, length, discount_max, _ = _values(chain.call(chain.clearing, "auctionRules"))
        waited = min(chain.block_time() - found.bids_from, length)
        requirement = equity - maintenance
        rate = mul_div_down(discount_max, waited, length)
        whole = mul_div_down(requirement, rate, RATIO_SCALE)
        if equity > 0:
            whole = min(whole, equity)
        return (
            mul_div_down(whole, fraction, RATIO_SCALE),
            mul_div_down(requirement, fraction, RATIO_SCALE),
        )


def _bid_calldata(offer: tuple[int, ...], proof: tuple[object, ...]) -> bytes:
    return encode_call("bid", (BID_TYPE, PROOF_TYPE), (offer, proof))


def _values(struct: Any) -> tuple[int, ...]:
    return tuple(struct.values()) if isinstance(struct, dict) else tuple(struct)
