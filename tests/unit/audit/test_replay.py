"""The audit finds what was changed, and says where."""

from pathlib import Path

import msgspec
import pytest
from tests.signed_venue import (
    TAKER,
    auctioned_venue,
    bracketed_venue,
    funded_venue,
    moved_venue,
    place_signed,
    quoted_venue,
    traded_venue,
    write_journal,
)
from tests.venue import CLEARING, EXPIRY_S, NS, START_S, C, Venue, listing

from exchange.audit import Difference, Replay
from exchange.bootstrap.parameters import first_parameters
from exchange.commands import (
    AccrueFunding,
    CutBatch,
    ListInstruments,
    MassQuote,
    PlaceLinked,
    PlaceOrder,
    TransferFunds,
    UpdateIndex,
)
from exchange.engine import Engine
from exchange.events import BatchCut, FundingAccrued, Traded
from exchange.journal import EntryEncoder, Journal, JournalReader
from exchange.margin.market import ExpiryMarket, Market, UnderlyingMarket
from exchange.margin.risk_arrays import build_update
from exchange.margin.scenarios import load_preset
from exchange.margin.surface import FlatSurface
from exchange.model import Side, Underlying
from exchange.settlement.deployment import Deployment


def replay(path: Path) -> Replay:
    run = Replay(JournalReader(str(path)))
    run.run()
    return run


