"""Methods about money and margin: withdrawals, transfers, what margin is and what it would be.

Withdrawals and transfers carry their owner's signature and need no session; everything else does.
"""

from collections.abc import Mapping
from functools import cache, partial
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from exchange.api.dispatch import Method, private_method
from exchange.api.errors import InvalidParams
from exchange.api.gateway import Caller, Gateway
from exchange.api.methods_private import own_order
from exchange.api.ports import EngineState, Simulation
from exchange.api.results import Result, summary_of_account
from exchange.api.schemas import (
    Address,
    Contracts,
    Deadline,
    InstrumentName,
    Nonce,
    OrderId,
    Params,
    Price,
    Signature,
    SubaccountId,
    SubaccountParams,
    cash_number,
    decimal_field,
    parse_address,
    parse_hex,
    parse_price,
    parse_quantity,
    parse_signed_quantity,
    parse_signed_usdc,
    parse_token,
    parse_usdc,
    quantity_number,
    ratio_number,
    token_number,
)
from exchange.commands import Collateral, MarginParameters, TransferFunds
from exchange.commands import Withdraw as WithdrawCommand
from exchange.fixed import RATIO_SCALE
from exchange.margin.collateral import stretched_spots
from exchange.margin.order import MarginOrder
from exchange.margin.scenarios import PRESETS, load_preset
from exchange.model import TransferTerms, WithdrawalTerms
from exchange.signing import transfer_digest, withdrawal_digest

LEGS_MAX: Final = 500  # of one simulated portfolio
ORDERS_MAX: Final = 100  # that one call may ask the margin of

TokenName = Annotated[
    str, Meta(max_length=16, description="USDC, or a collateral token", examples=["WETH"])
]
Money = Annotated[
    msgspec.Raw,
    decimal_field("USDC with at most 6 decimals, another token with at most 8", "100"),
]
Signed = Annotated[msgspec.Raw, decimal_field("Signed; a number or a string", "-1.5")]

OwnerSignature = Annotated[
    str,
    Meta(
        max_length=2_050,
        pattern="^0x([0-9a-fA-F]{2})*$",
        description="As any; of an owner that is a contract whatever it confirms (EIP-1271)",
    ),
]


class WithdrawParams(Params, frozen=True, kw_only=True):
    """A withdrawal signed by the owner."""

    currency: TokenName = "USDC"
    amount: Money
    address: Address
    subaccount_id: SubaccountId
    nonce: Nonce
    deadline: Deadline
    signer: Address
    signature: OwnerSignature


class TransferParams(Params, frozen=True, kw_only=True):
    """A transfer signed by the owner of both subaccounts."""

    currency: TokenName = "USDC"
    amount: Money
    source: SubaccountId
    destination: SubaccountId
    nonce: Nonce
    deadline: Deadline
    signer: Address
    signature: Signature


class SimulateParams(SubaccountParams, frozen=True, kw_only=True):
    """A hypothetical portfolio; positions are traded at their marks."""

    currency: TokenName = "USDC"
    add_positions: bool = True  # to what the subaccount has, open orders included
    simulated_positions: dict[InstrumentName, Signed] = msgspec.field(default_factory=dict)
    simulated_collateral: dict[TokenName, Signed] = msgspec.field(default_factory=dict)
    simulated_cash: Signed = msgspec.field(default_factory=lambda: msgspec.Raw(b"0"))


class MarginsParams(SubaccountParams, frozen=True, kw_only=True):
    """An order to ask about."""

    instrument_name: InstrumentName
    amount: Contracts
    price: Price


class OrderMarginsParams(Params, frozen=True, kw_only=True):
    """Orders to ask about."""

    ids: Annotated[list[OrderId], Meta(min_length=1, max_length=ORDERS_MAX)]


# -- money ----------------------------------------------------------------------------------------


def _token(gateway: Gateway, currency: str) -> Collateral | None:
    """The token of a name; None is USDC."""
    if currency.upper() == "USDC":
        return None
    for asset in gateway.configured().collaterals:
        if asset.name == currency.upper():
            return asset
    raise InvalidParams(f"{currency} is neither USDC nor a collateral token", "currency")


def _amount(token: Collateral | None, raw: msgspec.Raw) -> int:
    return parse_token(raw) if token else parse_usdc(raw)


def _shown(token: Collateral | None, amount: int) -> msgspec.Raw:
    return token_number(amount) if token else cash_number(amount)


