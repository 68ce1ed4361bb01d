"""What owners do on chain against the venue's will, what the chain takes back, and what an operator
forbids, at random."""

from itertools import takewhile
from typing import Any

from tests.venue import COLLATERALS, USDC_TOKEN, WALLET

from exchange.commands import HoldWithdrawals, SuspendTrading
from exchange.engine.chain_memory import Span
from exchange.exits import PAID_WITHIN_S
from exchange.observations import ExitSeen, ExitServedSeen, SubaccountSeen


def follow_chain(flow: Any) -> Any:
    """A forced exit, a reorganisation, or what an operator puts on and takes off again."""
    kinds = (_force_exit, _force_exit, _force_exit, _lose_blocks, _hold, _suspend)
    return flow.pick(kinds)(flow)


def _force_exit(flow: Any) -> Any:
    """Money is asked for, within the hour or too late to be paid by a batch; or it is served."""
    open_exits = {one.subaccount_id: one for one in flow.venue.engine.exits}
    who = flow.pick(flow.accounts)
    if open_exits and flow.draw(0, 1):
        who = flow.pick(sorted(open_exits))
        known = open_exits[who]
        served = flow.draw(0, min(known.left, _held(flow, who, known.token)))
        return flow.venue.observe(
            ExitServedSeen(
                subaccount_id=who, ordinal=known.ordinal, token=known.token, amount=served
            )
        )
    token = flow.pick((USDC_TOKEN, *(asset.token for asset in COLLATERALS)))
    held = _held(flow, who, token)
    if who in open_exits or not held:
        return flow.place()
    flow.asked += 1
    return flow.venue.observe(
        ExitSeen(
            subaccount_id=who,
            ordinal=flow.asked,
            token=token,
            amount=flow.draw(1, held),
            recipient=WALLET,
            requested_s=flow.venue.now_s - flow.pick((0, 60, PAID_WITHIN_S + 1)),
        )
    )


def _held(flow: Any, who: int, token: str) -> int:
    if token == USDC_TOKEN:
        return max(0, flow.venue.cash(who))
    return flow.venue.engine.tokens(who).get(token, 0)


def _lose_blocks(flow: Any) -> Any:
    """The newest few, never those that opened the subaccounts."""
    spans = flow.venue.engine._venue.chain.spans
    recent = list(takewhile(_opened_nobody, reversed(spans)))
    if not recent:
        return flow.place()
    to = spans[-1 - flow.draw(1, min(4, len(recent)))]
    return flow.venue.revert((to.last_block, to.last_hash))


def _opened_nobody(span: Span) -> bool:
    return not any(isinstance(undo.seen, SubaccountSeen) for undo in span.undos)


def _hold(flow: Any) -> Any:
    """Mostly it ends a hold."""
    held = flow.venue.engine.held
    who = flow.pick(held or flow.accounts)
    command = HoldWithdrawals(subaccount_id=who, held=not held, detail="drawn")
    return flow.venue.send(command)


def _suspend(flow: Any) -> Any:
    """Mostly it reinstates."""
    suspended = flow.venue.engine.suspended
    who = flow.pick(suspended or flow.accounts)
    command = SuspendTrading(subaccount_id=who, suspended=not suspended, detail="drawn")
    return flow.venue.send(command)
