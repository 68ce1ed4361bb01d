"""The past of a subaccount, page by page, and as a CSV file."""

import csv
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from exchange.sdk.errors import BadArgument
from exchange.sdk.session import Session

# The method that tells of a topic, what it always needs, and where its rows are.
TOPICS: Final[Mapping[str, tuple[str, dict[str, Any], str]]] = MappingProxyType(
    {
        "orders": (
            "get_order_history_by_currency",
            {"currency": "any", "include_unfilled": True, "with_continuation": True},
            "orders",
        ),
        "trades": ("get_user_trades_by_currency_and_time", {"currency": "any"}, "trades"),
        "log": ("get_transaction_log", {}, "logs"),
        "deposits": ("get_deposits", {}, "data"),
        "withdrawals": ("get_withdrawals", {}, "data"),
        "transfers": ("get_transfers", {}, "data"),
        "settlements": ("get_settlement_history_by_currency", {}, "settlements"),
        "funding": ("get_settlement_history_by_currency", {"type": "settlement"}, "settlements"),
        "deliveries": ("get_settlement_history_by_currency", {"type": "delivery"}, "settlements"),
    }
)
PAGE: Final = 500


async def rows(client: Session, topic: str, **where: Any) -> AsyncIterator[dict[str, Any]]:
    """Every row of a topic, the newest first; `where` is passed on, such as `currency`."""
    if topic not in TOPICS:
        raise BadArgument(f"{topic} is none of {', '.join(TOPICS)}")
    method, needed, name = TOPICS[topic]
    params = {"subaccount_id": await client.subaccount_id(), "count": PAGE} | needed | where
    while True:
        answer = await client.call(f"private/{method}", params)
        for row in answer[name]:
            yield row
        if not answer["continuation"]:
            return
        params["continuation"] = answer["continuation"]


async def export_csv(client: Session, topic: str, path: Path, **where: Any) -> int:
    """Write every row of a topic; the columns are all fields that any row has. How many rows."""
    found = [row async for row in rows(client, topic, **where)]
    columns = list(dict.fromkeys(field for row in found for field in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(found)
    return len(found)
