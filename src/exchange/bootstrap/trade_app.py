"""The command line of traders: options to the questions and tables of `exchange.trade`."""

import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text
from typer.core import TyperGroup

from exchange.bootstrap.trade_orders import order
from exchange.bootstrap.trade_rfq import rfq
from exchange.trade import account, market, tables
from exchange.trade.desk import Desk, TradeFailed, read_key
from exchange.trade.legs import asked, parse_legs
from exchange.trade.times import milliseconds

KEY_VARIABLE: Final = "EXCHANGE_TRADE_KEY"
URL_VARIABLE: Final = "EXCHANGE_URL"
PEOPLE: Final = 6  # funded accounts of a local venue
_WITH_VALUE: Final = ("--url", "--key", "--person", "--subaccount")


class Anywhere(TyperGroup):
    """A group whose own options may stand anywhere, also behind the command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move them to the front."""
        ours: list[str] = []
        rest: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--json" or word.startswith(tuple(f"{name}=" for name in _WITH_VALUE)):
                ours.append(word)
            elif word in _WITH_VALUE:
                ours += [word, *[value for value in [next(words, None)] if value is not None]]
            elif word == "--":
                rest += [word, *words]
            else:
                rest.append(word)
        return super().parse_args(ctx, ours + rest)


trade = typer.Typer(
    cls=Anywhere,
    help="Look at the market and trade. Options of this group may also stand behind the command.",
    no_args_is_help=True,
)
trade.add_typer(order, name="order")
trade.add_typer(rfq, name="rfq")

Name = Annotated[str, typer.Argument(help="Such as BTC_USDC-25DEC26-100000-C.")]
Added = Annotated[
    list[str] | None,
    typer.Option("--add", help="NAME=AMOUNT, negative to sell, at the mark; may be repeated."),
]


@trade.callback()
def trading(
    context: typer.Context,
    url: Annotated[str, typer.Option(envvar=URL_VARIABLE)] = "http://127.0.0.1:8080",
    key: Annotated[
        Path | None, typer.Option(help=f"File with a hex private key; or {KEY_VARIABLE}.")
    ] = None,
    person: Annotated[
        int | None, typer.Option(help="An account of a local venue, 0 to 5; 0 to 2 have cash.")
    ] = None,
    subaccount: Annotated[
        int | None, typer.Option(help="Its number; the key's first unless given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Who trades, where, and how it is told."""
    context.obj = Desk(
        url=url.rstrip("/"),
        private_key=_private_key(key, person),
        public_key=person is not None,
        subaccount_id=subaccount,
        as_json=as_json,
    )


def _private_key(file: Path | None, person: int | None) -> bytes | None:
    if file is not None and person is not None:
        raise TradeFailed("--key and --person: one of them")
    if person is not None:
        if not 0 <= person < PEOPLE:
            raise TradeFailed(f"--person is 0 to {PEOPLE - 1}")
        from exchange.bootstrap import dev_keys  # slow to import, and not for every command

        return dev_keys.person(person).key
    if file is not None:
        try:
            return read_key(file.read_text(), str(file))
        except (OSError, UnicodeDecodeError) as error:
            raise TradeFailed(f"--key {file}: {error}") from error
    text = os.environ.get(KEY_VARIABLE, "")
    return read_key(text, KEY_VARIABLE) if text else None


@trade.command()
def chain(
    context: typer.Context,
    currency: Annotated[str, typer.Argument(help="BTC or ETH.")] = "BTC",
    expiry: Annotated[str | None, typer.Option(help="Such as 25DEC26; the nearest if not.")] = None,
) -> None:
    """The options of an expiry: calls and puts by strike."""
    desk: Desk = context.obj
    with desk.client(signs=False) as client:
        found = market.chain(client, currency, expiry)
    desk.tell(found, tables.show_chain(found, desk.width))


@trade.command()
def book(
    context: typer.Context,
    name: Name,
    depth: Annotated[int, typer.Option(help="Levels of each side.")] = 10,
    trades: Annotated[int, typer.Option(help="How many of the last trades.")] = 5,
) -> None:
    """Bids, offers and the last trades of an instrument."""
    desk: Desk = context.obj
    with desk.client(signs=False) as client:
        found = market.depth(client, name, depth, trades)
    desk.tell(found, tables.show_depth(found))


@trade.command()
def positions(context: typer.Context) -> None:
    """Positions, their gains, and what margin they use."""
    desk: Desk = context.obj
    with desk.client() as client:
        held, summary = client.positions(), client.account()
    desk.tell({"positions": held, "account": summary}, tables.show_positions(held, summary))


@trade.command()
def risk(context: typer.Context, added: Added = None) -> None:
    """Margins, greeks and every scenario; with --add of what would be."""
    desk: Desk = context.obj
    with desk.client() as client:
        found = account.risk(client, parse_legs(added or []))
    desk.tell(found, tables.show_risk(found))


@trade.command()
def payoff(
    context: typer.Context,
    added: Added = None,
    currency: Annotated[str | None, typer.Option(help="BTC or ETH.")] = None,
    reach: Annotated[float, typer.Option(help="How far from the index, as a share.")] = 0.3,
    alone: Annotated[bool, typer.Option(help="Only what is added.")] = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Profit by index price, now and at the first expiry, as a plot."""
    desk: Desk = context.obj
    if not 0 < reach < 1:
        raise TradeFailed("--reach lies between 0 and 1")
    with desk.client(signs=not alone) as client:
        legs = parse_legs(added or [])
        found = account.payoff_of(client, currency, legs, alone=alone, reach=reach)
    desk.tell(found, tables.show_payoff(found))


@trade.command()
def history(  # noqa: PLR0913  options of the command line
    context: typer.Context,
    topic: Annotated[
        str,
        typer.Argument(
            help="orders, trades, log, deposits, withdrawals, transfers, funding, deliveries"
        ),
    ] = "trades",
    limit: Annotated[int, typer.Option(help="How many at most; --csv writes all.")] = 20,
    currency: Annotated[str, typer.Option()] = "any",
    since: Annotated[
        str | None, typer.Option(help="UTC, of trades and log: 2026-12-25 or 2026-12-25T08:00.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="UTC, likewise.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write every row to this file.")] = None,
) -> None:
    """What happened to the subaccount, the newest first, since its beginning."""
    desk: Desk = context.obj
    where: dict[str, Any] = {"currency": currency}
    for name, text in (("start_timestamp", since), ("end_timestamp", until)):
        if text is not None:
            if topic not in ("trades", "log"):
                raise TradeFailed("--since and --until are for trades and log")
            where[name] = milliseconds(text)
    with desk.client() as client:
        if csv is not None:
            count = client.export_csv(topic, csv, **where)
            told = {"rows": count, "file": str(csv)}
            desk.tell(told, Text(f"{count} rows of {topic} are in {csv}"))
            return
        rows = client.history(topic, limit, **where)
    desk.tell(rows, tables.show_history(topic, rows))


@trade.command()
def combo(
    context: typer.Context,
    legs: Annotated[list[str], typer.Argument(help="NAME=RATIO, negative to sell.")],
) -> None:
    """List a combo of two to four legs, or find it; then trade it by its name."""
    desk: Desk = context.obj
    with desk.client() as client:
        found = client.create_combo(*asked(parse_legs(legs)))
    turned = "" if found.direction == "buy" else ": buying what you asked for is selling this"
    lines = "\n".join(f"  {leg.amount:+d} {leg.instrument_name}" for leg in found.legs)
    desk.tell(found, Text(f"{found.id}{turned}\n{lines}"))