def journal_of(venue: Venue, tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    write_journal(venue, path)
    return path


def difference(path: Path) -> Difference:
    with pytest.raises(Difference) as caught:
        replay(path)
    return caught.value


def test_a_clean_journal_replays_to_the_same_state(tmp_path: Path) -> None:
    """Counts are those of the venue, the state hash is the engine's."""
    venue = traded_venue()
    venue.send(CutBatch())
    run = replay(journal_of(venue, tmp_path))
    assert run.figures.commands == len(venue.entries)
    assert (run.figures.signatures, run.figures.batches, run.figures.state_hashes) == (4, 1, 1)
    assert run.figures.state_hash == venue.engine.state_hash().hex()


def test_funding_is_audited(tmp_path: Path) -> None:
    """Entry costs and funding replay from the journal, and an index that did not move is found."""
    venue = funded_venue()
    run = replay(journal_of(venue, tmp_path))
    assert run.figures.state_hash == venue.engine.state_hash().hex()
    assert run.figures.batches == 1
    assert run.engine.total_cash() == 2_000_000 * 10**6
    seq, time_ns, command, events = next(
        entry for entry in venue.entries if isinstance(entry[2], AccrueFunding)
    )
    moved = next(event for event in events if isinstance(event, FundingAccrued))
    forged = msgspec.structs.replace(moved, index=moved.index + 10_000)
    changed = tuple(forged if event is moved else event for event in events)
    venue.entries[seq - 1] = (seq, time_ns, command, changed)
    folder = tmp_path / "forged"
    folder.mkdir()
    assert difference(journal_of(venue, folder)).seq == seq


def test_tokens_and_transfers_are_audited(tmp_path: Path) -> None:
    """Both signatures count, and a token that nobody deposited is found."""
    venue = moved_venue()
    assert replay(journal_of(venue, tmp_path)).figures.signatures == 2
    seq, time_ns, command, events = next(
        entry for entry in venue.entries if isinstance(entry[2], TransferFunds)
    )
    forged = msgspec.structs.replace(command, signature=bytes(65))
    venue.entries[seq - 1] = (seq, time_ns, forged, events)
    folder = tmp_path / "forged"
    folder.mkdir()
    assert difference(journal_of(venue, folder)).seq == seq


def test_tokens_out_of_nowhere_are_found(tmp_path: Path) -> None:
    """The engine's tokens are those of the deposits, less what left."""
    run = Replay(JournalReader(str(journal_of(moved_venue(), tmp_path))))
    run._tokens["0xbad"] = 1
    with pytest.raises(Difference, match="tokens are"):
        run.run()


def test_a_sheet_is_held_to_its_signature(tmp_path: Path) -> None:
    """One signature a sheet; another quote under it is found."""
    venue = quoted_venue()
    assert replay(journal_of(venue, tmp_path)).figures.signatures == 2 + 3
    (tmp_path / "forged").mkdir()
    at, (seq, time_ns, command, events) = next(
        (at, entry) for at, entry in enumerate(venue.entries) if isinstance(entry[2], MassQuote)
    )
    forged = msgspec.structs.replace(command, signature=bytes(65))
    venue.entries[at] = (seq, time_ns, forged, events)
    found = difference(journal_of(venue, tmp_path / "forged"))
    assert (found.seq, "signature" in found.text) == (seq, True)


def test_a_bid_for_a_liquidated_account_is_held_to_its_signature(tmp_path: Path) -> None:
    """A slice or a takeover has none, a keeper's bid must have its own."""
    venue = auctioned_venue()
    assert replay(journal_of(venue, tmp_path)).figures.signatures == 2 + 1
    (tmp_path / "forged").mkdir()
    seq, time_ns, command, events = venue.entries[-1]
    forged = msgspec.structs.replace(command, signature=bytes(65))
    venue.entries[-1] = (seq, time_ns, forged, events)
    found = difference(journal_of(venue, tmp_path / "forged"))
    assert (found.seq, "signature" in found.text) == (seq, True)


def change_event(venue: Venue, kind: type, **changes: object) -> int:
    """Falsify the first event of a kind; its seq."""
    for index, (seq, time_ns, command, events) in enumerate(venue.entries):
        if any(isinstance(event, kind) for event in events):
            false = tuple(
                msgspec.structs.replace(event, **changes) if isinstance(event, kind) else event
                for event in events
            )
            venue.entries[index] = (seq, time_ns, command, false)
            return seq
    raise AssertionError("no such event")


def test_a_falsified_fill_is_named_by_its_seq(tmp_path: Path) -> None:
    """An operator who rewrites a price in the journal is found."""
    venue = traded_venue()
    seq = change_event(venue, Traded, price=1)
    assert difference(journal_of(venue, tmp_path)).seq == seq


def test_a_falsified_state_hash_is_named_by_its_seq(tmp_path: Path) -> None:
    """The hash that went on chain must be the replay's."""
    venue = traded_venue()
    venue.send(CutBatch())
    seq = change_event(venue, BatchCut, state_hash=bytes(32))
    assert difference(journal_of(venue, tmp_path)).seq == seq


def test_an_order_that_its_owner_did_not_sign_is_found(tmp_path: Path) -> None:
    """The engine trusts the gateway's recovery; the audit does not."""
    venue = traded_venue()
    taker = venue.engine.subaccounts_of(TAKER)[0]
    terms = venue.terms(taker, Side.BUY, 1, 100)
    venue.send(PlaceOrder(terms=terms, signature=b"\x01" * 65))
    assert difference(journal_of(venue, tmp_path)).seq == len(venue.entries)


def test_what_a_contract_confirmed_is_counted_apart(tmp_path: Path) -> None:
    """Where the journal says that a node did; the same without that word is a difference."""
    venue = traded_venue()
    taker = venue.engine.subaccounts_of(TAKER)[0]
    asked = venue.withdrawal(taker, 1)
    venue.send(msgspec.structs.replace(asked, signature=b"by the board", by_contract=True))
    figures = replay(journal_of(venue, tmp_path)).figures
    assert (figures.signatures, figures.contract_signatures) == (4, 1)
    seq, time_ns, command, events = venue.entries[-1]
    forged = msgspec.structs.replace(command, by_contract=False)
    venue.entries[-1] = (seq, time_ns, forged, events)
    folder = tmp_path / "forged"
    folder.mkdir()
    assert difference(journal_of(venue, folder)).seq == seq


def test_bytes_changed_on_disk_break_the_hash_chain(tmp_path: Path) -> None:
    """One flipped bit in the stored commands is found before anything is believed."""
    import sqlite3

    path = journal_of(traded_venue(), tmp_path)
    with sqlite3.connect(path) as database:
        (blob,) = database.execute(
            "SELECT commands FROM journal_batches WHERE first_seq = 4"
        ).fetchone()
        damaged = blob[:-1] + bytes([blob[-1] ^ 1])
        database.execute("UPDATE journal_batches SET commands = ? WHERE first_seq = 4", (damaged,))
    database.close()
    found = difference(path)
    assert 4 <= found.seq <= 7


def test_a_state_hash_without_a_batch_is_found(tmp_path: Path) -> None:
    """Checkpoints belong to batches."""
    import sqlite3

    path = journal_of(traded_venue(), tmp_path)
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO journal_checkpoints VALUES (0, 3, ?)", (bytes(32),))
    database.close()
    assert difference(path).seq == 3


def test_signed_orders_replay_in_two_processes_alike(tmp_path: Path) -> None:
    """The state hash does not depend on the process that computes it."""
    import os
    import subprocess
    import sys

    venue = traded_venue()
    place_signed(venue, venue.terms(venue.engine.subaccounts_of(TAKER)[0], Side.BUY, 1, 100))
    path = journal_of(venue, tmp_path)
    script = (
        "import sys; from exchange.audit import Replay; from exchange.journal import JournalReader;"
        "print(Replay(JournalReader(sys.argv[1])).run().state_hash)"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", script, str(path)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1")
    }
    assert hashes == {venue.engine.state_hash().hex()}


