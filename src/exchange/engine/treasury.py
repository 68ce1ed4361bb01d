"""What owners move: tokens in, cash and tokens out, and between their own subaccounts.

All of it is debited here first and settled by the batch that contains the command. Tokens beyond a
venue's cap, or of a kind that is not configured, are idle: held, withdrawable, worth nothing, until
there is room.
"""

from exchange.commands import Collateral, TransferFunds, Withdraw
from exchange.engine.chain_memory import Move
from exchange.engine.checks import Refusal, check_not_liquidated, nonce_is_used
from exchange.engine.gates import marks_are_stale
from exchange.engine.proofs import count_proof
from exchange.engine.state import Subaccount, Venue
from exchange.events import Deposited, RejectReason, Transferred, Withdrawn
from exchange.fixed import (
    ASSET_SCALE,
    CASH_SCALE,
    format_decimal,
    mul_div_down,
    to_seconds_down,
)
from exchange.model import TransferTerms, WithdrawalTerms

_ZERO_ADDRESS = "0x" + "0" * 40

Terms = WithdrawalTerms | TransferTerms


def deposit(venue: Venue, subaccount: Subaccount, token: str, amount: int) -> None:
    """Credit what the chain received; no token is cash."""
    credit(venue, subaccount, token, amount)
    venue.emit(Deposited(subaccount_id=subaccount.subaccount_id, amount=amount, token=token))


def credit(venue: Venue, subaccount: Subaccount, token: str, amount: int) -> None:
    """Credit what the chain has after all; no token is cash."""
    if token:
        _credit(venue, subaccount, token, amount)
    else:
        subaccount.account.add_cash(amount)


def give_back(venue: Venue, move: Move) -> int:
    """Undo a move that the chain refused; what of a token its receiver has not got any more."""
    sender, missing = venue.subaccounts[move.subaccount_id], 0
    if move.to_subaccount_id:
        receiver = venue.subaccounts[move.to_subaccount_id]
        missing = take_back(venue, receiver, move.token, move.amount)
    credit(venue, sender, move.token, move.amount)
    return missing


def take_back(venue: Venue, subaccount: Subaccount, token: str, amount: int) -> int:
    """Debit what the chain has not, any more or ever; what of a token is not there."""
    if not token:
        subaccount.account.add_cash(-amount)
        return 0
    key = (token, subaccount.subaccount_id)
    idle = venue.treasury.idle.get(key, 0)
    _set_idle(venue, key, max(0, idle - amount))
    rest = max(0, amount - idle)
    asset = asset_of(venue, token)
    counted = min(rest, subaccount.account.collateral.get(asset.asset_id, 0)) if asset else 0
    if asset is not None and counted:
        _count(venue, subaccount, asset, -counted)
        fill_room(venue)
    missing = rest - counted
    if missing:
        venue.chain.missing[key] = venue.chain.missing.get(key, 0) + missing
    return missing


def move_money(venue: Venue, command: Withdraw | TransferFunds) -> None:
    """Debit cash or a token; a transfer credits it, a withdrawal is paid by this batch."""
    terms = command.terms
    refusal = _check_terms(venue, terms) or _check_destination(venue, terms)
    if refusal is not None:
        venue.refuse(*refusal, subaccount_id=terms.subaccount_id, nonce=terms.nonce)
        return
    assert venue.parameters is not None
    token = ledger_token(venue, terms.token)
    subaccount = venue.subaccounts[terms.subaccount_id]
    subaccount.used_nonces.add(terms.nonce)
    venue.batches.pending += 1
    take(venue, subaccount, token, terms.amount)
    to = terms.to_subaccount_id if isinstance(terms, TransferTerms) else 0
    if to:
        count_proof(venue, terms.subaccount_id)
    venue.batches.moves[venue.seq] = Move(
        batch=venue.batches.number + 1,
        subaccount_id=terms.subaccount_id,
        to_subaccount_id=to,
        token=token,
        amount=terms.amount,
        nonce=terms.nonce,
    )
    if isinstance(terms, TransferTerms):
        _transfer(venue, terms, token)
        return
    venue.emit(
        Withdrawn(
            subaccount_id=terms.subaccount_id,
            amount=terms.amount,
            recipient=terms.recipient,
            nonce=terms.nonce,
            token=token,
        )
    )


