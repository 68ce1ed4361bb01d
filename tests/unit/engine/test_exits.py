"""Forced exits and the escape: what owners ask for on chain."""

from tests.venue import (
    COLLATERALS,
    USDC_TOKEN,
    WALLET,
    WBTC,
    WETH,
    C,
    P,
    call,
    canceled,
    contracts,
    fills,
    names,
    open_venue,
    refusals,
    tokens,
    usdc,
)

from exchange.commands import (
    CutBatch,
    HoldWithdrawals,
    RevertBlocks,
)
from exchange.events import (
    CancelReason,
    EscapeStarted,
    ExitRequested,
    ExitServed,
    RejectReason,
    Withdrawn,
)
from exchange.exits import PAID_WITHIN_S
from exchange.observations import EscapeSeen, ExitSeen, ExitServedSeen

R = RejectReason
WETH_TOKEN, WBTC_TOKEN = (asset.token for asset in COLLATERALS)


def request(venue, subaccount_id, amount, token=USDC_TOKEN, ordinal=1, age_s=0):
    """The owner asks; amounts in units."""
    return venue.observe(
        ExitSeen(
            subaccount_id=subaccount_id,
            ordinal=ordinal,
            token=token,
            amount=amount,
            recipient=WALLET,
            requested_s=venue.now_s - age_s,
        )
    )


def paid(events):
    return [event.amount for event in events if isinstance(event, Withdrawn)]


def left(venue):
    return [(exit_.subaccount_id, exit_.left) for exit_ in venue.engine.exits]


# --- requests ---


def test_a_request_is_paid_at_once(venue, ann):
    """By the batch of the command that saw it, without a signature."""
    events = request(venue, ann, usdc(400_000))
    assert (
        ExitRequested(subaccount_id=ann, ordinal=1, amount=usdc(400_000), recipient=WALLET)
        in events
    )
    assert events[-2] == Withdrawn(
        subaccount_id=ann,
        amount=usdc(400_000),
        recipient=WALLET,
        nonce=1,
        exit_token=USDC_TOKEN,
    )
    assert venue.cash(ann) == usdc(600_000)
    assert left(venue) == []
    assert "BatchCut" in names(venue.send(CutBatch()))


def test_the_engine_pays_what_margin_leaves(venue, ann, bob):
    """To the last unit; the rest stays asked for, and nothing else leaves meanwhile."""
    venue.buy(bob, 10, 2_500)
    venue.sell(ann, 10, 2_500)
    free = venue.engine.margin(ann).initial_excess
    assert paid(request(venue, ann, usdc(1_000_000))) == [free]
    assert venue.engine.margin(ann).initial_excess == 0
    assert left(venue) == [(ann, usdc(1_000_000) - free)]
    assert refusals(venue.withdraw(ann, 1)) == [R.EXIT_OPEN]
    assert refusals(venue.move(ann, bob, 1)) == [R.EXIT_OPEN]


def test_a_request_takes_the_orders_off(venue, ann, bob):
    """The chain knows none, so what they hold back is free there."""
    venue.sell(ann, 10, 2_500)
    venue.sell(bob, 1, 2_600)
    events = request(venue, ann, usdc(1_000_000))
    assert [reason for _, reason in canceled(events)] == [CancelReason.FORCED_EXIT]
    assert paid(events) == [usdc(1_000_000)]
    assert len(venue.engine.open_orders(bob)) == 1


def test_who_asks_for_money_takes_no_new_risk(venue, ann, bob):
    """The chain will pay what is free by settled positions; a later fill would have no margin."""
    venue.buy(bob, 10, 2_500)
    venue.sell(ann, 10, 2_500)
    request(venue, ann, usdc(1_000_000))
    venue.sell(bob, 20, 2_500)
    events = venue.buy(ann, 10, 2_500, reduce_only=True)  # from here on all of it is free
    assert fills(events) == [(usdc(2_500), contracts(10))]
    for refused in (
        venue.sell(ann, 1, 2_500),
        venue.buy(ann, 1, 2_500),
        venue.sell(ann, 1, 2_500, instrument_id=P),
    ):
        assert refusals(refused) == [R.EXIT_OPEN]
    venue.observe()
    assert left(venue) == []
    assert refusals(venue.buy(bob, 1, 2_500)) == []


