"""Margin proofs for the chain: risk rows of one portfolio, and how they lie under the root.

Pure. The structs mirror `contracts/src/interfaces/IMargin.sol` field for field; what the contract
computes from them equals `MarginAccount` to the last unit.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from eth_abi.abi import encode
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.commands import Collateral, MarginParameters, UpdateMarks
from exchange.fixed import RATIO_SCALE, div_exact
from exchange.margin.merkle import leaves
from exchange.merkle import merkle_multiproof, merkle_root
from exchange.model import unpack_instrument_id
from exchange.settlement.batch import encode_call

PARAMETERS_TYPE: Final = (
    "(uint64[],uint64[],uint256,uint16,uint16,uint64,uint64,uint64,uint64,uint64,uint64,uint64,"
    "uint64,uint64,(uint32,uint32)[],(address,uint32,bool,uint64,uint64,uint80)[],"
    "(uint64,uint64,uint64,uint64,uint64))"
)
_UNDERLYING_TYPE: Final = "(uint32,uint64,uint128,uint128)"
_EXPIRY_TYPE: Final = "(uint32,uint64,uint64,uint128,uint128,uint128)"
PROOF_TYPE: Final = (
    f"(bytes,uint64,uint128,{_UNDERLYING_TYPE}[],{_EXPIRY_TYPE}[],bytes,uint64[],"
    "uint32,bytes,bytes32[])"
)
# For what asks for a proof and does not read it.
NO_PROOF: Final[tuple[object, ...]] = (b"", 0, 0, [], [], b"", [], 0, b"", [])
PORTFOLIO_TYPE: Final = "(int256,int256[],uint256[],bool)"
_CAP_MAX: Final = 2**80 - 1


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    """What is margined: cash less entry costs and funding, signed quantities, token amounts."""

    net_cash: int
    positions: dict[int, int]
    collateral: dict[int, int] = {}  # by asset_id
    standard: bool = False  # each position margined by itself


def parameters_words(
    parameters: MarginParameters, collaterals: Sequence[Collateral]
) -> tuple[object, ...]:
    """`MarginParameters` of the contract."""
    return (
        parameters.weights,
        parameters.spots or (RATIO_SCALE,) * len(parameters.weights),
        sum(1 << at for at, skew in enumerate(parameters.absolute) if skew),
        parameters.basis_up,
        parameters.basis_down,
        parameters.initial_factor,
        parameters.maintenance_factor,
        parameters.short_option_initial_rate,
        parameters.short_option_maintenance_rate,
        parameters.perpetual_initial_rate,
        parameters.perpetual_maintenance_rate,
        parameters.confidence_floor,
        parameters.depeg_threshold,
        parameters.depeg_factor,
        [(underlying_id, group + 1) for underlying_id, group in parameters.risk_groups],
        [
            (
                asset.token,
                asset.underlying_id,
                asset.isolated,
                asset.initial_haircut,
                asset.maintenance_haircut,
                min(asset.account_cap, _CAP_MAX),
            )
            for asset in collaterals
        ],
        msgspec.structs.astuple(parameters.standard_rates),
    )


def parameters_hash(parameters: MarginParameters, collaterals: Sequence[Collateral]) -> bytes:
    """What the contract stores of the parameters in force."""
    return keccak(_encoded(parameters, collaterals))


def _encoded(parameters: MarginParameters, collaterals: Sequence[Collateral]) -> bytes:
    return encode([PARAMETERS_TYPE], [parameters_words(parameters, collaterals)])


def set_parameters_calldata(
    parameters: MarginParameters, collaterals: Sequence[Collateral]
) -> bytes:
    """Calldata of `setParameters`."""
    words = parameters_words(parameters, collaterals)
    return encode_call("setParameters", (PARAMETERS_TYPE,), (words,))


class EpochProver:
    """Proofs from one epoch's marks. Hashes the whole tree once: O(instruments)."""

    def __init__(
        self,
        update: UpdateMarks,
        parameters: MarginParameters,
        collaterals: Sequence[Collateral] = (),
    ) -> None:
        self._update = update
        self._parameters = _encoded(parameters, collaterals)
        self._token_underlyings = {asset.underlying_id for asset in collaterals}
        self._assets = [asset.asset_id for asset in collaterals]
        self._leaves = leaves(update)
        self._underlyings = sorted(update.underlyings, key=lambda risk: risk.underlying_id)
        self._expiries = sorted(update.expiries, key=lambda risk: (risk.underlying_id, risk.expiry))
        self._place = {number: at for at, number in enumerate(update.instrument_ids)}

    @property
    def root(self) -> bytes:
        """What the proofs lead to."""
        return merkle_root(self._leaves)

    def proof(
        self, instrument_ids: Iterable[int], expired: Iterable[int] = ()
    ) -> tuple[object, ...]:
        """`MarginProof` of the contract for positions in these instruments."""
        ids = sorted(instrument_ids)
        terms = [unpack_instrument_id(number) for number in ids]
        buckets = {(term.underlying_id, term.expiry) for term in terms}
        wanted = {underlying_id for underlying_id, _ in buckets} | self._token_underlyings
        underlyings = [
            (1 + at, risk)
            for at, risk in enumerate(self._underlyings)
            if risk.underlying_id in wanted
        ]
        first = 1 + len(self._underlyings)
        expiries = [
            (first + at, risk)
            for at, risk in enumerate(self._expiries)
            if (risk.underlying_id, risk.expiry) in buckets
        ]
        first += len(self._expiries)
        rows = [first + self._place[number] for number in ids]
        places = [0, *(at for at, _ in underlyings), *(at for at, _ in expiries), *rows]
        return (
            self._parameters,
            self._update.epoch,
            self._update.stablecoin_price,
            [
                (risk.underlying_id, risk.index_price, risk.confidence, risk.scan)
                for _, risk in underlyings
            ],
            [
                (
                    risk.underlying_id,
                    risk.expiry,
                    risk.forward_price,
                    risk.discount_long,
                    risk.discount_short,
                    risk.basis_weight,
                )
                for _, risk in expiries
            ],
            b"".join(map(self._row, ids)),
            sorted(expired),
            len(self._leaves),
            struct.pack(f">{len(places)}H", *places),
            merkle_multiproof(self._leaves, places),
        )

    def excess_calldata(
        self, subaccount_id: int, instrument_ids: Iterable[int], expired: Iterable[int] = ()
    ) -> bytes:
        """Calldata of `excess`: of what the subaccount holds on chain."""
        return self.calldata("excess", subaccount_id, instrument_ids, expired)

    def calldata(
        self,
        function: str,
        subaccount_id: int,
        instrument_ids: Iterable[int],
        expired: Iterable[int] = (),
    ) -> bytes:
        """Calldata of any function that takes a subaccount and its proof."""
        words = (subaccount_id, self.proof(instrument_ids, expired))
        return encode_call(function, ("uint64", PROOF_TYPE), words)

    def excess_of_calldata(self, portfolio: Portfolio) -> bytes:
        """Calldata of `excessOf`: of any portfolio."""
        ids = sorted(portfolio.positions)
        words = (
            portfolio.net_cash,
            [portfolio.positions[number] for number in ids],
            [portfolio.collateral.get(asset_id, 0) for asset_id in self._assets],
            portfolio.standard,
        )
        return encode_call("excessOf", (PORTFOLIO_TYPE, PROOF_TYPE), (words, self.proof(ids)))

    def _row(self, instrument_id: int) -> bytes:
        size = div_exact(len(self._update.rows), len(self._update.instrument_ids))
        at = self._place[instrument_id] * size
        count = div_exact(size, 8)
        values = struct.unpack(f"<{count}q", self._update.rows[at : at + size])
        return struct.pack(f">Q{count}q", instrument_id, *values)
