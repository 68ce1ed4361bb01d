"""Names of channels: what belongs to which family, and that the page lists them all."""

from pathlib import Path

import pytest

from exchange.api.channel_names import FAMILIES, PARTS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text()


@pytest.mark.parametrize(
    ("channel", "family"),
    [
        ("book.BTC_USDC-PERPETUAL.raw", "book"),
        ("book.BTC_USDC-PERPETUAL.none.10.100ms", "depth"),
        ("book.BTC_USDC-PERPETUAL.25.1.agg2", "depth"),
        ("book.BTC_USDC-PERPETUAL.25.1.raw", None),
        ("book.BTC_USDC-PERPETUAL.3.1.100ms", None),
        ("trades.option.BTC.raw", "trades"),
        ("trades.BTC_USDC-PERPETUAL.100ms", "trades"),
        ("chart.trades.BTC_USDC-PERPETUAL.1D", "chart"),
        ("chart.trades.BTC_USDC-PERPETUAL.2", None),
        ("user.changes.any.any.raw", "user.changes"),
        ("user.liquidations", "user.liquidations"),
        ("user", None),
        ("book.X\n.raw", None),
    ],
)
def test_a_channel_belongs_to_one_family(channel, family):
    found = [one.name for one in FAMILIES if one.parts(channel) is not None]
    assert found == ([family] if family else [])


def test_each_part_of_an_address_is_known_and_used():
    used = {
        part.split("}")[0]
        for family in FAMILIES
        for address in family.addresses
        for part in address.split("{")[1:]
    }
    assert used == set(PARTS)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda one: one.name)
def test_the_page_lists_every_address(family):
    for address in family.addresses:
        name = address.replace("{", "<").replace("}", ">")
        assert f"`{name}`" in PAGE, name
