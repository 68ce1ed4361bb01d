"""Risk arrays and volatility surfaces as results: the journaled integers, in the wire's numbers."""

from typing import Any

from exchange.api import results
from exchange.api.records import Marks
from exchange.api.results import Result
from exchange.api.schemas import cash_number, ratio_number, vol_percent_number
from exchange.api.views import VenueView
from exchange.commands import ExpiryRisk, SmileNote, UnderlyingRisk
from exchange.fixed import RATIO_SCALE, to_milliseconds_down
from exchange.merkle import merkle_proof
from exchange.model import Instrument, Kind

_SMILE_SCALE = 10**12
_PARAMETERS = ("tau", "a", "b", "rho", "m", "sigma")


def row_result(marks: Marks, instrument: Instrument) -> Result:
    """One contract: its mark, its sensitivities, its price in each scenario."""
    row = marks.mark(instrument.instrument_id)
    assert row is not None
    return {
        "instrument_name": instrument.name,
        "mark_price": cash_number(row.mark_price),
        "mark_iv": vol_percent_number(row.mark_iv),
        "delta": ratio_number(row.delta),
        "vega": ratio_number(row.vega),
        "prices": [cash_number(price) for price in row.shocked],
    }


def expiry_result(risk: ExpiryRisk) -> Result:
    """What the instruments of one expiry share."""
    return {
        "expiration_timestamp": risk.expiry * 1000,
        "forward_price": cash_number(risk.forward_price),
        "discount_long": ratio_number(risk.discount_long, RATIO_SCALE),
        "discount_short": ratio_number(risk.discount_short, RATIO_SCALE),
        "basis_weight": ratio_number(risk.basis_weight, RATIO_SCALE),
    }


def underlying_result(view: VenueView, risk: UnderlyingRisk) -> Result:
    """What the instruments of one underlying share."""
    return {
        "index_name": results.index_name(view.underlying_name(risk.underlying_id)),
        "index_price": cash_number(risk.index_price),
        "confidence": ratio_number(risk.confidence, RATIO_SCALE),
        "scan": ratio_number(risk.scan, RATIO_SCALE),
    }


def proofs_result(marks: Marks, instrument: Instrument) -> Result:
    """Siblings from each leaf that one contract's margin reads up to the root."""
    command = marks.command
    underlyings = sorted(risk.underlying_id for risk in command.underlyings)
    expiries = sorted((risk.underlying_id, risk.expiry) for risk in command.expiries)
    first_expiry = 1 + len(underlyings)
    places = {
        "header": 0,
        "underlying": 1 + underlyings.index(instrument.underlying_id),
        "expiry": first_expiry + expiries.index((instrument.underlying_id, instrument.expiry)),
        "row": first_expiry
        + len(expiries)
        + command.instrument_ids.index(instrument.instrument_id),
    }
    return {
        name: {
            "leaf": "0x" + marks.leaves[at].hex(),
            "proof": ["0x" + sibling.hex() for sibling in merkle_proof(marks.leaves, at)],
        }
        for name, at in places.items()
    }


def surface_result(view: VenueView, underlying_id: int) -> Result | None:
    """Forwards, rates and mark volatilities of the epoch in force; None before the first."""
    marks = view.marks
    if marks is None:
        return None
    command = marks.command
    notes = {(note.underlying_id, note.expiry): note for note in command.smiles}
    rows: dict[int, list[tuple[int, int]]] = {}
    for instrument_id in command.instrument_ids:
        instrument = view.instruments[instrument_id]
        if instrument.underlying_id == underlying_id and instrument.kind is Kind.OPTION:
            mark = marks.mark(instrument_id)
            assert mark is not None
            rows.setdefault(instrument.expiry, []).append((instrument.strike, mark.mark_iv))
    return {
        "index_name": results.index_name(view.underlying_name(underlying_id)),
        "index_price": cash_number(marks.index_price(underlying_id)),
        "epoch": command.epoch,
        "root": "0x" + command.root.hex(),
        "timestamp": to_milliseconds_down(marks.time_ns),
        "expiries": [
            _smile_result(risk, notes.get((underlying_id, risk.expiry)), rows[risk.expiry])
            for risk in command.expiries
            if risk.underlying_id == underlying_id and risk.expiry in rows
        ],
    }


def _smile_result(
    risk: ExpiryRisk, note: SmileNote | None, points: list[tuple[int, int]]
) -> Result:
    made: dict[str, Any] = {"method": "reference", "quotes": 0, "rate": 0}
    if note is not None:
        made = {
            "method": note.method,
            "quotes": note.quotes,
            "rate": ratio_number(note.rate, _SMILE_SCALE),
            "mean_error": vol_percent_number(note.error),
            "distance": vol_percent_number(note.distance),
            "parameters": {
                name: ratio_number(value, _SMILE_SCALE)
                for name, value in zip(_PARAMETERS, note.parameters, strict=False)
            },
        }
    return {
        "expiration_timestamp": risk.expiry * 1000,
        "forward_price": cash_number(risk.forward_price),
        **made,
        "strikes": [cash_number(strike) for strike in sorted(dict(points))],
        "mark_iv": [
            vol_percent_number(volatility) for _, volatility in sorted(dict(points).items())
        ],
    }
