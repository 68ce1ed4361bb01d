"""What a combo is, its one form and identity, and what traders call it."""

import pytest

from exchange.matching.combos import (
    RATIO_MAX,
    ComboFault,
    ComboKind,
    canonical,
    check_legs,
    combo_kind,
    combo_name,
    net_price,
)
from exchange.model import InstrumentTerms, Kind, Leg, OptionKind, pack_instrument_id

DEC, JAN = 1_798_185_600, 1_800_604_800


def option(strike, kind="C", expiry=DEC, underlying_id=1):
    option_kind = OptionKind.CALL if kind == "C" else OptionKind.PUT
    terms = InstrumentTerms(Kind.OPTION, underlying_id, expiry, strike * 10**6, option_kind)
    return pack_instrument_id(terms)


def future(expiry):
    return pack_instrument_id(InstrumentTerms(Kind.FUTURE, 1, expiry))


PERPETUAL = pack_instrument_id(InstrumentTerms(Kind.PERPETUAL, 1))
C100, C110, C120, C130 = (option(strike) for strike in (100_000, 110_000, 120_000, 130_000))
P100, P110 = option(100_000, "P"), option(110_000, "P")


@pytest.mark.parametrize(
    ("legs", "fault"),
    [
        ([(C100, 1)], ComboFault.WRONG_LEG_COUNT),
        ([(option(100 + i), 1) for i in range(18)], ComboFault.WRONG_LEG_COUNT),
        ([(C100, 0), (C100, 1)], ComboFault.REPEATED_LEG),
        ([(C100, 0), (C110, 1)], ComboFault.WRONG_RATIO),
        ([(C100, 1), (C110, -RATIO_MAX - 1)], ComboFault.WRONG_RATIO),
        ([(C100, 1), (option(3500, underlying_id=2), 1)], ComboFault.MIXED_UNDERLYINGS),
        ([(option(100 + i), 81) for i in range(5)], ComboFault.WRONG_RATIO),
        ([(C100, 1), (C110, -RATIO_MAX)], None),
        ([(option(100 + i), 80) for i in range(5)], None),
        ([(option(100 + i), 1) for i in range(17)], None),
        ([(C100, 1), (C110, 1), (C120, 1), (C130, 1)], None),
    ],
)
def test_legs_are_checked_in_order(legs, fault):
    assert check_legs([Leg(*leg) for leg in legs]) == fault


@pytest.mark.parametrize(
    ("given", "legs", "factor"),
    [
        ([(C100, 1), (C110, -1)], [(C100, 1), (C110, -1)], 1),
        ([(C110, -1), (C100, 1)], [(C100, 1), (C110, -1)], 1),
        ([(C110, 1), (C100, -1)], [(C100, 1), (C110, -1)], -1),
        ([(C110, 4), (C100, -2)], [(C100, 1), (C110, -2)], -2),
        ([(C120, 3), (C110, -6), (C100, 3)], [(C100, 1), (C110, -2), (C120, 1)], 3),
    ],
)
def test_every_way_to_write_a_combo_has_one_form(given, legs, factor):
    found = canonical([Leg(*leg) for leg in given])
    assert found == (tuple(Leg(*leg) for leg in legs), factor)
    assert [Leg(i, r * factor) for i, r in found.legs] == sorted(Leg(*leg) for leg in given)


def test_legs_with_a_fault_have_no_form():
    with pytest.raises(AssertionError):
        canonical([Leg(C100, 1)])


def test_net_price_is_the_signed_sum_of_leg_prices():
    legs = (Leg(C100, 1), Leg(C110, -2), Leg(C120, 1))
    assert net_price(legs, (9_000, 5_000, 600)) == -400


