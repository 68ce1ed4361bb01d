"""Cash and positions folded from events."""

from pathlib import Path

import pytest
from tests.settlement_world import PRICE, Script

from exchange.commands import (
    AccrueInterest,
    DepositSeen,
    Novate,
    ObserveBlocks,
    RevertBlocks,
    SubaccountSeen,
)
from exchange.events import (
    ActRefused,
    AnyEvent,
    ExitServed,
    InterestPaid,
    MoveRefused,
    PositionExpired,
    Transferred,
    Withdrawn,
)
from exchange.fixed import CASH_SCALE, QUANTITY_SCALE
from exchange.model import FEE_SUBACCOUNT_ID, Side
from exchange.reversals import DepositReverted
from exchange.settlement.acts import numbered_events
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
    script.withdraw(script.maker, 2 * CASH_SCALE)
    assert fold(script).withdrawn == 9 * CASH_SCALE


def test_who_holds_nothing_any_more_is_paid_nothing(script: Script) -> None:
    """A novation took the position before it expired."""
    script.trade(2)
    script.expire(2, 101_000 * CASH_SCALE)
    nothing = PositionExpired(
        subaccount_id=9, instrument_id=script.instrument_id, quantity=1, payoff=1
    )
    script.add(AccrueInterest(), nothing)
    found = fold(script)
    assert (found.cash[9], found.positions_of(9)) == (0, {})


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
    """The chain sold so much of the taker's to the maker."""
    leg = TransferredLeg(
        instrument_id=instrument_id, quantity=quantity, price=price, funding_index=index
    )
    event = sale_of(leg, on_chain=True)
    script.add(ObserveBlocks(first_block=2, last_block=2, last_hash=""), event, *more)


def sale_of(leg: TransferredLeg, *, on_chain: bool = False) -> PortfolioTransferred:
    """One leg, from the taker to the maker, for a discount of 1 USDC."""
    return PortfolioTransferred(
        subaccount_id=3,
        taker_subaccount_id=2,
        step=1,
        fraction=10**18,
        legs=(leg,),
        discount=CASH_SCALE,
        by_fund=False,
        on_chain=on_chain,
    )


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


def matched(script: Script, contracts: int, price: int, side: Side = Side.BUY) -> None:
    """The taker trades perpetuals with the maker."""
    script.instrument_id = script.perpetual_id
    ask = script.place(script.maker, side.opposite, contracts)
    trade = script.traded(ask.seq, script.seq + 1, contracts, price=price, taker_side=side)
    script.place(script.taker, side, contracts, trade)


def test_a_linear_position_keeps_its_cost_until_it_closes(script: Script) -> None:
    """Then cash moves by the difference, less funding: the short is paid what the long owes."""
    matched(script, 2, 2_500 * CASH_SCALE)
    script.accrue(1, 3 * CASH_SCALE)
    matched(script, 1, 2_600 * CASH_SCALE, Side.SELL)
    found, perpetual = fold(script), script.perpetual_id
    gain = (2_600 - 2_500 - 2 * 3) * CASH_SCALE
    start = 10_000 * CASH_SCALE
    assert found.cash == {
        1: 9 * CASH_SCALE,
        2: start - gain - 3 * CASH_SCALE,
        3: start + gain - 6 * CASH_SCALE,
    }
    assert found.linear_cash == {(2, perpetual): -gain, (3, perpetual): gain}
    left = Held(QUANTITY_SCALE, 2_500 * CASH_SCALE, 3 * CASH_SCALE)
    assert found.positions_of(3) == {perpetual: left}
    short = Held(-QUANTITY_SCALE, -2_500 * CASH_SCALE, 3 * CASH_SCALE)
    assert found.positions_of(2) == {perpetual: short}


def test_a_part_releases_its_cost_rounded_up(script: Script) -> None:
    """Against whoever holds it, long or short; to the last unit nothing is made."""
    price = 2_500 * CASH_SCALE
    matched(script, 1, price)
    matched(script, 2, price + 10_000)
    matched(script, 1, price, Side.SELL)
    found, perpetual = fold(script), script.perpetual_id
    assert found.positions_of(3) == {perpetual: Held(20_000, 2 * price + 13_333)}
    assert found.positions_of(2) == {perpetual: Held(-20_000, -2 * price - 13_334)}
    assert found.linear_cash == {(3, perpetual): -6_667, (2, perpetual): 6_666}


