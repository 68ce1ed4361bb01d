"""Whatever happens, cash is conserved, positions net to zero, and a replay is equal.

`Flow.step` asserts the invariants after each command; here are the two that drive it: Hypothesis,
which shrinks what it finds, and long seeded runs.
"""

import os
import random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests.engine_flow import Flow

COMMANDS = int(os.environ.get("ENGINE_COMMANDS", 40_000 if "CI" in os.environ else 4_000))
SEED = int(os.environ.get("ENGINE_SEED", 20261121))
SHARDS = 4
LIFETIME = 500  # commands of one venue


@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_commands_keep_every_invariant(shard):
    """Conservation, books against accounts, caches against recomputation; then a replay."""
    seed = SEED + shard
    print(f"engine flow: seed {seed}, {COMMANDS // SHARDS} commands")
    rng = random.Random(seed)
    seen = 0
    for _ in range(COMMANDS // SHARDS // LIFETIME):
        flow = Flow(rng.randint)
        for _ in range(LIFETIME):
            flow.step()
        flow.finish()
        seen += flow.seen["Traded"]
    assert seen > COMMANDS // SHARDS // 20, "a flow that never trades proves nothing"


REASONS = {
    "unauthorized_signer",
    "deadline_too_far",
    "stale_nonce",
    "nonce_used",
    "instrument_expired",
    "unknown_order",
    "not_amendable",
    "quantity_not_positive",
    "price_off_tick",
    "max_fee_too_low",
    "stale_index",
    "too_many_orders",
    "reduce_only_increases",
    "insufficient_margin",
    "post_only_would_trade",
    "fok_not_fillable",
    "insufficient_cash",
    "not_expired",
    "block_gap",
    "trigger_not_signed",
    "bad_trigger",
    "trigger_unpriced",
    "trigger_reached",
    "instrument_halted",
    "not_protected",
    "protection_frozen",
    "bad_sheet",
    "stale_sheet",
    "position_limit",
    "open_interest_limit",
    "debt_limit",
    "bad_recipient",
    "exit_open",
    "withdrawals_held",
    "trading_suspended",
}
THINGS = {
    "OrderPlaced",
    "OrderRepeated",
    "OrderAmended",
    "OrderRepriced",
    "OrderDelayed",
    "OrderCanceled",
    "Traded",
    "FundingAccrued",
    "FundingPaid",
    "Withdrawn",
    "BatchCut",
    "PositionExpired",
    "SessionKeySet",
    "NonceFloorRaised",
    "InstrumentStatusChanged",
    "AuctionUncrossed",
    "ProtectionTripped",
    "OrderArmed",
    "OrdersLinked",
    "OrderActivated",
    "OrderTriggered",
    "QuotesReplaced",
    "QuoteRefused",
    "QuotesRepeated",
    "Transferred",
    "InterestPaid",
    "ExitRequested",
    "ExitServed",
    "BlocksReverted",
    "DepositReverted",
    "NonceFloorReverted",
}


def test_the_flow_reaches_everything():
    """The generator is measured too: every kind of event and refusal that matters comes up."""
    rng = random.Random(SEED)
    missing = REASONS | THINGS
    for _ in range(200):
        flow = Flow(rng.randint)
        for _ in range(150):
            flow.step()
        missing -= set(flow.seen)
        if not missing:
            break
    assert missing == set()


class EngineMachine(RuleBasedStateMachine):
    """The same flow, driven by Hypothesis."""

    @initialize(data=st.data())
    def open(self, data):
        self.data = data
        self.flow = Flow(lambda low, high: self.data.draw(st.integers(low, high)))

    @rule(data=st.data())
    def step(self, data):
        self.data = data
        self.flow.step()

    def teardown(self):
        if hasattr(self, "flow"):
            self.flow.finish()


TestEngineMachine = EngineMachine.TestCase
