"""`exchange audit`: the auditor's figures as a table, or the first difference, and an exit code."""

import json
from contextlib import closing
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from exchange.audit import BatchAudit, Difference, Replay, ReplayFigures
from exchange.audit.receipts import check_receipt, read_receipt
from exchange.bootstrap.processes import StartFailed
from exchange.commands import Configure
from exchange.journal import JournalCorrupt, JournalReader, JournalUnavailable
from exchange.settlement.chain import Chain
from exchange.settlement.deploy import project_artifacts
from exchange.settlement.deployment import Deployment
from exchange.settlement.novation import Novations, novations_in
from exchange.settlement.reconcile import Reconciliation, reconcile


class AuditResult(ReplayFigures, kw_only=True, omit_defaults=True):
    """What an audit found. `difference` is empty when there is none."""

    settled_batches: int | None = None  # None: no node was asked
    accounts_on_chain: int | None = None
    difference: str = ""
    seq: int | None = None


def audit(location: str, rpc: str = "", until_seq: int = 0, *, shard: int = 0) -> AuditResult:
    """Replay the journal, all of it or up to a seq; with a node, compare batches and accounts too.

    The venue may be running: the node is asked first, so that each batch that it names was
    journaled before the replay begins.
    """
    try:
        reader = JournalReader(location, shard=shard)
    except JournalUnavailable as error:
        raise StartFailed(str(error)) from error
    with closing(reader):
        return _audited(reader, rpc, until_seq)


def _audited(reader: JournalReader, rpc: str, until_seq: int) -> AuditResult:
    chain = _chain(reader, rpc) if rpc else None
    settled = chain.all_settled() if chain else []
    batches = BatchAudit(_novations(reader))
    run = Replay(reader, witness=batches, roots=True, until_seq=until_seq)
    try:
        figures = run.run()
        result = AuditResult(**msgspec.structs.asdict(figures))
        if chain is not None:
            result.settled_batches = batches.compare(settled)
            reconciled = reconcile(reader, chain)
            _require_equal(reconciled)
            result.accounts_on_chain = reconciled.accounts
    except Difference as found:
        return AuditResult(difference=found.text, seq=found.seq)
    return result


def _novations(reader: JournalReader) -> Novations:
    try:
        return novations_in(reader.entries())
    except JournalCorrupt:
        return {}  # the replay says where


def _chain(reader: JournalReader, rpc: str) -> Chain | None:
    """The chain that the journal names; None while it names none."""
    try:
        commands = (entry.command for entry in reader.entries())
        parameters = next((one for one in commands if isinstance(one, Configure)), None)
    except JournalCorrupt:
        return None  # the replay says where
    if parameters is None:
        return None
    chain = Chain(rpc, _deployment(parameters), project_artifacts())
    chain.verify()
    return chain


def _require_equal(reconciled: Reconciliation) -> None:
    for difference in reconciled.differences:
        raise Difference(reconciled.settled_seq, f"at batch {reconciled.batch} {difference}")


def _deployment(parameters: Configure) -> Deployment:
    """Enough of the deployment to read logs and accounts: all of it is in the journal."""
    return Deployment(
        chain_id=parameters.chain_id,
        clearing=parameters.clearing,
        oracle=parameters.clearing,  # not read
        usdc=parameters.collateral,
        access_manager=parameters.clearing,  # not read
        genesis_hash=parameters.genesis_hash,
        block=0,
    )


def run_audit_receipt(location: str, rpc: str, answer: Path, signer: str, *, shard: int = 0) -> int:
    """Print what a receipt proves; 0 if it holds, and the journal is the chain's."""
    console = Console()
    try:
        receipt = read_receipt(answer.read_bytes())
        with closing(JournalReader(location, shard=shard)) as reader:
            found = check_receipt(reader, receipt, signer)
    except (OSError, msgspec.MsgspecError, JournalUnavailable) as error:
        raise StartFailed(f"{answer}: {error}") from error
    except Difference as error:
        console.print(f"the receipt does not hold: {error}", style="red")
        return 1
    console.print(f"seq {found.seq}: {found.command}, signed by {found.signer or 'nobody'}")
    return run_audit(location, rpc, None, shard=shard) if rpc else 0


def run_audit(
    location: str, rpc: str, json_file: Path | None, until_seq: int = 0, *, shard: int = 0
) -> int:
    """Print the audit; 0 when nothing differs."""
    if rpc and until_seq:
        raise StartFailed("--until is of the journal alone: the chain knows its end only")
    result = audit(location, rpc, until_seq, shard=shard)
    document = msgspec.to_builtins(result)
    if json_file is not None:
        json_file.write_text(json.dumps(document, indent=2) + "\n")
    console = Console()
    if result.difference:
        console.print(f"first difference at seq {result.seq}: {result.difference}", style="red")
        return 1
    table = Table(
        title=f"audit of {location}" + (f", shard {shard}" if shard else ""), show_header=False
    )
    for name, value in document.items():
        table.add_row(name.replace("_", " "), str(value))
    console.print(table)
    console.print("no difference", style="green")
    return 0
