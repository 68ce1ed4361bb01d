"""Cash and positions folded from events."""

from pathlib import Path

import pytest
from tests.settlement_world import PRICE, Script

from exchange.commands import DepositSeen, ObserveBlocks, RevertBlocks, SubaccountSeen
from exchange.events import (
    AnyEvent,
    ExitServed,
    InterestPaid,
    PositionExpired,
    Transferred,
    Withdrawn,
)
from exchange.fixed import CASH_SCALE, QUANTITY_SCALE
from exchange.model import FEE_SUBACCOUNT_ID
from exchange.reversals import DepositReverted
from exchange.settlement.holdings import Held, Holdings, expected_holdings
from exchange.transfers import PortfolioTransferred, TransferredLeg


@pytest.fixture
def script(tmp_path: Path) -> Script:
    script = Script(tmp_path / "journal.db")
    seen = [SubaccountSeen(subaccount_id=n, owner="0x") for n in (1, 2, 3)]
    deposits = [DepositSeen(subaccount_id=n, amount=10_000 * CASH_SCALE) for n in (2, 3)]
    script.post(
        ObserveBlocks(first_block=1, last_block=1, last_hash="", observations=(*seen, *deposits))
    )
    return script


def fold(script: Script, **seqs: int) -> Holdings:
    everything = {"settled_seq": script.seq, "observed_seq": script.seq}
    holdings = expected_holdings(script.entries, **(everything | seqs))
    holdings.check()
    return holdings


def test_a_trade_moves_cash_and_contracts(script: Script) -> None:
    """The buyer pays price and fee, the seller receives, the venue earns both fees."""
    script.trade(2)
    holdings = fold(script)
    start = 10_000 * CASH_SCALE
    assert holdings.cash == {
        FEE_SUBACCOUNT_ID: 6 * CASH_SCALE,
        2: start + 2 * PRICE - 2 * CASH_SCALE,
        3: start - 2 * PRICE - 4 * CASH_SCALE,
    }
    assert holdings.positions_of(2) == {script.instrument_id: Held(-2 * QUANTITY_SCALE)}
    assert holdings.positions_of(3) == {script.instrument_id: Held(2 * QUANTITY_SCALE)}


def test_an_expiry_pays_and_clears_positions(script: Script) -> None:
    """The short pays the long, and zero positions are not listed."""
    script.trade(2)
    script.expire(2, 101_000 * CASH_SCALE)
    before, after = fold(script, settled_seq=script.seq - 1), fold(script)
    assert after.cash[3] - before.cash[3] == 2_000 * CASH_SCALE
    assert after.cash[2] - before.cash[2] == -2_000 * CASH_SCALE
    assert after.positions_of(2) == after.positions_of(3) == {}


def test_a_withdrawal_leaves(script: Script) -> None:
    """What left is subtracted from the account and from the sum."""
    script.withdraw(script.taker, 7 * CASH_SCALE)
    holdings = fold(script)
    assert holdings.cash[3] == 10_000 * CASH_SCALE - 7 * CASH_SCALE
    assert holdings.withdrawn == 7 * CASH_SCALE


def test_what_the_chain_served_left_with_its_block(script: Script) -> None:
    """As deposits come: no batch carries it."""
    seen = ObserveBlocks(first_block=2, last_block=2, last_hash="", observations=())
    script.add(seen, ExitServed(subaccount_id=2, ordinal=1, amount=7))
    script.add(seen, ExitServed(subaccount_id=2, ordinal=2, amount=3, token="0xa"))
    holdings = fold(script, settled_seq=0)
    assert holdings.cash[2] == 10_000 * CASH_SCALE - 7
    assert holdings.withdrawn == 7
    assert holdings.tokens == {(2, "0xa"): -3}


def test_tokens_are_no_cash(script: Script) -> None:
    """They are folded apart, by their address."""
    seen = DepositSeen(subaccount_id=3, amount=5, token="0xe")
    script.post(ObserveBlocks(first_block=2, last_block=2, last_hash="", observations=(seen, seen)))
    holdings = fold(script)
    holdings.apply_settled(
        Withdrawn(subaccount_id=3, amount=4, recipient="0x", nonce=1, token="0xe")
    )
    moved = Transferred(subaccount_id=3, to_subaccount_id=2, amount=2, nonce=2, token="0xe")
    holdings.apply_settled(moved)
    assert holdings.tokens == {(3, "0xe"): 4, (2, "0xe"): 2}
    assert holdings.cash[3] == 10_000 * CASH_SCALE


