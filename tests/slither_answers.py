"""Compares slither's findings with the answers in docs/slither.md: a table of check, contract, why.

Run by `scripts/prove` with the findings as JSON; prints what nobody answered and exits 1.
"""

import json
import re
import sys
from pathlib import Path

ROW = re.compile(r"^\| `([a-z-]+)` \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)


def found_in(report: Path) -> set[tuple[str, str]]:
    """(check, source file) of each finding."""
    findings = json.loads(report.read_text())["results"]["detectors"]
    return {
        (finding["check"], Path(finding["elements"][0]["source_mapping"]["filename_relative"]).stem)
        for finding in findings
    }


def answered_in(page: Path) -> set[tuple[str, str]]:
    """(check, source file) of each row of the page's table."""
    return {
        (check, name.strip())
        for check, names in ROW.findall(page.read_text())
        for name in names.split(",")
    }


def main(report: Path, page: Path) -> int:
    """0 if each finding has its answer; an answer without a finding may go."""
    found, answered = found_in(report), answered_in(page)
    for check, name in sorted(found - answered):
        print(f"unanswered: {check} in {name}.sol", file=sys.stderr)
    for check, name in sorted(answered - found):
        print(f"no longer found: {check} in {name}.sol", file=sys.stderr)
    return 1 if found - answered else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
