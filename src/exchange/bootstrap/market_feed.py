"""The simulated market of a local venue: sources for the oracle, chains to list.

With `--chain-data` the BTC chain, its volatilities and its opening index come from a recorded file,
which is shifted to the future relative to the journal's first command, so that a restart finds the
same expiries.
"""

from pathlib import Path

import msgspec
import structlog

from exchange.bootstrap.processes import StartFailed
from exchange.bootstrap.shards import shard_market
from exchange.commands import ListInstruments
from exchange.config import Settings
from exchange.events import InstrumentListed
from exchange.fixed import div_down, to_seconds_down
from exchange.model import Kind, Underlying, unpack_instrument_id
from exchange.oracle.ccxt_source import (
    CcxtChain,
    CcxtMarket,
    ccxt_chain,
    ccxt_source,
    parse_index_sources,
)
from exchange.oracle.chain_data import RecordedChain, read_chain
from exchange.oracle.dev_market import DevMarket, dev_feeds, load_dev_market
from exchange.oracle.loop import Feed
from exchange.oracle.polling import PolledChain, PolledSource
from exchange.oracle.sources import RecordedSource, Source, read_recorded
from exchange.oracle.stress import StressRules
from exchange.sequencer import Sequencer

log = structlog.get_logger(__name__)


def simulated_underlyings(market: DevMarket) -> tuple[Underlying, ...]:
    """The underlyings of a simulated market."""
    return tuple(
        Underlying(underlying_id=item.underlying_id, name=name)
        for name, item in market.underlyings.items()
    )


def stress_rules(market: DevMarket) -> dict[int, StressRules]:
    """What each underlying's scan ranges were made for."""
    return {
        item.underlying_id: StressRules(base_volatility=item.volatility)
        for item in market.underlyings.values()
    }


def recorded_chain(file: str, first_time_ns: int) -> RecordedChain | None:
    """A recorded chain, shifted from the time of the journal's first command; None without one."""
    if not file:
        return None
    btc = load_dev_market().underlyings["BTC"]
    return read_chain(
        Path(file),
        underlyings={"BTC": btc.underlying_id},  # one grid, so one underlying
        grid=btc.grid(),
        now_s=to_seconds_down(first_time_ns),
    )


class MarketFeed:
    """What the oracle samples and what the venue lists."""

    def __init__(self, settings: Settings, sequencer: Sequencer, first_time_ns: int) -> None:
        self._settings = settings
        self._sequencer = sequencer
        self._market: DevMarket = shard_market(settings)
        self._first_ns = first_time_ns
        self._exchanges: list[CcxtMarket | CcxtChain] = []
        self.polled: list[PolledSource | PolledChain] = []  # to be run beside the cycle
        self._chain = recorded_chain(settings.seed_chain, first_time_ns)
        for line in self._chain.report() if self._chain else ():
            log.info("recorded_chain", line=line)

    async def feeds(self) -> tuple[Feed, ...]:
        """Sources that go on from the journal's last index, or from the data's first."""
        last_prices = await self._sequencer.read(
            lambda engine: {
                item.underlying_id: engine.index_price(item.underlying_id)
                for item in simulated_underlyings(self._market)
            }
        )
        feeds = dev_feeds(
            self._market,
            seed=self._settings.seed,
            now_ns=self._sequencer.now_ns(),
            last_prices=last_prices,
            chain=self._chain,
        )
        return tuple(self._with_chains(self._with_sources(feed)) for feed in feeds)

    def _name(self, feed: Feed) -> str:
        names = {item.underlying_id: name for name, item in self._market.underlyings.items()}
        return names[feed.underlying_id]

    def _with_sources(self, feed: Feed) -> Feed:
        """The feed with real exchanges or recorded prices in place of simulated ones, if any."""
        name = self._name(feed)
        polled = [
            self._polled(CcxtMarket(exchange, pair), exchange)
            for exchange, pair in parse_index_sources(self._settings.index_sources).get(name, ())
        ]
        recorded = [
            self._recorded(source, file)
            for source, file in parse_index_sources(self._settings.recorded_sources).get(name, ())
        ]
        sources: tuple[Source, ...] = (*polled, *recorded)
        if not sources:
            return feed
        rules = msgspec.structs.replace(feed.rules, quorum=div_down(len(sources), 2) + 1)
        # Simulated chains stand on the simulated price: without real ones the model stays.
        return msgspec.structs.replace(feed, sources=sources, rules=rules, chains=())

    def _polled(self, market: CcxtMarket, exchange: str) -> PolledSource:
        self._exchanges.append(market)
        source = ccxt_source(market, exchange, self._sequencer.now_ns)
        self.polled.append(source)
        return source

    def _recorded(self, name: str, file: str) -> RecordedSource:
        """Its first row is true when the journal begins: a restart finds the same prices."""
        try:
            rows = read_recorded(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StartFailed(f"EXCHANGE_RECORDED_SOURCES: {file}: {error}") from error
        shift_ns = self._first_ns - rows[0].time_ns if rows else 0
        return RecordedSource(name, rows, shift_ns=shift_ns)

    def _with_chains(self, feed: Feed) -> Feed:
        """The feed with the option chains of real exchanges as its reference, if any."""
        wanted = parse_index_sources(self._settings.volatility_sources).get(self._name(feed))
        if not wanted:
            return feed
        chains = []
        for exchange, coin in wanted:
            market = CcxtChain(exchange, coin)
            self._exchanges.append(market)
            chains.append(ccxt_chain(market, exchange, self._sequencer.now_ns))
        self.polled += chains
        return msgspec.structs.replace(feed, chains=tuple(chains))

    async def close(self) -> None:
        """Leave the exchanges that were polled."""
        for exchange in self._exchanges:
            await exchange.close()

    async def list_chains(self) -> int:
        """List what is missing around the index; returns how many instruments are new."""
        listed = await self._sequencer.read(lambda engine: set(engine.instruments))
        added = 0
        for underlying in simulated_underlyings(self._market):
            command = await self._listings(underlying)
            fresh = tuple(item for item in command.listings if item.instrument_id not in listed)
            if fresh:
                reply = await self._sequencer.submit(ListInstruments(listings=fresh))
                added += sum(isinstance(event, InstrumentListed) for event in reply.events)
        return added

    async def _listings(self, underlying: Underlying) -> ListInstruments:
        """What the rules want; a recorded chain's options take the place of theirs."""
        now_s = to_seconds_down(self._sequencer.now_ns())
        index_price = await self._sequencer.read(
            lambda engine: engine.index_price(underlying.underlying_id)
        )
        by_rules = self._market.chain_command(
            underlying.name, index_price or self._market.start_price(underlying.name), now_s
        )
        if not self._chain or not self._chain.index_price(underlying.underlying_id):
            return by_rules
        linear = [
            item
            for item in by_rules.listings
            if unpack_instrument_id(item.instrument_id).kind is not Kind.OPTION
        ]
        ahead = [
            item
            for option, item in zip(self._chain.options, self._chain.listings(), strict=True)
            if option.terms.expiry > now_s
        ]
        return ListInstruments(listings=(*linear, *ahead))
