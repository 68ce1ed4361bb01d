"""Money that owners move: withdrawals, tokens in and out, transfers, caps."""

import msgspec
import pytest
from tests.venue import (
    CLEARING,
    COLLATERALS,
    EXPIRY_S,
    FEE_ID,
    FEES,
    NS,
    START_S,
    USDC_TOKEN,
    WALLET,
    WBTC,
    WETH,
    C,
    configuration,
    contracts,
    fills,
    limits,
    names,
    open_venue,
    refusals,
    tokens,
    usdc,
)

from exchange.commands import DepositSeen, NonceFloorSeen, SessionKeySeen, SubaccountSeen
from exchange.events import Deposited, RejectReason, Transferred, Withdrawn

R = RejectReason
ZERO = "0x" + "0" * 40
WETH_TOKEN, WBTC_TOKEN = (asset.token for asset in COLLATERALS)


# --- withdrawals ---


def test_a_withdrawal_debits_at_once(venue, ann):
    """The cash is gone from the engine before the chain pays it."""
    events = venue.withdraw(ann, 400_000, nonce=9)
    expected = Withdrawn(subaccount_id=ann, amount=usdc(400_000), recipient=WALLET, nonce=9)
    assert events == (expected,)
    assert venue.cash(ann) == usdc(600_000)
    assert venue.engine.pending == 1


def test_everything_may_leave_an_idle_subaccount(venue, ann):
    """The last micro-USDC, and then nothing more."""
    assert refusals(venue.withdraw(ann, 1_000_000)) == []
    assert refusals(venue.withdraw(ann, "0.000001")) == [R.INSUFFICIENT_CASH]


WITHDRAWAL_FAULTS = [
    (R.UNKNOWN_SUBACCOUNT, {"subaccount_id": 99}),
    (R.UNAUTHORIZED_SIGNER, {"signer": "key"}),
    (R.UNAUTHORIZED_SIGNER, {"signer": "mallory"}),
    (R.DEADLINE_PASSED, {"deadline": START_S}),
    (R.DEADLINE_TOO_FAR, {"deadline": START_S + 30 * 86_400 + 1}),
    (R.STALE_NONCE, {"nonce": 99}),
    (R.NONCE_USED, {"nonce": 100}),
    (R.NONCE_USED, {"nonce": 101}),
    (R.QUANTITY_NOT_POSITIVE, {"amount": 0}),
    (R.QUANTITY_NOT_POSITIVE, {"amount": -1}),
    (R.INSUFFICIENT_CASH, {"amount": usdc(2_000_000)}),
    (R.INSUFFICIENT_CASH, {"token": CLEARING}),
    (R.BAD_RECIPIENT, {"recipient": ZERO}),
    (R.BAD_RECIPIENT, {"recipient": CLEARING}),
    (R.BAD_RECIPIENT, {"recipient": CLEARING.upper().replace("X", "x")}),
]


def withdrawing(*changes: dict) -> list[RejectReason]:
    """The refusals of a withdrawal with these faults; a session key is granted, nonces used."""
    venue = open_venue()
    ann = venue.fund("ann")
    venue.observe(
        SessionKeySeen(owner="ann", key="key", deadline=venue.now_s + 7_200),
        NonceFloorSeen(subaccount_id=ann, floor=100),
    )
    venue.withdraw(ann, 1, nonce=100)
    venue.sell(ann, 1, 2_500, nonce=101)
    command = venue.withdrawal(ann, 10, nonce=102)
    fields = {key: value for change in changes for key, value in change.items()}
    terms = msgspec.structs.replace(command.terms, **fields)
    return refusals(venue.send(msgspec.structs.replace(command, terms=terms)))


@pytest.mark.parametrize(("reason", "change"), WITHDRAWAL_FAULTS)
def test_each_reason_to_refuse_a_withdrawal(reason, change):
    """One fault, its reason."""
    assert withdrawing(change) == [reason]


def test_the_first_fault_of_a_withdrawal_is_named():
    """Every two faults in different fields: the earlier check answers."""
    for at, (reason, change) in enumerate(WITHDRAWAL_FAULTS):
        for _, later in WITHDRAWAL_FAULTS[at + 1 :]:
            if not set(change) & set(later):
                assert withdrawing(change, later) == [reason], (change, later)