def test_a_reducing_order_must_free_margin_while_money_is_asked_for(venue, ann, bob):
    """A leg that hedges another stays: without it less would be free than the chain saw."""
    hedge = call(110_000)
    venue.mark({C: 2_500, hedge: 1_000})
    for instrument_id, side, other, price in (
        (C, venue.sell, venue.buy, 2_500),
        (hedge, venue.buy, venue.sell, 1_000),
    ):
        other(bob, 10, price, instrument_id=instrument_id)
        side(ann, 10, price, instrument_id=instrument_id)
    request(venue, ann, usdc(1_000_000), age_s=PAID_WITHIN_S + 1)
    assert venue.engine.margin(ann).initial_excess > usdc(900_000)
    sale = venue.sell(ann, 10, 1_000, instrument_id=hedge, reduce_only=True)
    assert refusals(sale) == [R.EXIT_OPEN]
    assert refusals(venue.buy(ann, 10, 2_500, reduce_only=True)) == []


def test_the_rest_is_paid_when_it_becomes_free(venue, ann, bob):
    """With the next marks; small parts wait, so that each does not cost a payment."""
    venue.buy(bob, 10, 2_500)
    venue.sell(ann, 10, 2_500)
    request(venue, ann, usdc(1_000_000))
    venue.observe()
    before = venue.cash(ann)
    assert paid(venue.mark({C: 2_450})) == []
    assert venue.engine.margin(ann).initial_excess > 0
    parts = paid(venue.mark({C: 1}))
    assert len(parts) == 1
    assert venue.cash(ann) == before - parts[0]


def test_nothing_is_paid_after_the_window(venue, ann, bob):
    """Whoever serves the request by proof must find no payment under way."""
    late = request(venue, ann, 5, age_s=PAID_WITHIN_S + 1)
    assert paid(late) == []
    assert paid(request(venue, bob, 5, age_s=PAID_WITHIN_S)) == [5]
    assert left(venue) == [(ann, 5)]


def test_an_account_that_cannot_be_valued_waits(venue, ann, bob):
    """Stale prices, a hold: the request is paid when that is over."""
    venue.buy(bob, 1, 2_500)
    venue.sell(ann, 1, 2_500)
    venue.wait(31)
    assert paid(request(venue, ann, 5)) == []
    venue.index()
    assert paid(venue.observe()) == [5]
    venue.send(HoldWithdrawals(subaccount_id=bob, held=True, detail="differs"))
    assert paid(request(venue, bob, 5)) == []
    venue.send(HoldWithdrawals(subaccount_id=bob, held=False, detail="looked"))
    assert paid(venue.observe()) == [5]


def test_one_command_pays_a_bounded_number(venue):
    """The next pays the others."""
    owners = [venue.fund(f"owner {n}") for n in range(25)]
    seen = [
        ExitSeen(
            subaccount_id=owner,
            ordinal=1,
            token=USDC_TOKEN,
            amount=1,
            recipient=WALLET,
            requested_s=venue.now_s,
        )
        for owner in owners
    ]
    assert len(paid(venue.observe(*seen))) == 20
    assert len(paid(venue.observe())) == 5
    assert left(venue) == []


def test_requests_that_cannot_be_paid_shut_nobody_out(venue):
    """Each command tries a bounded number, and who was tried waits behind the others."""
    for owner in [venue.fund(f"owner {n}") for n in range(20)]:
        venue.send(HoldWithdrawals(subaccount_id=owner, held=True, detail="differs"))
        assert paid(request(venue, owner, 1)) == []
    other = venue.fund("other")
    assert paid(request(venue, other, 1)) == []
    assert paid(venue.observe()) == [1]
    assert len(left(venue)) == 20


# --- tokens ---


def test_tokens_leave_as_far_as_margin_holds():
    """One unit more would break it."""
    venue = open_venue(collaterals=COLLATERALS)
    bob, carol = venue.fund("bob"), venue.fund("carol", 0)
    venue.give(carol, WBTC, 2)
    venue.buy(bob, 2, 2_500)
    assert "Traded" in names(venue.sell(carol, 2, 2_500))
    [amount] = paid(request(venue, carol, tokens(2), token=WBTC_TOKEN))
    assert 0 < amount < tokens(2)
    assert 0 <= venue.engine.margin(carol).initial_excess < usdc("0.001")
    assert left(venue) == [(carol, tokens(2) - amount)]


def test_tokens_of_an_idle_account_leave_whole(venue, ann):
    """Nothing needs them; more than is there cannot be paid."""
    venue.give(ann, WETH, 2)
    assert paid(request(venue, ann, tokens(2), token=WETH_TOKEN)) == [tokens(2)]
    venue.give(ann, WETH, 1)
    events = request(venue, ann, tokens(2), token=WETH_TOKEN, ordinal=2)
    assert paid(events) == [tokens(1)]


# --- service by proof ---


