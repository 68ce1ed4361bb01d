"""Answers as a terminal shows them, in rich's tables and our plots; nothing is asked here."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from exchange.fixed import div_down
from exchange.sdk.rfq import BlockRfq
from exchange.sdk.types import Account, Order, Position, Receipt, ScenarioGroup, Trade
from exchange.trade.account import GREEKS, Risk
from exchange.trade.market import Chain, ChainQuote, Depth
from exchange.trade.payoff import Payoff
from exchange.trade.plot import Curve, plot
from exchange.trade.times import moment

BAR_WIDTH: Final = 20
_SIDES: Final = (  # the columns of each side of a chain, by the least width that they need
    (116, ("open int", "delta", "vol %", "bid", "mark", "ask")),
    (96, ("delta", "bid", "mark", "ask")),
    (0, ("delta", "bid", "ask")),
)
_TONES: Final = {1: "green", 0: "", -1: "red"}


def figure(value: Decimal | float | None, places: int = 2) -> str:
    """A number with thousands apart; nothing where there is none."""
    return "" if value is None else f"{value:,.{places}f}"


def plain(value: Decimal | None) -> str:
    """A number with the digits that it has."""
    if value is None:
        return ""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def signed(value: Decimal | float, places: int = 2) -> Text:
    """A gain in green, a loss in red."""
    return Text(f"{value:+,.{places}f}", _TONES[(value > 0) - (value < 0)])


def table(title: str, *headings: str) -> Table:
    """A table whose columns stand on the right, but for the first."""
    made = titled(title)
    for number, heading in enumerate(headings):
        made.add_column(heading, justify="right" if number else "left")
    return made


def titled(title: str) -> Table:
    """An empty table."""
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))


# -- the market ---------------------------------------------------------------------------------


def show_chain(chain: Chain, width: int) -> RenderableType:
    """Calls on the left, puts on the right, the strike between; a line where the forward lies.

    A narrow terminal gets fewer columns.
    """
    made = titled(
        f"{chain.currency} {chain.expiry}   index {figure(chain.index_price)}"
        f"   forward {figure(chain.forward_price)}"
    )
    side = next(columns for least, columns in _SIDES if width >= least)
    for heading in (*side, "strike", *reversed(side)):
        made.add_column(heading, justify="center" if heading == "strike" else "right", no_wrap=True)
    below = [row.strike for row in chain.rows if row.strike <= chain.forward_price]
    for row in chain.rows:
        left, right = _quote_cells(row.call, side), _quote_cells(row.put, side)
        made.add_row(
            *left,
            Text(plain(row.strike), "bold"),
            *reversed(right),
            end_section=bool(below) and row.strike == below[-1],
        )
    others = [name for name in chain.expiries if name != chain.expiry]
    return Group(made, Text("other expiries: " + " ".join(others), "dim")) if others else made


def _quote_cells(quote: ChainQuote | None, columns: Sequence[str]) -> list[str]:
    if quote is None:
        return [""] * len(columns)
    cells = {
        "open int": plain(quote.open_interest) if quote.open_interest else "",
        "delta": figure(quote.delta),
        "vol %": figure(quote.volatility, 1),
        "bid": figure(quote.bid),
        "mark": figure(quote.mark),
        "ask": figure(quote.ask),
    }
    return [cells[column] for column in columns]


def show_depth(depth: Depth) -> RenderableType:
    """Bids and asks side by side with bars for their amounts, and the newest trades."""
    book = depth.book
    made = titled(
        f"{book.instrument_name}   mark {figure(book.mark_price)}"
        f"   index {figure(book.index_price)}"
    )
    for heading, justify in (
        ("", "right"),
        ("amount", "right"),
        ("bid", "right"),
        ("ask", "left"),
        ("amount", "left"),
        ("", "left"),
    ):
        made.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]  # rich's literals
    most = max((amount for _, amount in [*book.bids, *book.asks]), default=Decimal(1))
    empty = (Decimal(0), Decimal(0))
    for number in range(max(len(book.bids), len(book.asks))):
        bid = book.bids[number] if number < len(book.bids) else empty
        ask = book.asks[number] if number < len(book.asks) else empty
        made.add_row(
            Text(bar(bid[1], most), "green"),
            plain(bid[1]) if bid[1] else "",
            Text(figure(bid[0]) if bid[1] else "", "green"),
            Text(figure(ask[0]) if ask[1] else "", "red"),
            plain(ask[1]) if ask[1] else "",
            Text(bar(ask[1], most), "red"),
        )
    if not book.bids and not book.asks:
        made.add_row("", "", "nobody", "bids or offers", "", "")
    return Group(made, show_trades(depth.trades, "last trades")) if depth.trades else made


def bar(amount: Decimal, most: Decimal) -> str:
    """A bar as long as an amount's share of the largest."""
    return "█" * max(1, round(float(amount / most) * BAR_WIDTH)) if amount else ""


