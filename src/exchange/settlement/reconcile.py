"""Journal against chain, account by account, at one block and one batch.

The block is the last one that the journal observed: up to there it knows every deposit, and the
chain says how many batches it had settled. Reports differences, repairs nothing.
"""

from typing import Final

import msgspec

from exchange.commands import Configure
from exchange.events import Configured
from exchange.fixed import to_nanoseconds
from exchange.journal import JournalReader
from exchange.settlement.chain import BlockName, Chain
from exchange.settlement.cursor import BlockCursor, follow_blocks
from exchange.settlement.errors import ChainUnavailable, NodeRefused, ReorgDetected
from exchange.settlement.holdings import Held, Holdings, expected_holdings
from exchange.settlement.margin_proof import parameters_hash

# What Anvil, geth, erigon and reth say of a state that they no longer keep.
_FORGOTTEN: Final = ("BlockOutOfRange", "missing trie node", "historical state", "pruned")


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One figure on which journal and chain disagree; `instrument_id` 0 means cash, or a token.

    `figure` is the token's name, or what of a position: its quantity, its cost or the funding
    index up to which it paid.
    """

    subaccount_id: int
    instrument_id: int
    expected: int
    on_chain: int
    figure: str = "quantity"

    def __str__(self) -> str:
        what = "cash" if self.figure == "quantity" else self.figure
        if self.instrument_id:
            what = f"{self.figure} in {self.instrument_id}"
        return (
            f"subaccount {self.subaccount_id}: {what} should be {self.expected}, "
            f"the chain has {self.on_chain}"
        )


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared, and the differences in order of subaccount and instrument."""

    block: int
    batch: int
    settled_seq: int
    accounts: int
    figures: int
    differences: tuple[Difference, ...]
    parameters_differ: bool = False  # Margin does not hold the engine's


def reconcile(reader: JournalReader, chain: Chain) -> Reconciliation:
    """Compare every subaccount of the journal with the chain; raises `ChainError`."""
    cursor = BlockCursor()
    venue: Configure | None = None
    for entry in reader.entries():
        cursor = follow_blocks(cursor, entry)
        if isinstance(entry.command, Configure) and any(
            isinstance(event, Configured) for event in entry.events
        ):
            venue = entry.command
    if cursor.block == 0:  # nothing was observed, so there is nothing to compare
        return Reconciliation(
            block=0, batch=0, settled_seq=0, accounts=0, figures=0, differences=()
        )
    if chain.block_hash(cursor.block) != cursor.block_hash:
        raise ReorgDetected(
            f"block {cursor.block}, which the journal observed, is not on the chain"
        )
    # By name where possible: a node that lost its old states still has the newest.
    block: BlockName = "latest" if chain.head() == cursor.block else cursor.block
    try:
        found = _reconcile_at(block, cursor, reader, chain)
        if block == "latest" and chain.head() != cursor.block:  # it went on: ask for the very block
            found = _reconcile_at(cursor.block, cursor, reader, chain)
    except NodeRefused as error:
        if not any(words in error.message for words in _FORGOTTEN):
            raise
        raise ChainUnavailable(
            f"no state of block {cursor.block}, the newest that the journal observed: {error}. "
            "Ask again when the journal has observed a newer one, or ask an archive node"
        ) from error
    differ = venue is not None and compare_parameters(venue, chain)
    return msgspec.structs.replace(found, parameters_differ=differ)


def compare_parameters(venue: Configure, chain: Chain) -> bool:
    """Whether Margin would refuse the engine's parameters, or price bands fills of the engine.

    Where the deployment names a Margin, and governance set bands.
    """
    if _bands_are_narrower(venue, chain):
        return True
    if not chain.deployment.margin:
        return False
    return chain.parameters_hash() != parameters_hash(venue.margin, venue.collaterals)


def _bands_are_narrower(venue: Configure, chain: Chain) -> bool:
    rules, bands = venue.publication, chain.price_bands()
    if not any(bands):
        return False
    if rules is None:
        return True  # the chain wants marks, and none are published
    option_rate, linear_rate, age_max_s = bands
    wide = rules.band_rate > option_rate or rules.linear_band_rate > linear_rate
    return wide or rules.age_max_ns > to_nanoseconds(age_max_s)