def test_cash_moves_between_accounts_and_none_is_made(script: Script) -> None:
    """A transfer from one to another, interest from a debtor to the venue."""
    holdings = fold(script)
    holdings.apply_settled(Transferred(subaccount_id=3, to_subaccount_id=2, amount=7, nonce=1))
    holdings.apply_settled(InterestPaid(subaccount_id=2, amount=5))
    holdings.check()
    start = 10_000 * CASH_SCALE
    assert holdings.cash == {FEE_SUBACCOUNT_ID: 5, 2: start + 2, 3: start - 7}


def test_deposits_and_trades_stop_at_their_own_seq(script: Script) -> None:
    """A deposit the chain shows counts before the trade that it has not settled."""
    first = script.seq
    script.trade()
    deposit = DepositSeen(subaccount_id=3, amount=CASH_SCALE)
    script.post(ObserveBlocks(first_block=2, last_block=2, last_hash="", observations=(deposit,)))
    holdings = fold(script, settled_seq=first)
    assert holdings.cash == {1: 0, 2: 10_000 * CASH_SCALE, 3: 10_001 * CASH_SCALE}
    assert holdings.positions == {}


def test_cash_out_of_nowhere_is_caught() -> None:
    """The sum of cash is what came in less what went out."""
    holdings = Holdings()
    holdings.cash[2] = 1
    with pytest.raises(AssertionError, match="cash was created"):
        holdings.check()
    holdings.positions[2, 5] = Held(1)
    with pytest.raises(AssertionError, match="positions"):
        holdings.check()


def test_a_deposit_that_never_was_is_taken_back(script: Script) -> None:
    """Cash and tokens, and the sum of what came in."""
    taken = (
        DepositReverted(subaccount_id=2, amount=10_000 * CASH_SCALE),
        DepositReverted(subaccount_id=3, amount=5, token="0xee", missing=5),
    )
    script.revert(RevertBlocks(last_block=1, last_hash=""), *taken)
    holdings = fold(script)
    assert (holdings.cash[2], holdings.deposited) == (0, 10_000 * CASH_SCALE)
    assert holdings.tokens == {(3, "0xee"): -5}


def sold(
    script: Script, instrument_id: int, quantity: int, price: int, *more: AnyEvent, index: int = 0
) -> None:
    """The chain sold so much of the taker's to the maker; a discount of 1 USDC."""
    leg = TransferredLeg(
        instrument_id=instrument_id, quantity=quantity, price=price, funding_index=index
    )
    event = PortfolioTransferred(
        subaccount_id=3,
        taker_subaccount_id=2,
        step=1,
        fraction=10**18,
        legs=(leg,),
        discount=CASH_SCALE,
        by_fund=False,
        on_chain=True,
    )
    script.add(ObserveBlocks(first_block=2, last_block=2, last_hash=""), event, *more)


def test_what_the_chain_sold_counts_with_its_block(script: Script) -> None:
    """Though no batch settled since; in order after what had settled."""
    script.trade(2)
    settled = script.seq
    sold(script, script.instrument_id, QUANTITY_SCALE, PRICE)
    holdings = fold(script, settled_seq=settled)
    assert holdings.positions_of(3) == {script.instrument_id: Held(QUANTITY_SCALE)}
    assert holdings.positions_of(2) == {script.instrument_id: Held(-QUANTITY_SCALE)}
    before = fold(script, settled_seq=settled, observed_seq=settled)
    assert holdings.cash[3] - before.cash[3] == PRICE - CASH_SCALE
    assert before.positions_of(3) == {script.instrument_id: Held(2 * QUANTITY_SCALE)}


def test_what_the_chain_sold_of_a_delivered_position_is_its_payoff(script: Script) -> None:
    """The journal delivered first; the chain sells first, and delivers to both."""
    script.trade(2)
    script.expire(2, 101_000 * CASH_SCALE)
    before = fold(script)
    delivered = PositionExpired(
        subaccount_id=2,
        instrument_id=script.instrument_id,
        quantity=QUANTITY_SCALE,
        payoff=1_000 * CASH_SCALE,
    )
    sold(script, script.instrument_id, QUANTITY_SCALE, PRICE, delivered)
    after = fold(script)
    assert after.cash[3] - before.cash[3] == PRICE - 1_000 * CASH_SCALE - CASH_SCALE


def test_funding_of_what_the_chain_sold_ends_at_its_index(script: Script) -> None:
    """Not at one that came in a later batch."""
    script.accrue(1, 2 * CASH_SCALE)
    sold(script, script.perpetual_id, QUANTITY_SCALE, PRICE, index=CASH_SCALE)
    found = fold(script)
    assert found.positions_of(2) == {script.perpetual_id: Held(QUANTITY_SCALE, PRICE, CASH_SCALE)}
    assert found.cash[2] == 10_000 * CASH_SCALE + CASH_SCALE
