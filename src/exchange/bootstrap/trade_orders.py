"""`exchange trade order`: place, change, cancel and list orders."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final, Literal

import msgspec
import typer
from rich.text import Text

from exchange.sdk import types
from exchange.trade import tables
from exchange.trade.desk import Desk, TradeFailed, worst_price

order = typer.Typer(help="Buy, sell, amend, cancel, list.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Such as BTC_USDC-25DEC26-100000-C, or a combo's.")]
Amount = Annotated[str, typer.Argument(help="Contracts.")]
Price = Annotated[
    str | None, typer.Argument(help="USDC; with --implv percent of volatility; or --market.")
]
Market = Annotated[bool, typer.Option("--market", help="At once, within the venue's band.")]
Lives = Annotated[str, typer.Option("--tif", help="gtc, ioc or fok.")]
PostOnly = Annotated[bool, typer.Option("--post-only", help="Never take.")]
ReduceOnly = Annotated[bool, typer.Option("--reduce-only", help="Never turn the position.")]
Label = Annotated[str, typer.Option(help="Yours, to find and cancel it by.")]
MaxFee = Annotated[str | None, typer.Option(help="USDC a contract; twice the schedule if not.")]
Show = Annotated[str | None, typer.Option("--max-show", help="Of an iceberg: what others see.")]
Worst = Annotated[str | None, typer.Option("--implv", help="Worst price of a volatility order.")]
Kind = Annotated[str, typer.Option("--type", help="Such as stop_limit or take_limit.")]
Trigger = Annotated[str | None, typer.Option(help="mark_price, index_price or last_price.")]
TriggerPrice = Annotated[str | None, typer.Option(help="Where it fires.")]
TriggerOffset = Annotated[str | None, typer.Option(help="Of a trailing stop.")]
OrderId = Annotated[str, typer.Argument(help="As `order list` shows it.")]

_LIVES: Final = {
    "gtc": "good_til_cancelled",
    "ioc": "immediate_or_cancel",
    "fok": "fill_or_kill",
}


def number(text: str, name: str) -> Decimal:
    """A decimal as typed."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise TradeFailed(f"{name}: {text} is no number")
    return value


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the command line gives it."""

    direction: Literal["buy", "sell"]
    name: str
    amount: Decimal
    price: Decimal | None
    options: dict[str, Any]


def place(desk: Desk, ticket: Ticket) -> None:
    """Sign and send it, and tell what became of it; JSON is the venue's whole answer."""
    if (ticket.price is None) == (ticket.options.get("type") != "market"):
        raise TradeFailed("give a price, or --market")
    with desk.client() as client:
        price = ticket.price
        if price is None:
            buys = ticket.direction == "buy"
            price = worst_price(client, ticket.name, ticket.amount, buys=buys)
        fields = client.signed_order(
            ticket.direction, ticket.name, ticket.amount, price, **ticket.options
        )
        answer = client.call(f"private/{ticket.direction}", fields)
    receipt = msgspec.convert(answer, types.Receipt, strict=False)
    desk.tell(answer, tables.show_receipt(receipt))


def _options(
    given: dict[str, Any], *, lives: str, market: bool, worst: str | None
) -> dict[str, Any]:
    if lives not in _LIVES:
        raise TradeFailed(f"--tif: one of {', '.join(_LIVES)}")
    options = {name: value for name, value in given.items() if value}
    if lives != "gtc":
        options["time_in_force"] = _LIVES[lives]
    if market:
        options["type"] = "market"
    if worst is not None:
        options |= {"advanced": "implv", "limit_price": worst}
    if options.get("type") == "limit":
        del options["type"]
    return options


def _entry(direction: Literal["buy", "sell"]) -> Callable[..., None]:
    """The command that places an order on one side."""

    def enter(  # noqa: PLR0913  options of the command line
        context: typer.Context,
        name: Name,
        amount: Amount,
        price: Price = None,
        market: Market = False,  # noqa: FBT002  a flag of the command line
        lives: Lives = "gtc",
        post_only: PostOnly = False,  # noqa: FBT002  a flag of the command line
        reduce_only: ReduceOnly = False,  # noqa: FBT002  a flag of the command line
        label: Label = "",
        max_fee: MaxFee = None,
        max_show: Show = None,
        implv: Worst = None,
        kind: Kind = "limit",
        trigger: Trigger = None,
        trigger_price: TriggerPrice = None,
        trigger_offset: TriggerOffset = None,
    ) -> None:
        given = {
            "post_only": post_only, "reduce_only": reduce_only, "label": label, "max_fee": max_fee,
            "max_show": max_show, "type": kind, "trigger": trigger, "trigger_price": trigger_price,
            "trigger_offset": trigger_offset,
        }  # fmt: skip
        options = _options(given, lives=lives, market=market, worst=implv)
        place(context.obj, _ticket(direction, (name, amount, price), options))

    return enter


order.command("buy", help="Sign and send a bid.")(_entry("buy"))
order.command("sell", help="Sign and send an offer.")(_entry("sell"))


def _ticket(
    direction: Literal["buy", "sell"], words: tuple[str, str, str | None], options: dict[str, Any]
) -> Ticket:
    name, amount, price = words
    return Ticket(
        direction=direction,
        name=name,
        amount=number(amount, "amount"),
        price=None if price is None else number(price, "price"),
        options=options,
    )


@order.command()
def amend(
    context: typer.Context,
    order_id: OrderId,
    amount: Annotated[str | None, typer.Option(help="Of the whole order.")] = None,
    price: Annotated[str | None, typer.Option(help="USDC; of a volatility order percent.")] = None,
    implv: Worst = None,
) -> None:
    """Sign new terms of an order; its id stays."""
    desk: Desk = context.obj
    with desk.client() as client:
        standing = client.order(order_id)
        shown = standing.price if standing.implv is None else standing.implv
        receipt = client.edit(
            standing,
            standing.amount if amount is None else number(amount, "--amount"),
            shown if price is None else number(price, "--price"),
            limit_price=standing.limit_price if implv is None else number(implv, "--implv"),
        )
    desk.tell(receipt, tables.show_receipt(receipt))


@order.command()
def cancel(
    context: typer.Context,
    order_id: Annotated[str | None, typer.Argument(help="As `order list` shows it.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of the subaccount.")] = False,  # noqa: FBT002  a flag of the command line
    label: Annotated[str | None, typer.Option(help="Those with this label.")] = None,
) -> None:
    """Cancel one order, those with a label, or all."""
    desk: Desk = context.obj
    if sum((order_id is not None, everything, label is not None)) != 1:
        raise TradeFailed("name an order, or --label, or --all")
    with desk.client() as client:
        if order_id is not None:
            gone = client.cancel(order_id)
            desk.tell(gone, tables.show_orders([gone], "canceled"))
            return
        count = client.cancel_all() if label is None else client.cancel_by_label(label)
    desk.tell({"canceled": count}, Text(f"{count} canceled"))


@order.command("list")
def list_orders(context: typer.Context) -> None:
    """Open orders, and those that wait for a trigger."""
    desk: Desk = context.obj
    with desk.client() as client:
        found = client.open_orders()
    desk.tell(found, tables.show_orders(found))


@order.command()
def show(context: typer.Context, order_id: OrderId) -> None:
    """What became of an order."""
    desk: Desk = context.obj
    with desk.client() as client:
        found = client.order(order_id)
    desk.tell(found, tables.show_orders([found], "order"))