def test_a_position_that_turns_begins_anew(script: Script) -> None:
    """All of the cost is released, and what is left costs the new price."""
    matched(script, 1, 2_500 * CASH_SCALE)
    matched(script, 3, 2_400 * CASH_SCALE, Side.SELL)
    found, perpetual = fold(script), script.perpetual_id
    assert found.positions_of(3) == {perpetual: Held(-20_000, -4_800 * CASH_SCALE)}
    assert found.positions_of(2) == {perpetual: Held(20_000, 4_800 * CASH_SCALE)}
    loss = 100 * CASH_SCALE
    assert found.linear_cash == {(3, perpetual): -loss, (2, perpetual): loss}


def test_a_refused_move_does_not_happen_and_a_forced_exit_does(script: Script) -> None:
    """Though their nonces may be equal: those of exits are ordinals."""
    withdrawal = script.withdraw(script.taker, 7)
    [left] = withdrawal.events
    assert isinstance(left, Withdrawn)
    nonce = left.nonce
    undone = MoveRefused(
        batch=1, seq=withdrawal.seq, subaccount_id=3, to_subaccount_id=0, amount=7, nonce=nonce
    )
    script.add(Novate(batch=1, fills=()), undone)
    paid = Withdrawn(
        subaccount_id=3, amount=5, recipient="0x", nonce=nonce, exit_token=script.token
    )
    script.add(AccrueInterest(), paid)
    moved = Transferred(subaccount_id=3, to_subaccount_id=2, amount=4, nonce=nonce + 1)
    script.add(AccrueInterest(), moved)
    found = fold(script)
    assert (found.cash[3], found.withdrawn) == (10_000 * CASH_SCALE - 9, 5)


def test_a_refused_act_does_not_happen_or_is_the_funds(script: Script) -> None:
    """As the journal says, or as somebody asks what it would be; other acts stand."""
    script.trade(2)
    leg = TransferredLeg(instrument_id=script.instrument_id, quantity=QUANTITY_SCALE, price=PRICE)
    sale = sale_of(leg)
    interest = InterestPaid(subaccount_id=2, amount=5)
    acts = [act for _, act in numbered_events(script.add(AccrueInterest(), sale, interest))]
    whole = fold(script)
    assert whole.positions_of(3) == {script.instrument_id: Held(QUANTITY_SCALE)}

    def without(fund: int) -> Holdings:
        return expected_holdings(
            script.entries, settled_seq=script.seq, observed_seq=script.seq, acts={acts[0]: fund}
        )

    asked = without(0)
    assert asked.positions_of(3) == {script.instrument_id: Held(2 * QUANTITY_SCALE)}
    assert asked.cash[3] == whole.cash[3] - PRICE + CASH_SCALE
    assert asked.cash[1] == whole.cash[1], "the interest stands"
    taken = without(9)
    assert taken.positions_of(9) == {script.instrument_id: Held(QUANTITY_SCALE)}
    assert (taken.cash[9], taken.cash[3]) == (CASH_SCALE - PRICE, whole.cash[3])
    refused = ActRefused(
        batch=1, act_id=acts[1], act=interest, subaccount_id=2, fund_subaccount_id=0
    )
    script.add(Novate(batch=1, fills=()), refused)
    assert fold(script).cash[1] == whole.cash[1] - 5


def test_a_takeover_in_a_batch_pays_funding_as_the_batch_does(script: Script) -> None:
    """Up to the index that came with it, whatever its legs say."""
    matched(script, 1, 2_500 * CASH_SCALE)
    script.accrue(1, 3 * CASH_SCALE)
    price = 2_600 * CASH_SCALE
    leg = TransferredLeg(
        instrument_id=script.perpetual_id, quantity=QUANTITY_SCALE, price=price, funding_index=1
    )
    sale = PortfolioTransferred(
        subaccount_id=3,
        taker_subaccount_id=9,
        step=1,
        fraction=10**18,
        legs=(leg,),
        discount=0,
        by_fund=False,
    )
    script.add(AccrueInterest(), sale)
    found = fold(script)
    held = Held(QUANTITY_SCALE, price, 3 * CASH_SCALE)
    assert found.positions_of(9) == {script.perpetual_id: held}
    assert found.linear_cash[3, script.perpetual_id] == (100 - 3) * CASH_SCALE
