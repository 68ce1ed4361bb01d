"""A small market for margin tests: two underlyings, three expiries, a smile, and both halves."""

import functools

import msgspec
import numpy as np

from exchange.fixed import ASSET_SCALE, CASH_SCALE, QUANTITY_SCALE
from exchange.margin.account import MarginAccount
from exchange.margin.market import ExpiryMarket, Market, UnderlyingMarket
from exchange.margin.marks import MarksBook
from exchange.margin.order import MarginOrder
from exchange.margin.reference import FloatCollateral, FloatPortfolio
from exchange.margin.risk_arrays import build_update
from exchange.margin.scenarios import collateral_terms, load_preset, margin_parameters
from exchange.model import InstrumentTerms, Kind, OptionKind, pack_instrument_id

NOW = 1_795_248_000  # 2026-11-21 08:00 UTC
EXPIRIES = tuple(NOW + days * 86_400 for days in (7, 34, 125))
STRIKES = {1: range(60_000, 150_000, 10_000), 2: range(2_000, 5_000, 500)}
INDEX = {1: 100_000.0, 2: 3_500.0}


class Smile:
    """A skewed, arbitrary smile: what the surface looks like is not margin's business."""

    def volatilities(self, expiry, forward_price, strikes):
        distance = np.log(strikes / forward_price)
        return 0.6 - 0.15 * distance + 0.4 * distance**2


def option(strike, letter, expiry=EXPIRIES[1], underlying_id=1):
    kind = OptionKind.CALL if letter == "C" else OptionKind.PUT
    strike = round(strike * CASH_SCALE)
    return pack_instrument_id(InstrumentTerms(Kind.OPTION, underlying_id, expiry, strike, kind))


def perpetual(underlying_id=1):
    return pack_instrument_id(InstrumentTerms(Kind.PERPETUAL, underlying_id))


@functools.cache
def instruments():
    chain = [
        option(strike, letter, expiry, underlying_id)
        for underlying_id, strikes in STRIKES.items()
        for expiry in EXPIRIES
        for strike in strikes
        for letter in "CP"
    ]
    return tuple(sorted([*chain, perpetual(1), perpetual(2)]))


def market(move=1.0, rate=0.03, confidence=1.0, stablecoin=1.0, surface=None, fixed=0.0, scan=1.0):
    """The market after the index moved by `move`."""
    return Market(
        time_ns=NOW * 10**9,
        underlyings=tuple(
            UnderlyingMarket(
                underlying_id=underlying_id,
                index_price=index * move,
                confidence=confidence,
                scan=scan,
                volatility_scale=scan,
                surface=surface or Smile(),
                expiries=tuple(
                    ExpiryMarket(
                        expiry=expiry,
                        forward_price=index * move * (1 + at / 200) * (1 - fixed),
                        fixed_price=index * fixed,
                        rate=rate,
                    )
                    for at, expiry in enumerate(EXPIRIES)
                ),
                perpetual_price=index * move * 1.0005,
            )
            for underlying_id, index in INDEX.items()
        ),
        stablecoin_price=stablecoin,
    )


@functools.cache
def preset(name="pm33"):
    return load_preset(name)


@functools.cache
def update(epoch=1, name="pm33", **changes):
    return build_update(preset(name), market(**changes), instruments(), epoch)


TOKENS = {"WETH": ("0x" + "e" * 40, 18), "WBTC": ("0x" + "d" * 40, 8)}
WETH, WBTC = 1, 2  # asset ids


@functools.cache
def collaterals(name="pm33", **changes):
    """WETH and WBTC on the preset's terms."""
    known = collateral_terms(preset(name), {"BTC": 1, "ETH": 2}, TOKENS)
    return tuple(msgspec.structs.replace(asset, **changes) for asset in known)


def marks_book(name="pm33", parameters=None, assets=None, **changes):
    marks = MarksBook(parameters or margin_parameters(preset(name)))
    marks.set_collaterals(collaterals(name) if assets is None else assets)
    marks.update(update(1, name, **changes))
    return marks


def account(positions=None, cash=0, marks=None, tokens=None):
    """Positions in contracts, cash in USDC, tokens by asset id."""
    found = MarginAccount(7, marks or marks_book())
    found.add_cash(round(cash * CASH_SCALE))
    for instrument_id, contracts in (positions or {}).items():
        found.apply_fill(instrument_id, round(contracts * QUANTITY_SCALE))
    for asset_id, amount in (tokens or {}).items():
        found.add_collateral(asset_id, round(amount * ASSET_SCALE))
    return found


def order(instrument_id, contracts, price, max_fee=30):
    """Signed contracts, price and fee in USDC."""
    sign = 1 if contracts > 0 else -1
    quantity = round(abs(contracts) * QUANTITY_SCALE)
    scaled_price = round(price * 100) * CASH_SCALE // 100
    return MarginOrder(instrument_id, sign, quantity, scaled_price, round(max_fee * CASH_SCALE))


def floats(found):
    """The same portfolio for the reference."""
    return FloatPortfolio(
        cash=found.cash / CASH_SCALE,
        positions={
            instrument_id: quantity / QUANTITY_SCALE
            for instrument_id, quantity in found.positions.items()
        },
        collateral=tuple(
            FloatCollateral(
                terms=preset().collateral[asset_id - 1],
                underlying_id={WETH: 2, WBTC: 1}[asset_id],
                amount=amount / ASSET_SCALE,
            )
            for asset_id, amount in found.collateral.items()
        ),
    )
