"""What margin is made of, for everybody: risk arrays with their proofs, and volatility surfaces."""

from typing import Any, Final

from exchange.api import schemas
from exchange.api.dispatch import Method, public_method
from exchange.api.errors import BadRequest, InvalidParams
from exchange.api.gateway import Caller, Gateway
from exchange.api.records import Marks
from exchange.api.results import Result
from exchange.api.risk_results import (
    expiry_result,
    proofs_result,
    row_result,
    surface_result,
    underlying_result,
)
from exchange.api.schemas import Currency, InstrumentName, Params, ratio_number
from exchange.fixed import RATIO_SCALE, to_milliseconds_down
from exchange.model import Instrument


class RiskArraysParams(Params, frozen=True, kw_only=True):
    """One instrument, or everything of a currency."""

    instrument_name: InstrumentName = ""
    currency: Currency = ""
    proofs: bool = False


async def get_risk_arrays(gateway: Gateway, _: Caller, params: RiskArraysParams) -> Result:
    """Margin's journaled integers: of a contract (with `proofs`, only of one), or of a currency."""
    if bool(params.instrument_name) == bool(params.currency):
        raise InvalidParams("name an instrument or a currency", "instrument_name")
    gateway.configured()
    marks = gateway.view.marks
    if params.instrument_name:
        return _one(gateway, gateway.instrument(params.instrument_name), marks, params)
    if params.proofs:
        raise InvalidParams("proofs are given for one instrument", "proofs")
    chosen = gateway.select(params.currency)
    if marks is None:
        raise BadRequest("there are no risk arrays yet", "currency")
    marked = [item for item in chosen if marks.mark(item.instrument_id) is not None]
    keys = {(item.underlying_id, item.expiry) for item in marked}
    return _head(gateway, marks) | {
        "underlyings": [
            underlying_result(gateway.view, risk)
            for risk in marks.command.underlyings
            if any(risk.underlying_id == key for key, _ in keys)
        ],
        "expiries": [
            expiry_result(risk)
            for risk in marks.command.expiries
            if (risk.underlying_id, risk.expiry) in keys
        ],
        "rows": [row_result(marks, item) for item in marked],
    }


def _one(
    gateway: Gateway, instrument: Instrument, marks: Marks | None, params: RiskArraysParams
) -> Result:
    if marks is None or marks.mark(instrument.instrument_id) is None:
        raise BadRequest("this instrument has no risk array yet", "instrument_name")
    expiry = marks.expiry(instrument.underlying_id, instrument.expiry)
    assert expiry is not None
    underlying = next(
        risk for risk in marks.command.underlyings if risk.underlying_id == instrument.underlying_id
    )
    found = _head(gateway, marks) | row_result(marks, instrument)
    found |= {
        "expiry": expiry_result(expiry),
        "underlying": underlying_result(gateway.view, underlying),
    }
    return found | ({"proofs": proofs_result(marks, instrument)} if params.proofs else {})


def _head(gateway: Gateway, marks: Marks) -> Result:
    margin = gateway.configured().margin
    return {
        "preset": margin.preset,
        "epoch": marks.command.epoch,
        "root": "0x" + marks.command.root.hex(),
        "timestamp": to_milliseconds_down(marks.time_ns),
        "stablecoin_price": ratio_number(marks.command.stablecoin_price, RATIO_SCALE),
        "weights": [ratio_number(weight, RATIO_SCALE) for weight in margin.weights],
    }


async def get_volatility_surface(
    gateway: Gateway, _: Caller, params: schemas.IndexParams
) -> Result:
    """Forward, rate and mark volatilities of every expiry, and how each was made."""
    found = surface_result(gateway.view, gateway.underlying_of_index(params.index_name))
    if found is None:
        raise BadRequest("there are no marks yet", "index_name")
    return found


RISK: Final[list[Method[Any]]] = [
    public_method(get_risk_arrays, RiskArraysParams),
    public_method(get_volatility_surface, schemas.IndexParams),
]