def test_margin_holds_cash_back(venue, ann, bob):
    """What open positions and orders need cannot leave; the rest can, to the last unit."""
    venue.buy(bob, 10, 2_500)
    venue.sell(ann, 10, 2_500)
    venue.sell(ann, 1, 2_500)
    free = venue.engine.margin(ann).initial_excess
    assert free < venue.cash(ann)
    over = venue.withdrawal(ann, 0)
    terms = msgspec.structs.replace(over.terms, amount=free + 1)
    assert refusals(venue.send(msgspec.structs.replace(over, terms=terms))) == [R.INSUFFICIENT_CASH]
    terms = msgspec.structs.replace(over.terms, amount=free)
    assert refusals(venue.send(msgspec.structs.replace(over, terms=terms))) == []
    assert venue.engine.margin(ann).initial_excess == 0


def test_unpaid_gains_cannot_leave(venue, ann, bob):
    """Options that rose are worth something, but they are not cash."""
    venue.sell(bob, 10, 2_500)
    venue.buy(ann, 10, 2_500)
    venue.withdraw(ann, 900_000)
    venue.mark({C: 20_000})
    assert venue.engine.margin(ann).initial_excess > venue.cash(ann)
    assert refusals(venue.withdraw(ann, 75_001)) == [R.INSUFFICIENT_CASH]
    assert refusals(venue.withdraw(ann, 75_000)) == []


def test_positions_need_a_fresh_index_to_let_cash_go(venue, ann, bob):
    """Without one nobody knows what is free; idle subaccounts are not held up."""
    venue.buy(bob, 1, 2_500)
    venue.sell(ann, 1, 2_500)
    carol = venue.fund("carol")
    venue.wait(31)
    assert refusals(venue.withdraw(ann, 1)) == [R.STALE_INDEX]
    assert refusals(venue.withdraw(carol, 1)) == []
    venue.index()
    assert refusals(venue.withdraw(ann, 1)) == []


def test_positions_need_fresh_marks_to_let_cash_go():
    """Nobody withdraws against marks that are too old; without positions nothing is marked."""
    venue = open_venue(limits=limits(marks_age_ns_max=60 * NS))
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(ann, 1, 2_500)
    venue.buy(bob, 1, 2_500)
    carol = venue.fund("carol")
    venue.wait(61)
    venue.index()
    assert refusals(venue.withdraw(ann, 1)) == [R.STALE_MARKS]
    assert refusals(venue.withdraw(carol, 1)) == []
    venue.mark({})
    assert refusals(venue.withdraw(ann, 1)) == []


# --- tokens ---


@pytest.fixture
def vault():
    """A venue that takes WETH and WBTC; BTC at 100,000 by every index here."""
    return open_venue(collaterals=COLLATERALS, transfers=True)


def test_a_token_backs_margin_as_soon_as_it_arrives(vault):
    """Two WBTC at 100,000: half is lost in the worst scenario, 3 and 2 % are haircuts."""
    ann = vault.fund("ann", 0)
    events = vault.give(ann, WBTC, 2)
    assert events[0] == Deposited(subaccount_id=ann, amount=tokens(2), token=WBTC_TOKEN)
    margin = vault.engine.margin(ann)
    assert margin.equity == usdc(200_000)
    assert margin.initial_excess == usdc(200_000 - 100_000 - 6_000 - 4_000)
    assert vault.engine.tokens(ann) == {WBTC_TOKEN: tokens(2)}


def test_options_are_bought_with_tokens_and_leave_a_debt(vault):
    """Cash may go below zero as long as tokens back it."""
    ann, bob = vault.fund("ann", 0), vault.fund("bob")
    vault.give(ann, WBTC, 2)
    vault.sell(bob, 10, 2_500)
    assert fills(vault.buy(ann, 10, 2_500)) == [(usdc(2_500), contracts(10))]
    assert vault.cash(ann) == -usdc(25_000)
    assert refusals(vault.withdraw(ann, 1)) == [R.INSUFFICIENT_CASH]


def test_tokens_leave_as_far_as_margin_allows(vault):
    """Idle subaccounts give all; a debt holds back what backs it, to the last unit."""
    ann, bob = vault.fund("ann", 0), vault.fund("bob")
    vault.give(ann, WBTC, 2)
    vault.sell(bob, 10, 2_500)
    vault.buy(ann, 10, 2_500)
    low, high = 0, tokens(2)
    while low < high:  # the most that may leave
        middle = (low + high + 1) // 2
        command = vault.withdrawal(ann, 0)
        terms = msgspec.structs.replace(command.terms, amount=middle, token=WBTC_TOKEN)
        engine = vault.twin()
        events = engine.apply(
            len(vault.entries) + 1, vault.time_ns, msgspec.structs.replace(command, terms=terms)
        )
        low, high = (low, middle - 1) if refusals(events) else (middle, high)
    assert 0 < low < tokens(2)
    assert refusals(take(vault, ann, WBTC_TOKEN, low + 1)) == [R.INSUFFICIENT_CASH]
    events = take(vault, ann, WBTC_TOKEN, low)
    assert names(events) == ["Withdrawn"]
    assert events[0].token == WBTC_TOKEN
    assert 0 <= vault.engine.margin(ann).initial_excess < 2_000
    assert vault.engine.pending == 2


