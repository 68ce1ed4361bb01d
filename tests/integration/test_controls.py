"""Owners' controls and governance on a real Anvil: what the contract logs, the engine obeys."""

from collections.abc import Iterator

import pytest
from tests.settlement_world import DEPLOYER_KEY, MAKER_KEY, World, deploy_options
from tests.venue import CHAIN, C, P, Venue, canceled, contracts, refusals, usdc

from exchange.commands import MassQuote
from exchange.events import CancelReason, GovernanceChanged, RejectReason
from exchange.fixed import RATIO_SCALE
from exchange.model import InstrumentStatus, KeyLimit, KeyScope, Kind, Quote, SheetTerms
from exchange.settlement.batch import encode_call
from exchange.settlement.chain import Chain
from exchange.settlement.deploy import deploy, project_artifacts
from exchange.settlement.errors import NodeRefused, Reverted
from exchange.settlement.governance import Officers, execute, hand_over, schedule
from exchange.settlement.wallet import OwnerWallet
from exchange.signing import address_of

pytestmark = pytest.mark.integration
R = RejectReason
SESSION = address_of(b"\x51" * 32)
GUARDIAN_KEY, ADMIN_KEY = b"\x61" * 32, b"\x62" * 32
DAY_S = 86_400


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("controls"))
    yield world
    world.close()