def test_what_the_chain_served_is_gone(venue, ann):
    """Whatever it leaves; the request is closed."""
    request(venue, ann, 7, age_s=PAID_WITHIN_S + 1)
    events = venue.observe(ExitServedSeen(subaccount_id=ann, ordinal=1, token=USDC_TOKEN, amount=7))
    assert ExitServed(subaccount_id=ann, ordinal=1, amount=7) in events
    assert venue.cash(ann) == usdc(1_000_000) - 7
    assert left(venue) == []
    assert refusals(venue.withdraw(ann, 1)) == []


def test_a_request_closed_for_nothing_moves_nothing(venue, ann):
    """The proof said that nothing was free."""
    request(venue, ann, 7, age_s=PAID_WITHIN_S + 1)
    venue.observe(ExitServedSeen(subaccount_id=ann, ordinal=1, token=USDC_TOKEN, amount=0))
    assert venue.cash(ann) == usdc(1_000_000)
    assert left(venue) == []


def test_tokens_that_are_not_there_any_more_are_owed(venue, ann):
    """The next that come pay for them; the venue goes on."""
    venue.give(ann, WETH, 2)
    events = venue.observe(
        ExitServedSeen(subaccount_id=ann, ordinal=1, token=WETH_TOKEN, amount=tokens(3))
    )
    assert ExitServed(subaccount_id=ann, ordinal=1, amount=tokens(3), token=WETH_TOKEN) in events
    venue.give(ann, WETH, 5)
    assert venue.engine.tokens(ann) == {WETH_TOKEN: tokens(4)}


# --- blocks that are lost ---


def lost(venue, block):
    return venue.send(RevertBlocks(last_block=block, last_hash=f"0x{block:064x}"))


def test_a_lost_request_is_paid_no_more(venue, ann):
    """It may come again after a part of it was paid, so an operator looks first."""
    block = venue.engine.last_block
    request(venue, ann, 7, age_s=PAID_WITHIN_S + 1)
    lost(venue, block)
    assert left(venue) == []
    assert venue.engine.held == [ann]
    assert paid(request(venue, ann, 7)) == []
    venue.send(HoldWithdrawals(subaccount_id=ann, held=False, detail="looked"))
    assert paid(venue.observe()) == [7]


def test_a_lost_service_is_credited_again(venue, ann):
    """Cash and tokens, to the unit."""
    venue.give(ann, WETH, 2)
    block, cash = venue.engine.last_block, venue.cash(ann)
    for token in (USDC_TOKEN, WETH_TOKEN):
        venue.observe(ExitServedSeen(subaccount_id=ann, ordinal=1, token=token, amount=9))
    assert venue.cash(ann) == cash - 9
    events = lost(venue, block)
    assert [event.amount for event in events if isinstance(event, ExitServed)] == [-9, -9]
    assert venue.cash(ann) == cash
    assert venue.engine.tokens(ann) == {WETH_TOKEN: tokens(2)}
    assert venue.engine.held == [ann]


def test_a_lost_escape_lets_the_venue_go_on(venue, ann):
    """Its orders are gone all the same."""
    venue.sell(ann, 10, 2_500)
    block = venue.engine.last_block
    venue.observe(EscapeSeen(block=block + 1))
    lost(venue, block)
    assert not venue.engine.escaped
    assert refusals(venue.sell(ann, 10, 2_500)) == []
    assert len(venue.engine.open_orders(ann)) == 1


# --- the end ---


def test_the_escape_ends_the_venue(venue, ann, bob):
    """Orders are gone, nothing is taken in but blocks."""
    venue.sell(ann, 10, 2_500)
    venue.sell(bob, 10, 2_500)
    events = venue.observe(EscapeSeen(block=77))
    assert [reason for _, reason in canceled(events)] == [CancelReason.ESCAPE] * 2
    assert EscapeStarted(block=77) in events
    assert venue.engine.escaped
    assert refusals(venue.buy(bob, 1, 2_500)) == [R.ESCAPED]
    assert refusals(venue.withdraw(ann, 1)) == [R.ESCAPED]
    assert refusals(venue.send(CutBatch())) == [R.ESCAPED]
    assert refusals(venue.observe()) == []


# --- determinism ---


def test_exits_are_part_of_the_state(venue, ann, bob):
    """Open requests and the end change the hash; a second engine agrees on both."""
    venue.buy(bob, 10, 2_500)
    venue.sell(ann, 10, 2_500)
    before = venue.engine.state_hash()
    request(venue, ann, usdc(1_000_000))
    assert venue.engine.state_hash() != before
    assert venue.twin().state_hash() == venue.engine.state_hash()
    venue.observe(EscapeSeen(block=7))
    assert venue.twin().state_hash() == venue.engine.state_hash()