def show_trades(trades: Sequence[Trade], title: str) -> Table:
    """Trades, the newest first."""
    made = table(title, "time", "instrument", "side", "amount", "price", "fee", "trade")
    for one in trades:
        made.add_row(
            moment(one.timestamp),
            one.instrument_name,
            side_text(one.direction),
            plain(one.amount),
            figure(one.price),
            figure(one.fee) if one.order_id else "",
            one.trade_id,
        )
    return made


def side_text(direction: str) -> Text:
    """A side in its colour."""
    return Text(direction, "green" if direction == "buy" else "red")


# -- orders -------------------------------------------------------------------------------------


def show_orders(orders: Sequence[Order], title: str = "open orders") -> RenderableType:
    """One line an order."""
    if not orders:
        return Text(f"no {title}", "dim")
    made = table(
        title, "order", "instrument", "side", "filled", "amount", "price", "average", "type",
        "state", "label",
    )  # fmt: skip
    for one in orders:
        made.add_row(
            one.order_id,
            one.instrument_name,
            side_text(one.direction),
            plain(one.filled_amount),
            plain(one.amount),
            price_text(one),
            figure(one.average_price) if one.filled_amount else "",
            " ".join(kind_words(one)),
            one.order_state + (f" ({one.cancel_reason})" if one.cancel_reason else ""),
            one.label,
        )
    return made


def price_text(order: Order) -> str:
    """The limit; of a volatility order its volatility, of one that waits its trigger too."""
    if order.implv is not None:
        return f"{plain(order.implv)} % to {figure(order.limit_price)}"
    if order.trigger_price is not None and order.order_state == "untriggered":
        return f"{figure(order.price)} at {figure(order.trigger_price)}"
    return figure(order.price)


def kind_words(order: Order) -> list[str]:
    """What kind of order it is, in few words."""
    words = [order.order_type] if order.order_type != "limit" else []
    words += {"immediate_or_cancel": ["ioc"], "fill_or_kill": ["fok"]}.get(order.time_in_force, [])
    words += ["post-only"] if order.post_only else []
    return words + (["reduce-only"] if order.reduce_only else [])


def show_receipt(receipt: Receipt) -> RenderableType:
    """What became of an order, what it traded, and its place in the journal."""
    parts: list[RenderableType] = [show_orders([receipt.order], "order")]
    if receipt.trades:
        parts.append(show_trades(receipt.trades, "its trades"))
    parts.append(Text(f"durable as seq {receipt.seq} of the journal", "dim"))
    return Group(*parts)


# -- the account --------------------------------------------------------------------------------


def show_positions(positions: Sequence[Position], account: Account) -> RenderableType:
    """Positions with their gains, and the account's totals under them."""
    made = table(
        f"subaccount {account.subaccount_id}",
        "instrument", "size", "average", "mark", "value", "unrealised", "realised", "delta",
    )  # fmt: skip
    for one in positions:
        made.add_row(
            one.instrument_name,
            signed(one.size, 4),
            figure(one.average_price),
            figure(one.mark_price),
            figure(one.mark_value),
            signed(one.floating_profit_loss),
            signed(one.realized_profit_loss),
            figure(one.delta, 4),
        )
    if not positions:
        made.add_row("flat", *[""] * 7)
    return Group(made, show_account(account))


def show_account(account: Account) -> RenderableType:
    """Cash and margin; what is used of the equity as a bar."""
    made = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in (
        ("equity", account.equity),
        ("cash", account.balance),
        ("initial margin", account.initial_margin),
        ("maintenance margin", account.maintenance_margin),
        ("available", account.available_funds),
    ):
        made.add_row(name, Text(figure(value), justify="right"))
    return Group(made, _used("maintenance", account.maintenance_margin, account.equity))


def _used(name: str, requirement: Decimal, equity: Decimal) -> Text:
    share = float(requirement / equity) if equity > 0 else 1.0
    filled = min(40, round(share * 40))
    style = "red" if share >= 0.9 else "yellow" if share >= 0.6 else "green"
    text = Text(f"{name} uses {share:.1%} of equity  ")
    return text.append("█" * filled, style).append("░" * (40 - filled), "dim")


def show_risk(risk: Risk) -> RenderableType:
    """Margins, greeks by position, and the scenarios of each risk group, the worst marked."""
    simulation = risk.simulation
    parts: list[RenderableType] = [
        Text(
            f"subaccount {simulation.subaccount_id}   {simulation.margin_model or 'margin'}"
            f"   initial excess {figure(simulation.initial_excess)}"
            f"   maintenance excess {figure(simulation.maintenance_excess)}",
            "bold",
        ),
        show_account(simulation),
        _greeks(risk),
    ]
    if not simulation.groups:
        parts.append(Text("no scenario counts for this subaccount", "dim"))
    parts.extend(_scenarios(risk, group) for group in simulation.groups)
    return Group(*parts)