class Watched:
    """An engine that hears all that a chain's contracts log, block by block."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.venue = Venue()
        self.venue.time_ns = chain.block_time() * 10**9
        self.venue.list_instruments(*CHAIN)
        self.venue.index()
        self.venue.mark(dict.fromkeys(CHAIN, 2_500))
        self.seen = chain.deployment.block - 1
        self.told: list[GovernanceChanged] = []

    def hear(self) -> tuple[object, ...]:
        head = self.chain.head()
        found = self.chain.observations(self.seen + 1, head)
        self.seen = head
        events = self.venue.observe(*(seen for _, seen in found))
        self.told += [event for event in events if isinstance(event, GovernanceChanged)]
        return events


def test_owners_cancel_on_chain_and_the_engine_obeys(world: World) -> None:
    """One order by its nonce, a sheet by its number, a key with all that it signed."""
    wallet = OwnerWallet(world.chain, MAKER_KEY)
    maker = world.script.maker.subaccount_id
    watched = Watched(world.chain)
    venue = watched.venue
    watched.hear()
    wallet.set_session_key(SESSION, venue.now_s + DAY_S)
    watched.hear()
    owner = wallet.address
    venue.sell(maker, 1, 2_500, nonce=10)
    venue.sell(maker, 2, 2_500, nonce=11)
    venue.sell(maker, 3, 2_500, nonce=12, signer=SESSION)
    terms = SheetTerms(
        subaccount_id=maker,
        sheet_nonce=4,
        first_nonce=1_000,
        max_fee=usdc(1_000),
        deadline=venue.now_s + 3_600,
        signer=owner,
    )
    lines = [Quote(one, usdc(2_480), contracts(5), usdc(2_520), contracts(5)) for one in (C, P)]
    lines.sort(key=lambda quote: quote.instrument_id)
    venue.send(MassQuote(terms=terms, quotes=tuple(lines), signature=b""))

    wallet.cancel_nonce(maker, 10)
    assert canceled(watched.hear()) == [(contracts(1), CancelReason.ON_CHAIN)]
    assert refusals(venue.sell(maker, 2, 2_500, nonce=10)) == [R.NONCE_USED]
    wallet.raise_sheet_floor(maker, 5)
    assert canceled(watched.hear()) == [(contracts(5), CancelReason.ON_CHAIN)] * 4
    wallet.set_session_key(SESSION, 0)
    assert canceled(watched.hear()) == [(contracts(3), CancelReason.SESSION_KEY)]
    assert [order.nonce for order in venue.engine.open_orders(maker)] == [11]
    with pytest.raises(Reverted, match="KeyRevoked"):
        wallet.set_session_key(SESSION, venue.now_s + DAY_S)
    void_at = world.chain.call(world.chain.clearing, "nonceVoidAt", maker, 10)
    assert void_at >= world.chain.block_time() + 2 * DAY_S - 60, "later for the contract"


def test_a_scope_on_chain_is_the_engines(world: World) -> None:
    """Kinds, contracts a day and distance from the mark come over as they were granted."""
    wallet = OwnerWallet(world.chain, MAKER_KEY)
    maker = world.script.maker.subaccount_id
    watched = Watched(world.chain)
    watched.hear()
    venue = watched.venue
    key = address_of(b"\x52" * 32)
    scope = KeyScope(
        kinds=(Kind.OPTION,),
        limits=(KeyLimit(underlying_id=1, daily_quantity=contracts(5)),),
        band_rate=RATIO_SCALE // 200,
    )
    wallet.grant_scoped_key(key, venue.now_s + DAY_S, scope)
    watched.hear()
    assert venue.engine._venue.access.scopes == {(wallet.address, key): scope}
    assert refusals(venue.sell(maker, 5, 2_500, signer=key)) == []
    assert refusals(venue.sell(maker, 1, 2_500, signer=key)) == [R.KEY_LIMIT]
    with pytest.raises(Reverted, match="KeyKnown"):
        wallet.grant_scoped_key(key, venue.now_s + DAY_S, scope)
    tag = world.chain.call(world.chain.clearing, "sessionKeyTag", wallet.address, key)
    assert tag & 0xFF == 1 << Kind.OPTION


def test_a_deployment_handed_over_is_governed_with_delays(world: World) -> None:
    """The deployer is left with nothing; the guardian pauses at once, risk waits in the open."""
    guardian, admin = address_of(GUARDIAN_KEY), address_of(ADMIN_KEY)
    chain = governed(world, Officers(admin=admin, guardian=guardian, risk=admin, delay_s=3_600))
    deployment = chain.deployment
    deployer = OwnerWallet(chain, DEPLOYER_KEY)
    rules = set_rules(deployment.usdc, (True, 9, 9, 9))
    pause = chain.calldata(chain.clearing, "pause")
    for key, to, data in (
        (DEPLOYER_KEY, deployment.custody, rules),
        (DEPLOYER_KEY, deployment.clearing, pause),
        (ADMIN_KEY, deployment.clearing, pause),
        (ADMIN_KEY, deployment.custody, rules),
        (GUARDIAN_KEY, deployment.custody, rules),
    ):
        with pytest.raises((Reverted, NodeRefused)):
            chain.transact(key, to, data)

    watched = Watched(chain)
    subaccount_id = deployer.open_subaccount()
    chain.transact(ADMIN_KEY, deployment.access_pass, issue(chain, deployer.address))
    deployer.fund(subaccount_id, 10**9)
    watched.hear()
    assert watched.venue.engine._venue.access.passes[deployer.address] == 2**40
    chain.transact(GUARDIAN_KEY, deployment.clearing, pause)
    watched.hear()
    assert watched.venue.engine.status(C) is InstrumentStatus.HALTED
    with pytest.raises(Reverted, match="NewRiskPaused"):
        deployer.fund(subaccount_id, 10**9)
    deployer.raise_nonce_floor(subaccount_id, 5)

    announce = schedule(deployment.custody, rules)
    chain.transact(ADMIN_KEY, deployment.access_manager, announce)
    carry_out = execute(deployment.custody, rules)
    with pytest.raises(Reverted):
        chain.transact(ADMIN_KEY, deployment.access_manager, carry_out)
    chain.advance_time(chain.block_time() + 3_601)
    with pytest.raises(Reverted, match="CapTooLow"):  # bounds hold for governance too
        chain.transact(ADMIN_KEY, deployment.access_manager, carry_out)
    good = set_rules(deployment.usdc, (False, *[2**79] * 3))
    bands = (10**16, 5 * 10**15, 300)
    narrow = encode_call("setPriceBands", ("(uint64,uint64,uint64)",), (bands,))
    carry_out_later(chain, (deployment.custody, good), (deployment.clearing, narrow))
    assert not chain.call(chain.custody, "rules", deployment.usdc)[0]
    detail = f"token={deployment.usdc} rules=False,{2**79},{2**79},{2**79}"
    assert GovernanceChanged(change="TokenRulesSet", detail=detail) in watched.hear()
    assert watched.venue.engine._venue.access.bands == [bands]
    roles_are_told(watched.told, admin, deployer.address)


def roles_are_told(told: list[GovernanceChanged], admin: str, deployer: str) -> None:
    """Whose each function is, who got and lost a role, what was announced and carried out."""
    names = {event.change for event in told}
    assert names >= {"RoleGranted", "RoleRevoked", "TargetFunctionRoleUpdated"}
    assert names >= {"RoleGuardianChanged", "OperationScheduled", "OperationExecuted"}
    details = [event.detail for event in told]
    assert any(one.startswith(f"roleId=0 account={admin} delay=3600") for one in details)
    assert f"roleId=0 account={deployer}" in details


def set_rules(token: str, rules: tuple[object, ...]) -> bytes:
    return encode_call("setRules", ("address", "(bool,uint80,uint80,uint80)"), (token, rules))


def carry_out_later(chain: Chain, *changes: tuple[str, bytes]) -> None:
    """Announced, waited for, done."""
    manager = chain.deployment.access_manager
    for target, data in changes:
        chain.transact(ADMIN_KEY, manager, schedule(target, data))
    chain.advance_time(chain.block_time() + 3_601)
    for target, data in changes:
        chain.transact(ADMIN_KEY, manager, execute(target, data))


def governed(world: World, officers: Officers) -> Chain:
    """A second venue on the same chain, with passes, handed over."""
    for key in (GUARDIAN_KEY, ADMIN_KEY):
        world.chain.rpc("anvil_setBalance", address_of(key), hex(10**20))
    options = deploy_options(access_pass=True)
    artifacts = project_artifacts()
    deployment = deploy(world.node.url, options, artifacts)
    hand_over(world.chain, DEPLOYER_KEY, deployment, officers)
    return Chain(world.node.url, deployment, artifacts)


def issue(chain: Chain, owner: str) -> bytes:
    """Calldata of a pass that lasts."""
    return encode_call("issue", ("address", "uint64"), (owner, 2**40))
