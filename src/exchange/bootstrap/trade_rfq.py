"""`exchange trade rfq`: ask for quotes of a structure, give them, take one."""

from typing import Annotated, Literal

import typer
from rich.text import Text

from exchange.bootstrap.trade_orders import number
from exchange.sdk import Client
from exchange.sdk.rfq import BlockRfq, Direction
from exchange.trade import tables
from exchange.trade.desk import Desk, TradeFailed
from exchange.trade.legs import asked, parse_legs

rfq = typer.Typer(help="Requests for quote: blocks outside the books.", no_args_is_help=True)

RfqId = Annotated[int, typer.Argument(help="As `rfq list` shows it.")]
Way = Annotated[str, typer.Argument(help="buy or sell, as you would trade.")]
Price = Annotated[str, typer.Argument(help="USDC a unit.")]


def _direction(word: str) -> Direction:
    found: dict[str, Literal["buy", "sell"]] = {"buy": "buy", "sell": "sell"}
    if word not in found:
        raise TradeFailed(f"{word}: buy or sell")
    return found[word]


def _open(client: Client, rfq_id: int) -> BlockRfq:
    for one in client.requests():
        if one.block_rfq_id == rfq_id:
            return one
    raise TradeFailed(f"no open request {rfq_id}: `exchange trade rfq list` shows them")


def _tell(desk: Desk, client: Client, found: list[BlockRfq]) -> None:
    now_ms = int(client.call("public/get_time"))
    desk.tell(found, tables.show_rfqs(found, now_ms))


@rfq.command()
def ask(
    context: typer.Context,
    legs: Annotated[list[str], typer.Argument(help="NAME=RATIO, negative to sell.")],
    amount: Annotated[str, typer.Option(help="Units.")],
    way: Annotated[str | None, typer.Option("--side", help="buy or sell; both if not.")] = None,
    seconds: Annotated[int, typer.Option(help="How long makers have.")] = 300,
    disclosed: Annotated[bool, typer.Option(help="Show makers who asks.")] = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Ask makers for a price of one instrument or of a structure."""
    desk: Desk = context.obj
    wanted = None if way is None else _direction(way)
    with desk.client() as client:
        found = client.request_quotes(
            asked(parse_legs(legs)),
            number(amount, "--amount"),
            wanted,
            expires_in=seconds,
            disclosed=disclosed,
        )
        _tell(desk, client, [found])


@rfq.command("list")
def list_requests(context: typer.Context) -> None:
    """Your open requests with their quotes, and those that you may answer."""
    desk: Desk = context.obj
    with desk.client() as client:
        _tell(desk, client, client.requests())


@rfq.command()
def quote(context: typer.Context, rfq_id: RfqId, way: Way, price: Price) -> None:
    """Answer a request with a signed price for all of it."""
    desk: Desk = context.obj
    terms = _direction(way), number(price, "price")
    with desk.client() as client:
        found = client.quote(_open(client, rfq_id), *terms)
    desk.tell({"block_rfq_quote_id": found}, Text(f"quote {found} stands"))


@rfq.command()
def accept(context: typer.Context, rfq_id: RfqId, way: Way, price: Price) -> None:
    """Take the best quote within a price, all legs at once."""
    desk: Desk = context.obj
    terms = _direction(way), number(price, "price")
    with desk.client() as client:
        done = client.accept(_open(client, rfq_id), *terms)
        _tell(desk, client, [done])


@rfq.command()
def cancel(context: typer.Context, rfq_id: RfqId) -> None:
    """Take a request back."""
    desk: Desk = context.obj
    with desk.client() as client:
        client.cancel_request(rfq_id)
    desk.tell({"canceled": 1}, Text("request canceled"))