def _greeks(risk: Risk) -> Table:
    made = table("greeks", "position", "size", "mark", *GREEKS)
    for row in risk.positions:
        cells = [figure(row.greeks[name], 4) for name in GREEKS]
        made.add_row(row.instrument_name, signed(row.size, 4), figure(row.mark_price), *cells)
    if risk.greeks:
        made.add_section()
    for currency, total in risk.greeks.items():
        made.add_row(Text(currency, "bold"), "", "", *[figure(total[name], 4) for name in GREEKS])
    return made


def _scenarios(risk: Risk, group: ScenarioGroup) -> RenderableType:
    """Spot moves down the side, volatility moves across; what has no such place stands below."""
    simulation = risk.simulation
    cells = {
        (one.spot, one.volatility): value
        for one, value in zip(simulation.scenarios, group.scenarios, strict=True)
    }
    modes = list(dict.fromkeys(one.volatility for one in simulation.scenarios))
    worst = min(cells.values())
    made = table(
        f"{' + '.join(group.underlyings)}: what each scenario gives, worst {figure(group.worst)}"
        f", basis {figure(group.basis_contingency)}",
        "spot",
        *(f"vol {mode.replace('_', ' ')}" for mode in modes),
    )
    for spot in sorted({spot for spot, _ in cells}, reverse=True):
        row = [cells.get((spot, mode)) for mode in modes]
        made.add_row(
            f"{float(spot) - 1:+.1%}",
            *(
                Text("")
                if value is None
                else Text(f"{value:+,.2f}", "bold reverse red")
                if value == worst
                else signed(value)
                for value in row
            ),
        )
    return made


def show_payoff(found: Payoff, size: tuple[int, int] = (64, 16)) -> RenderableType:
    """The two curves, and what is read off them."""
    expiry = moment(found.expiry_ms)[:10] if found.expiry_ms else ""
    curves = [Curve("now", found.now, "yellow")]
    if found.expiry_ms:
        curves.append(Curve(f"at expiry, {expiry}", found.at_expiry, "cyan"))
    edges = (found.prices[0], found.prices[-1])
    lines = plot(edges, curves, marked=found.index_price, size=size)
    last = found.at_expiry if found.expiry_ms else found.now
    facts = [
        f"best {figure(max(last))}, worst {figure(min(last))} in this range",
        "breaks even at " + (", ".join(map(figure, found.breakevens)) or "no price in this range"),
    ]
    legs = table("", "leg", "size", "entry")
    for leg in found.legs:
        legs.add_row(leg.instrument_name, signed(leg.size, 4), figure(leg.entry))
    title = f"{found.currency}: profit by index price, now {figure(found.index_price)} (│)"
    return Group(Text(title, "bold"), *lines, legs, Text("\n".join(facts)))


# -- the past, and requests ---------------------------------------------------------------------

_COLUMNS: Final = {
    "orders": ("instrument_name", "direction", "filled_amount", "amount", "price", "order_state"),
    "trades": ("instrument_name", "direction", "amount", "price", "fee", "trade_id"),
    "log": ("type", "instrument_name", "change", "amount", "price", "currency"),
}
_MONEY: Final = ("type", "currency", "amount", "change", "state", "instrument_name")


def show_history(topic: str, rows: Sequence[dict[str, Any]]) -> RenderableType:
    """The fields that say most of a topic; `--json` and `--csv` have all."""
    if not rows:
        return Text(f"no {topic} yet", "dim")
    names = [name for name in _COLUMNS.get(topic, _MONEY) if any(name in row for row in rows)]
    made = table(topic, "time", *(name.replace("_", " ") for name in names))
    for row in rows:
        made.add_row(moment(row["timestamp"]), *(_cell(row.get(name)) for name in names))
    return made


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return plain(Decimal(value)) if isinstance(value, int | Decimal) else str(value)


def show_rfqs(requests: Sequence[BlockRfq], now_ms: int) -> RenderableType:
    """Requests for quote, with the prices that their taker sees."""
    if not requests:
        return Text("no open requests for quote", "dim")
    made = table(
        "requests for quote", "id", "you", "instrument", "amount", "taker wants", "bids", "asks",
        "ends in", "state",
    )  # fmt: skip
    for one in requests:
        left_s = div_down(max(0, one.expiration_timestamp - now_ms), 1_000)
        made.add_row(
            str(one.block_rfq_id),
            one.role,
            one.instrument_name,
            plain(one.amount),
            one.taker_direction or "either",
            " ".join(figure(row.price) for row in one.bids),
            " ".join(figure(row.price) for row in one.asks),
            f"{left_s} s",
            one.state,
        )
    return made