def _transfer(venue: Venue, terms: TransferTerms, token: str) -> None:
    receiver = venue.subaccounts[terms.to_subaccount_id]
    if token:
        _credit(venue, receiver, token, terms.amount)
    else:
        receiver.account.add_cash(terms.amount)
    venue.emit(
        Transferred(
            subaccount_id=terms.subaccount_id,
            to_subaccount_id=terms.to_subaccount_id,
            amount=terms.amount,
            nonce=terms.nonce,
            token=token,
        )
    )


def fill_room(venue: Venue) -> None:
    """Let idle tokens count as far as the caps allow, the longest idle first."""
    for (token, subaccount_id), amount in list(venue.treasury.idle.items()):
        asset = asset_of(venue, token)
        if asset is None:
            continue
        counted = min(amount, _room(venue, asset))
        if counted:
            _count(venue, venue.subaccounts[subaccount_id], asset, counted)
            _set_idle(venue, (token, subaccount_id), amount - counted)


def count_all(venue: Venue, subaccount: Subaccount) -> bool:
    """Let all tokens of a debtor count, caps or not: they are sold before others pay for it.

    Not while the index of one is old; whether it could be done.
    """
    assert venue.parameters is not None
    waiting = [
        (asset, amount)
        for asset in venue.parameters.collaterals
        if (amount := venue.treasury.idle.get((asset.token, subaccount.subaccount_id), 0))
    ]
    for asset, _ in waiting:
        age_ns = venue.time_ns - venue.index_times_ns.get(asset.underlying_id, 0)
        if age_ns > venue.parameters.limits.index_age_ns_max:
            return False
    for asset, amount in waiting:
        _set_idle(venue, (asset.token, subaccount.subaccount_id), 0)
        _count(venue, subaccount, asset, amount)
    return True


def ledger_token(venue: Venue, token: str) -> str:
    """A token by its address, as the ledger names it: nothing for USDC, which is cash."""
    assert venue.parameters is not None
    return "" if token == venue.parameters.collateral else token


def asset_of(venue: Venue, token: str) -> Collateral | None:
    """The configured collateral with this address."""
    assert venue.parameters is not None
    return next((one for one in venue.parameters.collaterals if one.token == token), None)


def take(venue: Venue, subaccount: Subaccount, token: str, amount: int) -> None:
    """Debit what is there; no token is cash. Idle tokens first."""
    if not token:
        subaccount.account.add_cash(-amount)
        return
    key = (token, subaccount.subaccount_id)
    idle = venue.treasury.idle.get(key, 0)
    _set_idle(venue, key, max(0, idle - amount))
    asset = asset_of(venue, token)
    if asset is not None and amount > idle:
        _count(venue, subaccount, asset, idle - amount)
        fill_room(venue)


def held(venue: Venue, subaccount: Subaccount, token: str) -> int:
    """Units of a token, idle or not; no token is cash, of which there is never less than none."""
    if not token:
        return max(0, subaccount.cash)
    asset = asset_of(venue, token)
    idle = venue.treasury.idle.get((token, subaccount.subaccount_id), 0)
    return idle + (subaccount.account.collateral.get(asset.asset_id, 0) if asset else 0)


def leavable(venue: Venue, subaccount: Subaccount, token: str, wanted: int) -> int:
    """As much of `wanted` as may leave now; 0 while that cannot be said.

    Complexity: O(log wanted) margins of a token, one of cash.
    """
    number = subaccount.subaccount_id
    if number in venue.treasury.held or venue.losses or check_not_liquidated(venue, number):
        return 0
    if _check_valued(venue, subaccount):
        return 0
    account = subaccount.account
    if not token:
        return max(0, min(wanted, account.cash, account.initial_excess()))
    low, high = 0, min(wanted, held(venue, subaccount, token))
    while low < high:  # the more leaves the less is left
        middle = (low + high + 1) >> 1
        if _check_tokens(venue, subaccount, token, middle) is None:
            low = middle
        else:
            high = middle - 1
    return low


