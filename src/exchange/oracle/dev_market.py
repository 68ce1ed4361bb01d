"""The simulated market of `exchange dev` and the demo: its underlyings, sources and option chains.

Data lies in `dev_market.toml`; this module turns it into the real parts: sources, index rules,
listings. A venue with other sources needs nothing from here.
"""

import tomllib
import zlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

import msgspec

from exchange.commands import InstrumentListing, ListInstruments
from exchange.fixed import (
    CASH_SCALE,
    QUANTITY_SCALE,
    div_down,
    div_half_even,
    parse_decimal,
)
from exchange.margin.surface import FlatSurface
from exchange.model import (
    EXPIRY_SECOND_OF_DAY,
    SECONDS_PER_DAY,
    InstrumentTerms,
    Kind,
    OptionKind,
    civil_date,
    pack_instrument_id,
)
from exchange.oracle.chain_data import LEAD_S, Grid, RecordedChain
from exchange.oracle.index import IndexRules
from exchange.oracle.loop import Feed
from exchange.oracle.marks import MarkModel, recorded_model
from exchange.oracle.sources import MarketModel, SimulatedMarket, SimulatedSource, Source

_FRIDAY: Final = 1  # 1970-01-02, as a day modulo 7
_MONTH_ENDS: Final = 2


class StrikeStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Distance of strikes, in USDC, for expiries at most `days_max` days ahead."""

    days_max: int
    step: str


class DevUnderlying(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of `dev_market.toml`; prices are decimal text in USDC."""

    underlying_id: int
    start_price: str
    volatility: float
    floor_price: str
    ceiling_price: str
    tick_size: str
    recorded_tick: str
    lot_size: str
    min_quantity: str
    strike_steps: tuple[StrikeStep, ...]

    def grid(self, *, recorded: bool = False) -> Grid:
        """Where its options are listed; `recorded` for a chain seeded from a file."""
        return Grid(
            tick_size=_scaled(self.recorded_tick if recorded else self.tick_size, CASH_SCALE),
            lot_size=_scaled(self.lot_size, QUANTITY_SCALE),
            min_quantity=_scaled(self.min_quantity, QUANTITY_SCALE),
        )


class DevMarket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of `dev_market.toml`."""

    sources: tuple[str, ...]
    source_noise: float
    quorum: int
    strikes_each_side: int
    underlyings: dict[str, DevUnderlying]

    def start_price(self, underlying: str) -> int:
        """Where a new venue's simulated index begins, in micro-USDC."""
        return _scaled(self.underlyings[underlying].start_price, CASH_SCALE)

    def index_rules(self, underlying: str) -> IndexRules:
        """Guards of its index."""
        settings = self.underlyings[underlying]
        return IndexRules(
            floor_price=_scaled(settings.floor_price, CASH_SCALE),
            ceiling_price=_scaled(settings.ceiling_price, CASH_SCALE),
            quorum=self.quorum,
        )

    def simulated_sources(
        self, underlying: str, *, seed: int, start_price: int, start_ns: int
    ) -> tuple[Source, ...]:
        """Sources that watch one simulated market; a restart begins at the last journaled index."""
        assert start_price > 0
        market_seed = _derived_seed(seed, underlying)
        market = SimulatedMarket(
            MarketModel(volatility=self.underlyings[underlying].volatility),
            seed=market_seed,
            start_price=start_price / CASH_SCALE,
            start_ns=start_ns,
        )
        return tuple(
            SimulatedSource(
                name, market, seed=_derived_seed(market_seed, name), noise=self.source_noise
            )
            for name in self.sources
        )

    def chain_command(self, underlying: str, index_price: int, now_s: int) -> ListInstruments:
        """List option chains around `index_price` for the usual expiries."""
        settings = self.underlyings[underlying]
        grid = settings.grid()
        return ListInstruments(
            listings=tuple(
                InstrumentListing(
                    instrument_id=instrument_id,
                    tick_size=grid.tick_size,
                    lot_size=grid.lot_size,
                    min_quantity=grid.min_quantity,
                )
                for expiry in chain_expiries(now_s)
                for instrument_id in self._option_chain(settings, index_price, now_s, expiry)
            )
        )

    def _option_chain(
        self, settings: DevUnderlying, index_price: int, now_s: int, expiry: int
    ) -> list[int]:
        days = div_down(expiry - now_s, SECONDS_PER_DAY)
        steps = settings.strike_steps
        chosen = next((s for s in steps if days < s.days_max), steps[-1])
        step = _scaled(chosen.step, CASH_SCALE)
        middle = div_half_even(index_price, step)
        first = max(1, middle - self.strikes_each_side)
        return [
            pack_instrument_id(
                InstrumentTerms(Kind.OPTION, settings.underlying_id, expiry, n * step, option_kind)
            )
            for n in range(first, middle + self.strikes_each_side + 1)
            for option_kind in OptionKind
        ]


def load_dev_market() -> DevMarket:
    """The packaged `dev_market.toml`, checked in form."""
    text = files("exchange.oracle").joinpath("dev_market.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), DevMarket)


def dev_feeds(
    market: DevMarket,
    *,
    seed: int,
    now_ns: int,
    last_prices: Mapping[int, int],
    chain: RecordedChain | None = None,
) -> tuple[Feed, ...]:
    """What `MarksLoop` needs for every underlying of the simulated market.

    `last_prices` holds the journal's index by underlying_id (0 or absent: a new venue), where a
    restart goes on. A recorded chain gives its underlyings the opening index, volatilities and
    forwards; the others have one flat volatility, that of their simulated path.
    """
    feeds = []
    for name, settings in market.underlyings.items():
        underlying_id = settings.underlying_id
        recorded_price = chain.index_price(underlying_id) if chain else 0
        sources = market.simulated_sources(
            name,
            seed=seed,
            start_price=(
                last_prices.get(underlying_id, 0) or recorded_price or market.start_price(name)
            ),
            start_ns=now_ns,
        )
        model = (
            recorded_model(chain, underlying_id)
            if chain and recorded_price
            else MarkModel(surface=FlatSurface(settings.volatility))
        )
        rules = market.index_rules(name)
        feeds.append(Feed(underlying_id=underlying_id, sources=sources, rules=rules, model=model))
    return tuple(feeds)


def chain_expiries(now_s: int) -> tuple[int, ...]:
    """Expiries to list at `now_s`: two days, two Fridays, two month ends (last Fridays), 08:00 UTC.

    Ascending, each more than an hour ahead; where two rules meet one expiry, it counts once.
    """
    first_day = div_down(now_s + LEAD_S - EXPIRY_SECOND_OF_DAY, SECONDS_PER_DAY) + 1
    fridays = [day for day in range(first_day, first_day + 100) if day % 7 == _FRIDAY]
    month_ends = [day for day in fridays if civil_date(day)[1] != civil_date(day + 7)[1]]
    days = {first_day, first_day + 1, *fridays[:2], *month_ends[:_MONTH_ENDS]}
    return tuple(day * SECONDS_PER_DAY + EXPIRY_SECOND_OF_DAY for day in sorted(days))


def _scaled(text: str, scale: int) -> int:
    value = parse_decimal(text, scale)
    assert value is not None, f"dev_market.toml: {text} is off the scale"
    assert value > 0, f"dev_market.toml: {text} is not positive"
    return value


def _derived_seed(seed: int, name: str) -> int:
    """A seed of its own for each name: the same in every process, unlike `hash`."""
    return zlib.crc32(f"{seed}/{name}".encode())
