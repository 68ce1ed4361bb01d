"""Both sides of a request for quote by the SDK, over a real socket."""

import asyncio
from decimal import Decimal

import pytest
from tests.unit.api.world import CALL_NAME, MAKER_KEY, PUT_NAME, TAKER_ID, TAKER_KEY, served

from exchange.sdk import ApiError, RfqClient


def test_a_structure_is_asked_for_quoted_and_taken():
    """One settlement, two legs, signed by both; the first maker is beaten by its own new quote."""

    async def story(url):
        async with RfqClient(url, TAKER_KEY) as taker, RfqClient(url, MAKER_KEY) as maker:
            legs = [(CALL_NAME, 1, "buy"), (PUT_NAME, 1, "buy")]
            asked = await taker.request_quotes(legs, 2, "buy", label="straddle", expires_in=60)
            (seen,) = await maker.requests("maker")
            assert (seen.block_rfq_id, seen.taker) == (asked.block_rfq_id, "")
            await maker.quote(seen, "sell", 2_020)
            better = await maker.quote(seen, "sell", 2_010)
            (shown,) = await taker.requests("taker")
            assert [(row.block_rfq_quote_id, row.price) for row in shown.asks] == [
                (better, Decimal(2_010))
            ]
            with pytest.raises(ApiError, match="no quote"):
                await taker.accept(shown, "buy", 2_000)
            done = await taker.accept(shown, "buy", 2_015)
            assert done.state == "filled"
            assert done.seq
            assert {row.instrument_name for row in await taker.positions()} == {CALL_NAME, PUT_NAME}

    with served() as (world, url):
        asyncio.run(story(url))
        assert world.venue.position(TAKER_ID) == 20_000


def test_a_quote_can_be_taken_back():
    async def story(url):
        async with RfqClient(url, TAKER_KEY) as taker, RfqClient(url, MAKER_KEY) as maker:
            rfq = await taker.request_quotes([(CALL_NAME, 1, "buy")], 1)
            await maker.cancel_quote(await maker.quote(rfq, "sell", 1_000))
            assert (await taker.requests("taker"))[0].asks == []

    with served() as (_, url):
        asyncio.run(story(url))