def _credit(venue: Venue, subaccount: Subaccount, token: str, amount: int) -> None:
    key = (token, subaccount.subaccount_id)
    owed = venue.chain.missing.pop(key, 0)
    if owed > amount:
        venue.chain.missing[key] = owed - amount
    _set_idle(venue, key, venue.treasury.idle.get(key, 0) + max(0, amount - owed))
    fill_room(venue)


def _count(venue: Venue, subaccount: Subaccount, asset: Collateral, amount: int) -> None:
    subaccount.account.add_collateral(asset.asset_id, amount)
    known = venue.treasury.counted.get(asset.asset_id, 0)
    venue.treasury.counted[asset.asset_id] = known + amount


def _room(venue: Venue, asset: Collateral) -> int:
    return max(0, asset.total_cap - venue.treasury.counted.get(asset.asset_id, 0))


def _set_idle(venue: Venue, key: tuple[str, int], amount: int) -> None:
    if amount:
        venue.treasury.idle[key] = amount
    else:
        venue.treasury.idle.pop(key, None)


# --- what refuses ---


def _check_terms(venue: Venue, terms: Terms) -> Refusal | None:
    assert venue.parameters is not None
    subaccount = venue.subaccounts.get(terms.subaccount_id)
    if subaccount is None:
        return RejectReason.UNKNOWN_SUBACCOUNT, f"subaccount {terms.subaccount_id}"
    if terms.signer != subaccount.owner:
        return RejectReason.UNAUTHORIZED_SIGNER, "only the owner's own signature moves money"
    now_s = to_seconds_down(venue.time_ns)
    if terms.deadline <= now_s:
        return RejectReason.DEADLINE_PASSED, f"deadline {terms.deadline}, now {now_s}"
    if terms.deadline > now_s + venue.parameters.limits.deadline_seconds_max:
        return RejectReason.DEADLINE_TOO_FAR, f"deadline {terms.deadline}"
    if terms.nonce < subaccount.nonce_floor:
        return RejectReason.STALE_NONCE, f"nonce {terms.nonce} is below {subaccount.nonce_floor}"
    refusal = check_not_liquidated(venue, terms.subaccount_id)
    if refusal is not None:
        return refusal
    if nonce_is_used(subaccount, terms.nonce):
        return RejectReason.NONCE_USED, f"nonce {terms.nonce} is taken"
    return (
        _check_size(venue, subaccount, terms)
        or _check_held(venue, terms.subaccount_id)
        or _check_valued(venue, subaccount)
        or _check_free(venue, subaccount, terms)
    )


def _check_held(venue: Venue, subaccount_id: int) -> Refusal | None:
    if subaccount_id in venue.exits.requests:
        return RejectReason.EXIT_OPEN, "a forced exit is open; it is served first"
    if subaccount_id in venue.treasury.held:
        return RejectReason.WITHDRAWALS_HELD, "journal and chain disagree; the venue looks at it"
    if venue.losses:
        return RejectReason.WITHDRAWALS_HELD, "a loss is being shared; try again"
    return None


def _check_size(venue: Venue, subaccount: Subaccount, terms: Terms) -> Refusal | None:
    """Dust stays: each withdrawal costs gas and a nonce that is remembered. All of it may go.

    A token that has no price has no minimum.
    """
    assert venue.parameters is not None
    if terms.amount <= 0:
        return RejectReason.QUANTITY_NOT_POSITIVE, "the amount must be above zero"
    token = ledger_token(venue, terms.token)
    value = terms.amount
    if token:
        asset = asset_of(venue, token)
        index_price = venue.marks.index_price(asset.underlying_id) if asset else 0
        if asset is None or index_price == 0:
            return None
        value = mul_div_down(terms.amount, index_price, ASSET_SCALE)
    all_ = held(venue, subaccount, token)
    if value >= venue.parameters.withdrawal_min or terms.amount == all_:
        return None
    text = format_decimal(venue.parameters.withdrawal_min, CASH_SCALE)
    return RejectReason.QUANTITY_TOO_SMALL, f"at least {text} USDC, or its worth, or all of it"


