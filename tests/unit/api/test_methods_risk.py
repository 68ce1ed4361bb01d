"""Risk arrays and surfaces on the wire."""

import asyncio

import pytest
from tests.unit.api.world import CALL_NAME, call, mark_as_presets_do
from tests.venue import EXPIRY_S, NS

from exchange.commands import SmileNote
from exchange.margin.merkle import update_root
from exchange.merkle import keccak, verify_proof


def ask(world, method, **params):
    return asyncio.run(call(world, f"public/{method}", params))


def test_one_contract_shows_the_journaled_integers(world):
    """With everything else that its margin reads."""
    found = ask(world, "get_risk_arrays", instrument_name=CALL_NAME)["result"]
    assert found["prices"] == [1500, 500, 1100, 800, 1200]
    assert found["weights"] == [1, 1, 0.1, 1, 1]
    assert found["expiry"]["forward_price"] == 100_000
    assert found["underlying"] == {
        "index_name": "btc_usdc",
        "index_price": 100_000,
        "confidence": 1,
        "scan": 1,
    }
    assert "proofs" not in found


def test_each_leaf_is_proven_to_the_root(world):
    """As the contract would check it; the leaf is the hash of what was answered."""
    command = mark_as_presets_do(world)
    found = ask(world, "get_risk_arrays", instrument_name=CALL_NAME, proofs=True)["result"]
    root = update_root(command)
    assert set(found["proofs"]) == {"header", "underlying", "expiry", "row"}
    for proven in found["proofs"].values():
        leaf, *proof = (bytes.fromhex(text[2:]) for text in (proven["leaf"], *proven["proof"]))
        assert verify_proof(root, leaf, proof)
    packed = command.epoch.to_bytes(8, "big") + command.stablecoin_price.to_bytes(16, "big")
    assert found["proofs"]["header"]["leaf"] == "0x" + keccak(packed).hex()
    forward = (100_000 * 10**6).to_bytes(8, "big")
    head = (1).to_bytes(8, "big") + EXPIRY_S.to_bytes(8, "big") + forward
    (risk,) = command.expiries
    ratios = b"".join(
        value.to_bytes(16, "big")
        for value in (risk.discount_long, risk.discount_short, risk.basis_weight)
    )
    assert found["proofs"]["expiry"]["leaf"] == "0x" + keccak(head + ratios).hex()


def test_a_currency_shows_its_whole_epoch(world):
    """Every marked instrument of it, its expiries and its underlying."""
    found = ask(world, "get_risk_arrays", currency="BTC")["result"]
    assert len(found["rows"]) == 6
    assert found["rows"][0]["prices"] == [1500, 500, 1100, 800, 1200]
    assert [one["expiration_timestamp"] for one in found["expiries"]] == [EXPIRY_S * 1000]
    assert [one["index_name"] for one in found["underlyings"]] == ["btc_usdc"]
    assert ask(world, "get_risk_arrays", currency="ETH")["result"]["rows"] == []


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({}, "instrument_name"),
        ({"instrument_name": CALL_NAME, "currency": "BTC"}, "instrument_name"),
        ({"currency": "BTC", "proofs": True}, "proofs"),
        ({"currency": "XRP"}, "currency"),
    ],
)
def test_a_question_names_one_thing(world, params, param):
    assert ask(world, "get_risk_arrays", **params)["error"]["data"]["param"] == param


def test_without_an_epoch_there_is_nothing_to_show(world):
    """Said so, rather than an empty answer."""
    world.gateway.view.marks = None
    for params in ({"instrument_name": CALL_NAME}, {"currency": "BTC"}):
        assert ask(world, "get_risk_arrays", **params)["error"]["code"] == 11050
    found = ask(world, "get_volatility_surface", index_name="btc_usdc")
    assert found["error"]["code"] == 11050


def test_a_surface_shows_what_options_are_marked_at_and_why(world):
    """Each strike once; the note of the fit where there was one."""
    found = ask(world, "get_volatility_surface", index_name="btc_usdc")["result"]
    (expiry,) = found["expiries"]
    assert (expiry["strikes"], expiry["mark_iv"]) == ([90_000, 100_000, 110_000], [65, 65, 65])
    assert (expiry["method"], expiry["quotes"], expiry["forward_price"]) == (
        "reference",
        0,
        100_000,
    )
    note = SmileNote(
        underlying_id=1,
        expiry=EXPIRY_S,
        method="svi",
        quotes=9,
        error=1_500,
        distance=20_000,
        parameters=(10**11, 10**10, 2 * 10**11, -3 * 10**11, 0, 10**11),
        rate=3 * 10**10,
    )
    before = world.sequencer.last_seq
    world.venue.time_ns += NS
    world.venue.mark({}, smiles=(note,))
    world.sequencer.release(before)
    (expiry,) = ask(world, "get_volatility_surface", index_name="btc_usdc")["result"]["expiries"]
    assert (expiry["method"], expiry["mean_error"], expiry["distance"]) == ("svi", 0.15, 2)
    assert expiry["rate"] == 0.03
    assert expiry["parameters"] == {
        "tau": 0.1,
        "a": 0.01,
        "b": 0.2,
        "rho": -0.3,
        "m": 0,
        "sigma": 0.1,
    }
    assert ask(world, "get_volatility_surface", index_name="eth_usdc")["result"]["expiries"] == []
    assert ask(world, "get_volatility_surface", index_name="xrp_usdc")["error"]["code"] == 10020