async def withdraw(gateway: Gateway, _: Caller, params: WithdrawParams) -> Result:
    """Takes cash or a token out by the owner's signature; the next settlement batch pays it."""
    token = _token(gateway, params.currency)
    terms = WithdrawalTerms(
        subaccount_id=params.subaccount_id,
        token=token.token if token else gateway.configured().collateral,
        amount=_amount(token, params.amount),
        recipient=parse_address(params.address, "address"),
        nonce=params.nonce,
        deadline=params.deadline,
        signer=parse_address(params.signer, "signer"),
    )
    signature = parse_hex(params.signature, "signature")
    digest = withdrawal_digest(gateway.domain(), terms)
    by_contract = await gateway.check_owner(digest, signature, terms.signer, terms.subaccount_id)
    command = WithdrawCommand(terms=terms, signature=signature, by_contract=by_contract)
    reply = await gateway.submit(command)
    return {
        "id": reply.seq,
        "currency": params.currency.upper(),
        "amount": _shown(token, terms.amount),
        "address": terms.recipient,
        "state": "unconfirmed",
        "subaccount_id": terms.subaccount_id,
        "nonce": terms.nonce,
    } | gateway.receipt(reply)


async def submit_transfer_between_subaccounts(
    gateway: Gateway, _: Caller, params: TransferParams
) -> Result:
    """Moves cash or a token to another subaccount of the same owner, by the owner's signature."""
    token = _token(gateway, params.currency)
    terms = TransferTerms(
        subaccount_id=params.source,
        to_subaccount_id=params.destination,
        token=token.token if token else gateway.configured().collateral,
        amount=_amount(token, params.amount),
        nonce=params.nonce,
        deadline=params.deadline,
        signer=parse_address(params.signer, "signer"),
    )
    signature = parse_hex(params.signature, "signature")
    await gateway.check_signature(transfer_digest(gateway.domain(), terms), signature, terms.signer)
    reply = await gateway.submit(TransferFunds(terms=terms, signature=signature))
    return {
        "id": reply.seq,
        "type": "subaccount",
        "direction": "payment",
        "currency": params.currency.upper(),
        "amount": _shown(token, terms.amount),
        "source": terms.subaccount_id,
        "other_side": str(terms.to_subaccount_id),
        "state": "confirmed",
        "nonce": terms.nonce,
    } | gateway.receipt(reply)


# -- margin ---------------------------------------------------------------------------------------


async def get_margins(gateway: Gateway, caller: Caller, params: MarginsParams) -> Result:
    """What initial margin an order would take, bought or sold, fees aside."""
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    instrument = gateway.instrument(params.instrument_name)
    price, quantity = parse_price(params.price), parse_quantity(params.amount)
    if gateway.view.mark(instrument.instrument_id) is None or not quantity:
        raise InvalidParams("needs a mark and an amount", "instrument_name")
    number = instrument.instrument_id
    orders = [MarginOrder(number, sign, quantity, price, 0) for sign in (1, -1)]
    taken, band = await gateway.sequencer.read(
        lambda engine: (
            [engine.order_margin(subaccount_id, order) for order in orders],
            engine.price_band(number),
        )
    )
    assert band is not None, "the engine is not behind what the gateway has seen"
    return {
        "instrument_name": instrument.name,
        "buy": cash_number(taken[0]),
        "sell": cash_number(taken[1]),
        "min_price": cash_number(max(instrument.tick_size, band[0])),
        "max_price": cash_number(band[1]),
    }


async def get_order_margin_by_ids(
    gateway: Gateway, caller: Caller, params: OrderMarginsParams
) -> list[Result]:
    """By how much the initial margin would fall without each order alone."""
    asked: dict[int, list[int]] = {}
    for one in params.ids:
        order = own_order(gateway, caller, one, "ids")
        asked.setdefault(order.subaccount_id, []).append(order.order_id)
    taken = await gateway.sequencer.read(partial(_resting_margins, asked))
    return [
        {
            "order_id": str(order_id),
            "initial_margin": cash_number(taken[order_id]),
            "initial_margin_currency": "USDC",
        }
        for order_id in map(int, params.ids)
    ]


def _resting_margins(asked: dict[int, list[int]], engine: EngineState) -> dict[int, int]:
    taken: dict[int, int] = {}
    for subaccount_id, order_ids in asked.items():
        taken |= engine.resting_margins(subaccount_id, order_ids)
    return taken


async def simulate_portfolio(gateway: Gateway, caller: Caller, params: SimulateParams) -> Result:
    """Margin of a hypothetical portfolio, scenario by scenario, before and after."""
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    if len(params.simulated_positions) > LEGS_MAX:
        raise InvalidParams(f"at most {LEGS_MAX} positions", "simulated_positions")
    positions = {
        _marked(gateway, name): parse_signed_quantity(raw, "simulated_positions")
        for name, raw in params.simulated_positions.items()
    }
    collateral = _collateral(gateway, params.simulated_collateral)
    cash = parse_signed_usdc(params.simulated_cash, "simulated_cash")
    before, after = await gateway.sequencer.read(
        partial(_simulate, subaccount_id, positions, collateral, cash, added=params.add_positions)
    )
    return _simulated(gateway, subaccount_id, before, after)