def _check_valued(venue: Venue, subaccount: Subaccount) -> Refusal | None:
    """What backs or is a position needs fresh prices; an idle subaccount needs none."""
    assert venue.parameters is not None
    account = subaccount.account
    needed = {venue.instruments[instrument_id].underlying_id for instrument_id in account.positions}
    if not _is_idle(subaccount):
        tokens = venue.marks.collaterals
        needed |= {tokens[asset_id].underlying_id for asset_id in account.collateral}
    for underlying_id in needed:
        age_ns = venue.time_ns - venue.index_times_ns.get(underlying_id, 0)
        if age_ns > venue.parameters.limits.index_age_ns_max:
            return RejectReason.STALE_INDEX, "the subaccount cannot be valued now; try again"
    if needed and marks_are_stale(venue):
        return RejectReason.STALE_MARKS, "the subaccount cannot be valued now; try again"
    return None


def _is_idle(subaccount: Subaccount) -> bool:
    """Whether nothing here needs margin."""
    account = subaccount.account
    return account.cash >= 0 and not account.positions and not account.orders


def _check_free(venue: Venue, subaccount: Subaccount, terms: Terms) -> Refusal | None:
    assert venue.parameters is not None
    account = subaccount.account
    if terms.token == venue.parameters.collateral:
        free = min(account.cash, account.initial_excess())
        if terms.amount > free:
            text = format_decimal(max(0, free), CASH_SCALE)
            return RejectReason.INSUFFICIENT_CASH, f"at most {text} USDC can leave now"
        return None
    return _check_tokens(venue, subaccount, terms.token, terms.amount)


def _check_tokens(venue: Venue, subaccount: Subaccount, token: str, amount: int) -> Refusal | None:
    account = subaccount.account
    asset = asset_of(venue, token)
    idle = venue.treasury.idle.get((token, subaccount.subaccount_id), 0)
    all_ = held(venue, subaccount, token)
    if amount > all_:
        text = format_decimal(all_, ASSET_SCALE)
        return RejectReason.INSUFFICIENT_CASH, f"{text} of token {token} are held"
    if _is_idle(subaccount):
        return None
    if account.maintenance_excess() < 0:  # before a sweep sees it, whatever counts nothing
        return RejectReason.INSUFFICIENT_CASH, "nothing can leave below maintenance margin"
    if asset is None or amount <= idle:
        return None
    account.add_collateral(asset.asset_id, idle - amount)
    short = -account.initial_excess()
    account.add_collateral(asset.asset_id, amount - idle)
    if short > 0:
        text = format_decimal(short, CASH_SCALE)
        return RejectReason.INSUFFICIENT_CASH, f"initial margin would be short of {text} USDC"
    return None


def _check_destination(venue: Venue, terms: Terms) -> Refusal | None:
    if isinstance(terms, TransferTerms):
        return _check_receiver(venue, terms)
    return _check_recipient(venue, terms)


def _check_recipient(venue: Venue, terms: WithdrawalTerms) -> Refusal | None:
    """The contract pays neither nobody nor itself, and would refuse the whole batch."""
    assert venue.parameters is not None
    if terms.recipient.lower() in (_ZERO_ADDRESS, venue.parameters.clearing.lower()):
        return RejectReason.BAD_RECIPIENT, f"recipient {terms.recipient}"
    return None


def _check_receiver(venue: Venue, terms: TransferTerms) -> Refusal | None:
    """Money stays with its owner."""
    assert venue.parameters is not None
    sender = venue.subaccounts[terms.subaccount_id]
    receiver = venue.subaccounts.get(terms.to_subaccount_id)
    if receiver is None or receiver is sender or receiver.owner != sender.owner:
        return RejectReason.BAD_RECIPIENT, f"subaccount {terms.to_subaccount_id} is not another own"
    if not venue.parameters.transfers:
        return RejectReason.NOT_OFFERED, "transfers between subaccounts are off"
    return None
