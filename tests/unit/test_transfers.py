"""What liquidations moved survives a journal, also one from before it settled."""

import msgspec

from exchange.events import AnyEvent, FeesShared, LossSocialised, TransferredToken


def test_a_loss_round_trips() -> None:
    loss = LossSocialised(
        fund_subaccount_id=1, liquidated_id=2, amount=3, shares=((4, 1), (5, 2)), declared=3
    )
    encoded = msgspec.msgpack.encode(loss)
    assert msgspec.msgpack.decode(encoded, type=AnyEvent) == loss


def test_a_share_of_fees_round_trips() -> None:
    shared = FeesShared(subaccount_id=1, fund_subaccount_id=2, amount=3)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(shared), type=AnyEvent) == shared


def test_older_events_name_no_token_and_declare_nothing() -> None:
    """They were whole, and no chain had to know the token."""
    fields = {"fund_subaccount_id": 1, "liquidated_id": 2, "amount": 0, "shares": []}
    assert msgspec.convert({"type": "LossSocialised", **fields}, LossSocialised).declared == 0
    assert TransferredToken(asset_id=1, amount=2, value=3).token == ""