def _reconcile_at(
    block: BlockName, cursor: BlockCursor, reader: JournalReader, chain: Chain
) -> Reconciliation:
    tip = chain.last_batch(block=block)
    holdings = expected_holdings(
        reader.entries(), settled_seq=tip.last_seq, observed_seq=cursor.seq
    )
    holdings.check()
    differences, figures = _compare(holdings, chain, block)
    return Reconciliation(
        block=cursor.block,
        batch=tip.number,
        settled_seq=tip.last_seq,
        accounts=len(holdings.cash),
        figures=figures,
        differences=tuple(differences),
    )


def _compare(holdings: Holdings, chain: Chain, block: BlockName) -> tuple[list[Difference], int]:
    """Differences and the number of figures compared, those that should be zero included."""
    instrument_ids = sorted({instrument_id for _, instrument_id in holdings.positions})
    differences = [
        difference
        for subaccount_id in sorted(holdings.cash)
        for difference in (
            *_compare_cash(holdings, chain, subaccount_id, instrument_ids, block),
            *_compare_tokens(holdings, chain, subaccount_id, block),
        )
    ]
    each = 1 + len(Held._fields) * len(instrument_ids) + len(_names(holdings, chain))
    return differences, len(holdings.cash) * each


def compare_account(
    holdings: Holdings, chain: Chain, subaccount_id: int, block: BlockName
) -> list[Difference]:
    """Cash, the positions that the journal knows of, and tokens of one subaccount."""
    instrument_ids = sorted({key for holder, key in holdings.positions if holder == subaccount_id})
    return [
        *_compare_cash(holdings, chain, subaccount_id, instrument_ids, block),
        *_compare_tokens(holdings, chain, subaccount_id, block),
    ]


def _compare_cash(
    holdings: Holdings,
    chain: Chain,
    subaccount_id: int,
    instrument_ids: list[int],
    block: BlockName,
) -> list[Difference]:
    cash, held = chain.cash_and_positions(subaccount_id, instrument_ids, block=block)
    expected = _figures(holdings.cash[subaccount_id], holdings.positions_of(subaccount_id))
    on_chain = _figures(cash, held)
    return [
        Difference(
            subaccount_id=subaccount_id,
            instrument_id=instrument_id,
            expected=expected.get((instrument_id, figure), 0),
            on_chain=on_chain.get((instrument_id, figure), 0),
            figure=figure,
        )
        for instrument_id, figure in sorted(expected.keys() | on_chain.keys())
        if expected.get((instrument_id, figure), 0) != on_chain.get((instrument_id, figure), 0)
    ]


def _compare_tokens(
    holdings: Holdings, chain: Chain, subaccount_id: int, block: BlockName
) -> list[Difference]:
    """Of all tokens: what nobody should have is a difference as well."""
    found = []
    for token, name in _names(holdings, chain).items():
        expected = holdings.tokens.get((subaccount_id, token), 0)
        on_chain = chain.token_held(subaccount_id, token, block)
        if expected != on_chain:
            found.append(
                Difference(
                    subaccount_id=subaccount_id,
                    instrument_id=0,
                    expected=expected,
                    on_chain=on_chain,
                    figure=name,
                )
            )
    return found


def _names(holdings: Holdings, chain: Chain) -> dict[str, str]:
    """Tokens that the deployment or the journal knows, by address; else the address is the name."""
    known = {token: coin for coin, token in sorted(chain.deployment.tokens.items())}
    return known | {token: token for _, token in sorted(holdings.tokens) if token not in known}


def _figures(cash: int, positions: dict[int, Held]) -> dict[tuple[int, str], int]:
    """All that is compared of one subaccount."""
    return {(0, "quantity"): cash} | {
        (instrument_id, figure): value
        for instrument_id, held in positions.items()
        for figure, value in held._asdict().items()
    }