def test_every_signature_of_a_linked_command_is_checked(tmp_path: Path) -> None:
    """One false secondary is enough."""
    venue = bracketed_venue()
    assert replay(journal_of(venue, tmp_path)).figures.signatures == 6
    seq, time_ns, command, events = next(
        entry for entry in venue.entries if isinstance(entry[2], PlaceLinked)
    )
    forged = msgspec.structs.replace(command.orders[2], signature=b"\x01" * 65)
    orders = (*command.orders[:2], forged)
    false = msgspec.structs.replace(command, orders=orders)
    venue.entries[seq - 1] = (seq, time_ns, false, events)
    folder = tmp_path / "false"
    folder.mkdir()
    assert difference(journal_of(venue, folder)).seq == seq


def marked_journal(path: Path, *, falsify: bool) -> Path:
    """A real preset's first epoch, with its own root or another."""
    deployment = Deployment(
        chain_id=31_337,
        clearing=CLEARING,
        oracle=CLEARING,
        usdc=CLEARING,
        access_manager=CLEARING,
        genesis_hash="0x",
        block=1,
    )
    market = Market(
        time_ns=START_S * NS,
        underlyings=(
            UnderlyingMarket(
                underlying_id=1,
                index_price=100_000.0,
                confidence=1.0,
                perpetual_price=100_000.0,
                surface=FlatSurface(0.6),
                expiries=(
                    ExpiryMarket(
                        expiry=EXPIRY_S, forward_price=100_000.0, fixed_price=0.0, rate=0.0
                    ),
                ),
            ),
        ),
        stablecoin_price=1.0,
    )
    update = build_update(load_preset("pm33"), market, [C], 1)
    commands = (
        first_parameters(deployment, (Underlying(underlying_id=1, name="BTC"),)),
        ListInstruments(listings=(listing(C),)),
        UpdateIndex(underlying_id=1, index_price=100_000 * 10**6, confidence=10**18),
        msgspec.structs.replace(update, root=bytes(32)) if falsify else update,
    )
    engine, encoder = Engine(), EntryEncoder()
    with Journal(str(path)) as journal:
        for seq, command in enumerate(commands, start=1):
            time_ns = START_S * NS + seq
            events = engine.apply(seq, time_ns, command)
            entry, record = encoder.stamp(time_ns, command, events)
            journal.append([entry], [record])
    return path


def test_a_root_that_is_not_that_of_its_rows_is_found(tmp_path: Path) -> None:
    """What goes on chain for margin proofs must be what the engine used."""
    honest = marked_journal(tmp_path / "honest.db", falsify=False)
    assert Replay(JournalReader(str(honest)), roots=True).run().commands == 4
    false = marked_journal(tmp_path / "false.db", falsify=True)
    with pytest.raises(Difference, match="seq 4: epoch 1") as caught:
        Replay(JournalReader(str(false)), roots=True).run()
    assert caught.value.seq == 4


def test_a_replay_may_end_early(tmp_path):
    """At any seq the state is that of the engine then."""
    venue = traded_venue()
    path = journal_of(venue, tmp_path)
    engine = Engine()
    for seq, time_ns, command, _ in venue.entries[:-1]:
        engine.apply(seq, time_ns, command)
        figures = Replay(JournalReader(str(path)), until_seq=seq).run()
        assert (figures.commands, figures.state_hash) == (seq, engine.state_hash().hex())