def take(venue, subaccount_id, token, amount):
    command = venue.withdrawal(subaccount_id, 0)
    terms = msgspec.structs.replace(command.terms, amount=amount, token=token)
    return venue.send(msgspec.structs.replace(command, terms=terms))


def test_an_idle_subaccount_gives_every_token_back_without_an_index(vault):
    """Nothing there needs margin, so nothing needs a price."""
    ann = vault.fund("ann", 0)
    vault.give(ann, WETH, 3)
    vault.wait(3_600)
    assert refusals(take(vault, ann, WETH_TOKEN, tokens(3) + 1)) == [R.INSUFFICIENT_CASH]
    assert refusals(take(vault, ann, WETH_TOKEN, tokens(3))) == []
    assert vault.engine.tokens(ann) == {}


def test_tokens_that_back_something_need_a_fresh_index(vault):
    """WBTC behind an open order cannot leave while BTC has no price."""
    ann = vault.fund("ann", 10_000)
    vault.give(ann, WBTC, 1)
    vault.sell(ann, 1, 2_500)
    vault.wait(31)
    assert refusals(take(vault, ann, WBTC_TOKEN, 1)) == [R.STALE_INDEX]
    vault.index()
    assert refusals(take(vault, ann, WBTC_TOKEN, 1)) == []


def test_a_token_nobody_configured_is_kept_but_counts_nothing(venue, ann):
    """The contract took it, so its owner may have it back; once configured it counts."""
    venue.observe(DepositSeen(subaccount_id=ann, amount=tokens(5), token=WETH_TOKEN))
    assert venue.engine.margin(ann).equity == usdc(1_000_000)
    assert venue.engine.tokens(ann) == {WETH_TOKEN: tokens(5)}
    assert refusals(take(venue, ann, WETH_TOKEN, tokens(1))) == []
    venue.send(configuration(version=2, collaterals=COLLATERALS))
    assert venue.engine.margin(ann).equity == usdc(1_000_000 + 4 * 100_000)
    assert venue.engine.tokens(ann) == {WETH_TOKEN: tokens(4)}


