"""The simulated market of `exchange dev` and the demo: its underlyings, sources and option chains.

Data lies in `dev_market.toml`; this module turns it into the real parts: sources, index rules,
listings. A venue with other sources needs nothing from here.
"""

import tomllib
import zlib
from collections.abc import Iterator, Mapping
from importlib.resources import files

import msgspec

from exchange.commands import ListInstruments
from exchange.fixed import (
    CASH_SCALE,
    QUANTITY_SCALE,
    parse_decimal,
)
from exchange.margin.surface import FlatSurface
from exchange.matching.listing import (
    UnderlyingRules,
    due_instruments,
    parse_rules,
    to_listing,
)
from exchange.model import Kind
from exchange.oracle.chain_data import Grid, RecordedChain
from exchange.oracle.index import IndexRules
from exchange.oracle.loop import Feed
from exchange.oracle.marks import MarkModel, recorded_model
from exchange.oracle.references import ChainSource
from exchange.oracle.simulated_chain import CarryModel, SimulatedChain
from exchange.oracle.sources import MarketModel, SimulatedMarket, SimulatedSource, Source


class DevUnderlying(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of `dev_market.toml`; prices are decimal text in USDC."""

    underlying_id: int
    start_price: str
    volatility: float
    floor_price: str
    ceiling_price: str
    recorded_tick: str
    lot_size: str
    min_quantity: str
    carry: float
    rate: float

    def grid(self) -> Grid:
        """Where the options of a chain seeded from a file are listed."""
        return Grid(
            tick_size=_scaled(self.recorded_tick, CASH_SCALE),
            lot_size=_scaled(self.lot_size, QUANTITY_SCALE),
            min_quantity=_scaled(self.min_quantity, QUANTITY_SCALE),
        )


class DevMarket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of `dev_market.toml`."""

    sources: tuple[str, ...]
    source_noise: float
    quorum: int
    chains: tuple[str, ...]
    chain_noise: float
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

    def simulated_market(
        self, underlying: str, *, seed: int, start_price: int, start_ns: int
    ) -> SimulatedMarket:
        """One simulated market; a restart begins at the last journaled index."""
        assert start_price > 0
        return SimulatedMarket(
            MarketModel(volatility=self.underlyings[underlying].volatility),
            seed=_derived_seed(seed, underlying),
            start_price=start_price / CASH_SCALE,
            start_ns=start_ns,
        )

    def simulated_sources(
        self, underlying: str, market: SimulatedMarket, seed: int
    ) -> tuple[Source, ...]:
        """Sources that watch its price."""
        market_seed = _derived_seed(seed, underlying)
        return tuple(
            SimulatedSource(
                name, market, seed=_derived_seed(market_seed, name), noise=self.source_noise
            )
            for name in self.sources
        )

    def simulated_chains(
        self, underlying: str, market: SimulatedMarket, seed: int
    ) -> tuple[ChainSource, ...]:
        """Venues that trade options on it, those that our own rules would list."""
        settings = self.underlyings[underlying]
        rules = packaged_rules(settings.underlying_id)

        def listed(second: int, index_price: float) -> Iterator[tuple[int, float]]:
            for terms in due_instruments(rules, second, round(index_price * CASH_SCALE), {}, ()):
                if terms.kind is Kind.OPTION:
                    yield terms.expiry, terms.strike / CASH_SCALE

        return tuple(
            SimulatedChain(
                name,
                market,
                listed,
                CarryModel(carry=settings.carry, rate=settings.rate),
                seed=_derived_seed(seed, f"{underlying}/{name}/chain"),
                noise=self.chain_noise,
            )
            for name in self.chains
        )

    def chain_command(self, underlying: str, index_price: int, now_s: int) -> ListInstruments:
        """List what the packaged rules want around `index_price`."""
        rules = packaged_rules(self.underlyings[underlying].underlying_id)
        due = due_instruments(rules, now_s, index_price, {}, ())
        return ListInstruments(listings=tuple(to_listing(rules, terms) for terms in due))


def packaged_rules(underlying_id: int) -> UnderlyingRules:
    """The venue's listing rules of one underlying."""
    text = files("exchange.matching").joinpath("listing_rules.toml").read_text(encoding="utf-8")
    return next(
        rules for rules in parse_rules(text).underlyings if rules.underlying_id == underlying_id
    )


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
    forwards; the others read them from the chains of simulated venues.
    """
    feeds = []
    for name, settings in market.underlyings.items():
        underlying_id = settings.underlying_id
        recorded_price = chain.index_price(underlying_id) if chain else 0
        simulated = market.simulated_market(
            name,
            seed=seed,
            start_price=(
                last_prices.get(underlying_id, 0) or recorded_price or market.start_price(name)
            ),
            start_ns=now_ns,
        )
        recorded = chain if recorded_price else None
        feeds.append(
            Feed(
                underlying_id=underlying_id,
                sources=market.simulated_sources(name, simulated, seed),
                rules=market.index_rules(name),
                model=(
                    recorded_model(recorded, underlying_id)
                    if recorded
                    else MarkModel(surface=FlatSurface(settings.volatility))
                ),
                chains=() if recorded else market.simulated_chains(name, simulated, seed),
            )
        )
    return tuple(feeds)


def _scaled(text: str, scale: int) -> int:
    value = parse_decimal(text, scale)
    assert value is not None, f"dev_market.toml: {text} is off the scale"
    assert value > 0, f"dev_market.toml: {text} is not positive"
    return value


def _derived_seed(seed: int, name: str) -> int:
    """A seed of its own for each name: the same in every process, unlike `hash`."""
    return zlib.crc32(f"{seed}/{name}".encode())
