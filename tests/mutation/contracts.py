"""Mutation testing of the contracts: does a forge test fail when a contract is wrong?

Draws mutants of `contracts/src` in a random order that is at any moment spread over the files in
proportion, and tries one after the other in a copy of the tree until time is up. A mutant is
killed when any test of a contract that uses the changed code fails.
"""

import argparse
import json
import math
import re
import sys
import time
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.mutation.contract_tree import Tree
from tests.mutation.solidity import Mutant, mutants_of, spread

# These suites of tests go last because they are slow.
SLOW = {"Escape.t", "ForceInvariants.t", "Invariants.t", "VaultInvariants.t"}
# Where a mutant of a file most likely dies: these suites go first.
NEAR = {
    "AccessPass": "AccessPass",
    "Accounts": "OpenSubaccount Deposit SetSessionKey GrantScopedKey CancelNonce RaiseNonceFloor"
    " RaiseSheetFloor Realise SetPriceBands Modules",
    "Auctions AuctionTerms Handovers": "Auctions Bid Takeovers",
    "Books Fills Settler ComboLib LedgerLib PackedLib IndexLib OrderStateLib SheetLib": ""
    "SettleFills SettleOrders SettleCombos SettleSheets SettleLinear SettleHeader Libraries",
    "Clearing Storage": "Modules Pause SettleHeader SetPriceBands OpenSubaccount Auctions",
    "Custody FlowLib": "Custody Deposit InsuranceVault",
    "Debts Payoffs": "SettleInterest SettlePayoffs Realise",
    "Escapes Shares ExitViews": "StartEscape FixMarks Value Claim",
    "Exits Requests": "RequestExit ServeExit SettleForced",
    "Passages Gateway GatewayHub WrappedToken": "Gateway",
    "InsuranceVault": "InsuranceVault InsuranceVaultEnd",
    "Liquidations": "Liquidations",
    "Margin MarginLib RiskProofLib SpotLib StandardLib": "Margin Solvency Liquidations",
    "Oracle SamplesLib": "Oracle OracleSigners PostIndex",
    "Payments": "SettleWithdrawals SettleTransfers SettleContractOwners",
    "Queues Releases ReleaseViews": "Releases SettleWithdrawals",
    "Solvency": "Solvency",
    "Takeovers": "Takeovers",
    "BandLib": "SettleBands Takeovers SetPriceBands",
    "InstrumentLib": "Libraries SettleLinear SettlePayoffs Oracle",
    "KeyLib DelayedLib": "GrantScopedKey SetSessionKey Libraries",
    "MarksLib": "Marks FixMarks Value",
    "OrderLib": "Vectors SettleOrders",
}


def fate_of(tree: Tree, mutant: Mutant, runs: int) -> tuple[str, str]:
    """What became of it: `killed` and by which test, `survived`, `same code` or `invalid`."""
    path = tree.folder / mutant.file
    original = path.read_bytes()
    path.write_bytes(original[: mutant.start] + mutant.new.encode() + original[mutant.end :])
    try:
        compiled = tree.compile([mutant.file])
    finally:
        path.write_bytes(original)
    if compiled is None:
        return "invalid", ""
    changed = {name: code for name, code in compiled.items() if code != tree.code[name]}
    if not changed:
        return "same code", ""
    tree.write(changed)
    dependents = tree.dependents(changed)
    name = Path(mutant.file).stem
    near = {f"{n}.t" for names, to in NEAR.items() if name in names.split() for n in to.split()}
    try:
        for suites in (near, dependents - near - SLOW, dependents & SLOW):
            if killer := tree.test(suites & dependents, runs):
                return "killed", killer
    finally:
        tree.restore(changed)
    return "survived", ""


def interval(killed: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a share."""
    z, share = 1.96, killed / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return middle - half, middle + half


def summary(done: list[dict[str, Any]]) -> None:
    """A table by file, and the score."""
    counts = Counter((item["file"], item["fate"]) for item in done)
    for file in sorted({item["file"] for item in done}):
        killed, survived = counts[file, "killed"], counts[file, "survived"]
        say(f"| `{file.removeprefix('src/')}` | {killed} | {survived} |")
    fates = Counter(item["fate"] for item in done)
    killed, of = fates["killed"], fates["killed"] + fates["survived"]
    low, high = interval(killed, of)
    say(f"{dict(fates)}: {killed}/{of} = {killed / of:.1%}, 95 % {low:.1%} to {high:.1%}")


def say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a new folder to work in")
    parser.add_argument("results", type=Path, help="a line of JSON for each mutant, added to")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--runs", type=int, default=32, help="of each fuzz test")
    parser.add_argument("--again", action="store_true", help="first those that survived, once more")
    options = parser.parse_args()
    until = datetime.now(UTC) + timedelta(minutes=options.minutes)
    done: dict[int, dict[str, Any]] = {}  # by place in the order, the latest line counts
    if options.results.exists():
        items = map(json.loads, options.results.read_text().splitlines())
        done = {item["place"]: item for item in items}
    options.folder.mkdir()
    tree = Tree(options.folder)
    order = spread(all_mutants(tree), options.seed)
    say(f"seed {options.seed}, {len(order)} mutants")
    if failed := tree.test(tree.dependents(tree.code), options.runs):
        sys.exit(f"without a mutant {failed} fails")
    left = {}
    if options.again:
        survivors = [item for item in done.values() if item["fate"] == "survived"]
        left = {i["place"]: Mutant(**{n: i[n] for n in Mutant.__slots__}) for i in survivors}
    left |= {place: order[place] for place in range(len(order)) if place not in done}
    for place, mutant in left.items():
        if datetime.now(UTC) > until:
            break
        start = time.monotonic()
        fate, killer = fate_of(tree, mutant, options.runs)
        item = asdict(mutant) | {"place": place, "fate": fate, "killer": killer}
        item["seconds"] = round(time.monotonic() - start)
        done[place] = item
        say(json.dumps(item))
        with options.results.open("a") as file:
            file.write(json.dumps(item) + "\n")
    tree.solc.close()
    summary(list(done.values()))


def all_mutants(tree: Tree) -> list[Mutant]:
    found: dict[Mutant, None] = {}
    for file, syntax in tree.trees.items():
        if file.startswith("src/") and not re.search("/(mocks|interfaces)/", file):
            for mutant in mutants_of(file, syntax, (tree.folder / file).read_bytes()):
                found[mutant] = None
    return list(found)


if __name__ == "__main__":
    main()