def test_tokens_beyond_the_venues_cap_wait_for_room():
    """The longest idle first; withdrawals take idle tokens before those that count."""
    weth = msgspec.structs.replace(COLLATERALS[0], total_cap=tokens(10))
    venue = open_venue(collaterals=(weth,))
    ann, bob, carol = (venue.fund(name, 0) for name in ("ann", "bob", "carol"))
    for who, amount in ((ann, 8), (bob, 5), (carol, 4)):
        venue.give(who, WETH, amount)
    counted = [venue.engine.margin(who).equity // usdc(100_000) for who in (ann, bob, carol)]
    assert counted == [8, 2, 0]
    take(venue, bob, WETH_TOKEN, tokens(1))
    assert venue.engine.margin(bob).equity == usdc(200_000), "an idle one left"
    take(venue, ann, WETH_TOKEN, tokens(3))
    counted = [venue.engine.margin(who).equity // usdc(100_000) for who in (ann, bob, carol)]
    assert counted == [5, 4, 1]
    take(venue, bob, WETH_TOKEN, tokens(4))
    counted = [venue.engine.margin(who).equity // usdc(100_000) for who in (ann, bob, carol)]
    assert counted == [5, 0, 4]
    stricter = msgspec.structs.replace(weth, total_cap=0)
    venue.send(configuration(version=2, collaterals=(stricter,)))
    assert venue.engine.margin(ann).equity == usdc(500_000), "a lower cap takes nothing away"


def test_below_maintenance_not_even_idle_tokens_leave():
    """They back nothing; yet who runs with them leaves a debt to the others."""
    wbtc = msgspec.structs.replace(COLLATERALS[1], total_cap=0)
    venue = open_venue(collaterals=(COLLATERALS[0], wbtc))
    ann, bob = venue.fund("ann", 15_100), venue.fund("bob")
    venue.give(ann, WBTC, 9)
    venue.sell(ann, 4, 2_500)
    venue.buy(bob, 4, 2_500)
    venue.mark({C: 5_000})
    assert venue.engine.margin(ann).maintenance_excess < 0
    assert refusals(take(venue, ann, wbtc.token, 1)) == [R.INSUFFICIENT_CASH]
    venue.mark({C: 2_500})
    assert refusals(take(venue, ann, wbtc.token, 1)) == []


def test_dust_cannot_leave_but_all_of_it_can():
    """Ten USDC or their worth; what is left may be less, and then only goes whole."""
    venue = open_venue(collaterals=COLLATERALS, transfers=True, withdrawal_min=usdc(10))
    ann, other = venue.fund("ann", 25), venue.fund("ann", 0)
    venue.give(ann, WBTC, "0.00025")
    assert refusals(venue.withdraw(ann, "9.999999")) == [R.QUANTITY_TOO_SMALL]
    assert refusals(venue.withdraw(ann, 10)) == []
    assert refusals(venue.move(ann, other, usdc("9.999999"))) == [R.QUANTITY_TOO_SMALL]
    assert refusals(venue.withdraw(ann, 10)) == []
    assert refusals(venue.withdraw(ann, "4.999999")) == [R.QUANTITY_TOO_SMALL]
    assert refusals(venue.withdraw(ann, 5)) == []
    assert refusals(take(venue, ann, WBTC_TOKEN, 9_999)) == [R.QUANTITY_TOO_SMALL]
    assert refusals(take(venue, ann, WBTC_TOKEN, 10_000)) == []
    assert refusals(take(venue, ann, WBTC_TOKEN, 15_000)) == []
    venue.observe(DepositSeen(subaccount_id=ann, amount=7, token=CLEARING))
    assert refusals(take(venue, ann, CLEARING, 1)) == [], "nobody knows what it is worth"


# --- transfers ---


def test_an_owner_moves_cash_between_subaccounts(vault):
    """Debited and credited in one command; the sum stays."""
    ann, other = vault.fund("ann", 100), vault.fund("ann", 0)
    events = vault.move(ann, other, usdc(40), nonce=7)
    moved = Transferred(subaccount_id=ann, to_subaccount_id=other, amount=usdc(40), nonce=7)
    assert events == (moved,)
    assert (vault.cash(ann), vault.cash(other)) == (usdc(60), usdc(40))
    assert refusals(vault.move(ann, other, usdc(61))) == [R.INSUFFICIENT_CASH]
    assert refusals(vault.move(ann, other, 1, nonce=7)) == [R.NONCE_USED]


def test_an_owner_moves_tokens_between_subaccounts(vault):
    """What counted there counts here."""
    ann, other = vault.fund("ann", 0), vault.fund("ann", 0)
    vault.give(ann, WETH, 3)
    (moved,) = vault.move(ann, other, tokens(1), token=WETH_TOKEN)
    assert moved.token == WETH_TOKEN
    assert vault.engine.tokens(ann) == {WETH_TOKEN: tokens(2)}
    assert vault.engine.margin(other).equity == usdc(100_000)


def test_money_never_moves_to_somebody_else(vault):
    """Nor to itself, nor to nobody; a session key moves nothing."""
    ann, bob = vault.fund("ann"), vault.fund("bob")
    for receiver in (bob, ann, 99):
        assert refusals(vault.move(ann, receiver, 1)) == [R.BAD_RECIPIENT]
    other = vault.fund("ann", 0)
    deadline = vault.now_s + 7_200
    vault.observe(SessionKeySeen(owner="ann", key="key", deadline=deadline))
    assert refusals(vault.move(ann, other, 1, signer="key")) == [R.UNAUTHORIZED_SIGNER]


def test_transfers_are_off_until_settlement_knows_them(venue, ann):
    """The chain would still have the money where it was."""
    other = venue.fund("ann", 0)
    assert refusals(venue.move(ann, other, 1)) == [R.NOT_OFFERED]


def test_cash_follows_the_trades_into_the_wallet(venue, ann, bob):
    """Premium received may leave at once, margin permitting."""
    venue.buy(bob, 1, 2_500)
    assert fills(venue.sell(ann, 1, 2_500)) == [(usdc(2_500), 10_000)]
    assert refusals(venue.withdraw(ann, 990_000, token=USDC_TOKEN)) == []
    assert venue.now_s < EXPIRY_S


def test_the_treasury_takes_the_venues_fees_out():
    """Once the chain has named it; before that nobody is the owner."""
    venue = open_venue(fees=FEES)
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(ann, 1, 2_500)
    venue.buy(bob, 1, 2_500)
    earned = venue.cash(FEE_ID)
    assert earned > 0
    assert refusals(venue.withdraw(FEE_ID, "0.01", signer="thief")) == [R.UNAUTHORIZED_SIGNER]
    venue.observe(SubaccountSeen(subaccount_id=FEE_ID, owner="treasury"))
    assert refusals(venue.withdraw(FEE_ID, "0.01")) == []
    assert venue.cash(FEE_ID) == earned - 10_000