@pytest.mark.parametrize(
    ("legs", "kind"),
    [
        ([(C100, 1), (C110, -1)], ComboKind.SPREAD),
        ([(C100, 1), (option(100_000, expiry=JAN), -1)], ComboKind.SPREAD),
        ([(future(DEC), 1), (future(JAN), -1)], ComboKind.SPREAD),
        ([(PERPETUAL, 1), (future(JAN), -1)], ComboKind.SPREAD),
        ([(C100, 1), (C110, -2)], ComboKind.RATIO_SPREAD),
        ([(C100, 1), (C110, 1)], ComboKind.OTHER),
        ([(C100, 1), (P100, 1)], ComboKind.STRADDLE),
        ([(C110, 1), (P100, 1)], ComboKind.STRANGLE),
        ([(C110, 1), (P100, -1)], ComboKind.RISK_REVERSAL),
        ([(C100, 1), (P100, -1)], ComboKind.SYNTHETIC),
        ([(C100, 1), (P100, 2)], ComboKind.OTHER),
        ([(C100, 1), (option(100_000, "P", JAN), 1)], ComboKind.OTHER),
        ([(C100, 1), (future(DEC), -1)], ComboKind.OTHER),
        ([(P100, 1), (PERPETUAL, 1)], ComboKind.OTHER),
        ([(C100, 1), (P100, -1), (C110, -1), (P110, 1)], ComboKind.BOX),
        ([(C100, 1), (P100, -1), (C110, -1), (P110, 2)], ComboKind.OTHER),
        ([(C100, 1), (P100, 1), (C110, -1), (P110, -1)], ComboKind.OTHER),
        ([(C100, 1), (P100, -1), (C110, -1), (option(110_000, "P", JAN), 1)], ComboKind.OTHER),
        ([(P100, 1), (C110, -1), (C120, -1), (C130, 1)], ComboKind.OTHER),
        ([(C100, 1), (C110, -2), (C120, 1)], ComboKind.OTHER),
    ],
)
def test_structures_by_name(legs, kind):
    given = [Leg(*leg) for leg in legs]
    assert combo_kind(canonical(given).legs) is kind
    assert combo_kind(canonical([Leg(i, -r) for i, r in given]).legs) is kind


@pytest.mark.parametrize(
    ("legs", "name"),
    [
        ([(C100, 1), (C110, -1)], "CS-25DEC26-100000_110000"),
        ([(P100, 1), (P110, -1)], "PS-25DEC26-100000_110000"),
        ([(C100, 1), (option(100_000, expiry=JAN), -1)], "CCAL-25DEC26_22JAN27-100000"),
        ([(C110, 1), (option(100_000, expiry=JAN), -1)], "CDIAG-25DEC26_22JAN27-110000_100000"),
        ([(P100, 1), (option(100_000, "P", JAN), -1)], "PCAL-25DEC26_22JAN27-100000"),
        ([(future(DEC), 1), (future(JAN), -1)], "FS-25DEC26_22JAN27"),
        ([(PERPETUAL, 1), (future(JAN), -1)], "FS-PERP_22JAN27"),
        ([(C100, 1), (P100, 1)], "STRD-25DEC26-100000"),
        ([(C110, 1), (P100, 1)], "STRG-25DEC26-100000_110000"),
        ([(C110, -1), (P100, 1)], "RR-25DEC26-100000_110000"),
        ([(C100, 1), (P100, -1)], "SYN-25DEC26-100000"),
        ([(C100, 1), (P100, -1), (C110, -1), (P110, 1)], "BOX-25DEC26-100000_110000"),
        ([(C100, 1), (C110, -2)], "CMB-1x25DEC26-100000-C_m2x25DEC26-110000-C"),
        ([(C100, 1), (P110, 1)], "CMB-1x25DEC26-100000-C_1x25DEC26-110000-P"),
        ([(C100, 1), (P110, -1)], "CMB-1x25DEC26-100000-C_m1x25DEC26-110000-P"),
        ([(PERPETUAL, 1), (P100, 1)], "CMB-1x25DEC26-100000-P_1xPERPETUAL"),
    ],
)
def test_a_combo_is_named_by_its_structure(legs, name):
    form = canonical([Leg(*leg) for leg in legs]).legs
    assert combo_name("BTC", form) == f"BTC_USDC-{name}"
