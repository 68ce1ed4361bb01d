"""Margin proofs as the contract reads them; that it agrees is tests/integration's business."""

import struct
from typing import Any

import msgspec
from eth_abi.abi import decode, encode
from eth_hash.auto import keccak
from tests.margin_world import WBTC, collaterals, instruments, option, perpetual, preset, update

from exchange.margin.merkle import leaves, update_root
from exchange.margin.scenarios import margin_parameters
from exchange.merkle import merkle_multiproof
from exchange.settlement.margin_proof import (
    PARAMETERS_TYPE,
    PORTFOLIO_TYPE,
    PROOF_TYPE,
    EpochProver,
    Portfolio,
    parameters_hash,
    parameters_words,
    set_parameters_calldata,
)

TERMS = (margin_parameters(preset()), collaterals())
LEGS = (option(100_000, "C"), perpetual(1), option(3_000, "P", underlying_id=2))


def prover() -> EpochProver:
    return EpochProver(update(), *TERMS)


def test_the_root_is_the_epochs() -> None:
    """What the engine was given and what proofs lead to."""
    assert prover().root == update().root == update_root(update())


def test_parameters_are_bound_by_their_hash() -> None:
    """Of the very encoding that a proof carries and `setParameters` takes."""
    encoded = encode([PARAMETERS_TYPE], [parameters_words(*TERMS)])
    assert parameters_hash(*TERMS) == keccak(encoded)
    assert set_parameters_calldata(*TERMS)[4:] == encoded
    selector = keccak(f"setParameters({PARAMETERS_TYPE})".encode())[:4]
    assert set_parameters_calldata(*TERMS)[:4] == selector
    assert prover().proof(LEGS)[0] == encoded


def test_a_proof_has_only_what_its_legs_need() -> None:
    """Rows ascending; their expiries; underlyings of positions and tokens; places in the tree."""
    _, epoch, _, underlyings, expiries, rows, expired, count, places, _ = prover().proof(LEGS)
    assert epoch == 1
    assert [risk[0] for risk in underlyings] == [1, 2]
    assert [(risk[0], bool(risk[1])) for risk in expiries] == [(1, False), (1, True), (2, True)]
    size = len(rows) // 3
    found = [int.from_bytes(rows[at * size : at * size + 8], "big") for at in range(3)]
    assert found == sorted(LEGS)
    assert expired == []
    assert count == 1 + 2 + 8 + len(instruments())
    assert len(places) == 2 * (1 + 2 + 3 + 3)
    numbers = [int.from_bytes(places[at : at + 2], "big") for at in range(0, len(places), 2)]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 0


def test_calldata_carries_quantities_in_the_order_of_rows() -> None:
    """And tokens in the order of the parameters, zero where none is held."""
    positions = {LEGS[0]: 5, LEGS[1]: -7, LEGS[2]: 9}
    portfolio = Portfolio(net_cash=-3, positions=positions, collateral={WBTC: 4})
    data = prover().excess_of_calldata(portfolio)
    words, _ = decode([PORTFOLIO_TYPE, PROOF_TYPE], data[4:])
    assert words == (-3, tuple(positions[one] for one in sorted(LEGS)), (0, 4), False)
    data = prover().excess_calldata(12, LEGS)
    assert decode(["uint64", PROOF_TYPE], data[4:])[0] == 12


def test_parameters_are_told_in_the_contracts_units() -> None:
    """Absolute skews as bits, risk groups from 1 on, caps as much as their type holds."""
    absolute = tuple(at in (1, 5, 32) for at in range(33))
    parameters = msgspec.structs.replace(TERMS[0], absolute=absolute, risk_groups=((1, 0), (2, 3)))
    assets = collaterals(account_cap=2**90)
    words = parameters_words(parameters, assets)
    assert words[2] == 1 << 1 | 1 << 5 | 1 << 32
    assert words[14] == [(1, 1), (2, 4)]
    tokens: Any = words[15]
    assert [token[-1] for token in tokens] == [2**80 - 1] * 2
    assert [token[:3] for token in tokens] == [
        (asset.token, asset.underlying_id, asset.isolated) for asset in assets
    ]
    uncapped: Any = parameters_words(parameters, collaterals(account_cap=7))[15]
    assert [token[-1] for token in uncapped] == [7, 7]


def test_the_proof_of_a_rows_place_leads_to_the_root() -> None:
    """Every leaf that is shown, by its place, with the nodes beside them."""
    proof: Any = prover().proof(LEGS)
    rows, _, count, places, nodes = proof[-5:]
    size = len(rows) // 3
    shown = {at * size: rows[at * size : (at + 1) * size] for at in range(3)}
    numbers = struct.unpack(f">{len(places) // 2}H", places)
    known = leaves(update())
    assert count == len(known)
    assert [known[at] for at in numbers[-3:]] == list(map(keccak, shown.values()))
    assert nodes == merkle_multiproof(known, list(numbers))


def test_what_expired_is_named_beside_the_rows() -> None:
    """Ascending, in any call that takes a subaccount and its proof."""
    data = prover().calldata("flag", 12, LEGS, (9, 3))
    assert data[:4] == keccak(f"flag(uint64,{PROOF_TYPE})".encode())[:4]
    subaccount_id, proof = decode(["uint64", PROOF_TYPE], data[4:])
    assert (subaccount_id, proof[6]) == (12, (3, 9))
    assert prover().excess_calldata(12, LEGS, (9, 3))[4:] == data[4:]
    excess = keccak(f"excess(uint64,{PROOF_TYPE})".encode())[:4]
    assert prover().excess_calldata(12, LEGS)[:4] == excess


def test_parameters_without_spots_have_no_tokens() -> None:
    """An older journal's: the contract wants one spot for each scenario, and 1 moves nothing."""
    bare = msgspec.structs.replace(TERMS[0], spots=())
    assert parameters_words(bare, ())[1] == (10**18,) * 33