def _marked(gateway: Gateway, name: str) -> int:
    instrument = gateway.instrument(name)
    if gateway.view.mark(instrument.instrument_id) is None:
        raise InvalidParams(f"{name} has no mark", "simulated_positions")
    return instrument.instrument_id


def _collateral(gateway: Gateway, given: Mapping[str, msgspec.Raw]) -> dict[int, int]:
    amounts = {}
    for name, raw in given.items():
        token = _token(gateway, name)
        if token is None:
            raise InvalidParams("USDC is simulated_cash", "simulated_collateral")
        amounts[token.asset_id] = parse_token(raw, "simulated_collateral", signed=True)
    return amounts


def _simulate(
    subaccount_id: int,
    positions: dict[int, int],
    collateral: dict[int, int],
    cash: int,
    engine: EngineState,
    *,
    added: bool,
) -> tuple[Simulation, Simulation]:
    before = engine.simulate(subaccount_id, {}, {}, 0)
    return before, engine.simulate(subaccount_id, positions, collateral, cash, added=added)


def _simulated(
    gateway: Gateway, subaccount_id: int, before: Simulation, after: Simulation
) -> Result:
    """The account summary of what would be, with Deribit's projections and our matrix."""
    parameters = gateway.configured()
    view = gateway.view
    summary = summary_of_account(view, subaccount_id, after.summary)
    names = {asset.asset_id: asset.name for asset in parameters.collaterals}
    return summary | {
        "projected_initial_margin": cash_number(after.summary.initial_margin),
        "projected_maintenance_margin": cash_number(after.summary.maintenance_margin),
        "current_initial_margin": cash_number(before.summary.initial_margin),
        "current_maintenance_margin": cash_number(before.summary.maintenance_margin),
        "current_initial_excess": cash_number(before.summary.initial_excess),
        "current_maintenance_excess": cash_number(before.summary.maintenance_excess),
        "positions": {
            view.instruments[number].name: quantity_number(quantity)
            for number, quantity in after.positions.items()
        },
        "collateral": {
            names[asset_id]: token_number(amount) for asset_id, amount in after.collateral.items()
        },
        "epoch": view.marks.command.epoch if view.marks else 0,
        "scenarios": _scenarios(parameters.margin),
        "scenario_spots": _stretched(gateway),
        "groups": [
            {
                "underlyings": [view.underlying_name(member) for member in one.underlying_ids],
                "isolated": [names[asset_id] for asset_id in one.asset_ids],
                "scenarios": [cash_number(result) for result in one.results],
                "basis_contingency": cash_number(one.basis),
                "worst": cash_number(one.worst),
            }
            for one in after.groups
        ],
        "initial_factor": ratio_number(after.initial_factor, RATIO_SCALE),
        "maintenance_factor": ratio_number(after.maintenance_factor, RATIO_SCALE),
        "initial_addons": cash_number(after.initial_addons),
        "maintenance_addons": cash_number(after.maintenance_addons),
    }


def _scenarios(parameters: MarginParameters) -> list[Result]:
    labels = _volatilities(parameters.preset)
    spots = parameters.spots or (RATIO_SCALE,) * len(parameters.weights)
    return [
        {
            "spot": ratio_number(spot, RATIO_SCALE),
            "volatility": labels[at] if at < len(labels) else "",
            "weight": ratio_number(weight, RATIO_SCALE),
        }
        for at, (spot, weight) in enumerate(zip(spots, parameters.weights, strict=True))
    ]


def _stretched(gateway: Gateway) -> Result:
    """By underlying, the spot of each scenario as `AdjustRisk` stretches it in this epoch."""
    view = gateway.view
    margin = gateway.configured().margin
    if view.marks is None or not margin.spots:
        return {}
    return {
        view.underlying_name(one.underlying_id): [
            ratio_number(spot, RATIO_SCALE)
            for spot in stretched_spots(margin.spots, margin.weights, one.scan)
        ]
        for one in view.marks.command.underlyings
    }


@cache
def _volatilities(preset: str) -> tuple[str, ...]:
    if preset not in PRESETS:
        return ()
    return tuple(scenario.volatility.value for scenario in load_preset(preset).scenarios)


MONEY: Final[list[Method[Any]]] = [
    private_method(withdraw, WithdrawParams, matching=True, scope="wallet:read_write"),
    private_method(
        submit_transfer_between_subaccounts,
        TransferParams,
        matching=True,
        scope="wallet:read_write",
    ),
    private_method(get_margins, MarginsParams),
    private_method(get_order_margin_by_ids, OrderMarginsParams),
    private_method(simulate_portfolio, SimulateParams, scope="account:read"),
]
