"""Mutants of Solidity sources, made from solc's syntax trees: one change of one place each.

Assembly is left alone, and so are types. A condition before a mere `revert` is never made to hold
always, because any test would notice that.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SWAPS = {
    "<": ["<=", ">="],
    "<=": ["<", ">"],
    ">": [">=", "<="],
    ">=": [">", "<"],
}
PAIRS = "== != && || + - * / & | << >> ++ -- += -= *= /= &= |= <<= >>="
PAIRS += " min max Ceil Floor true false"
for one, other in zip(PAIRS.split()[::2], PAIRS.split()[1::2], strict=True):
    SWAPS |= {one: [other], other: [one]}
SWAPS |= {"%": ["*"], "**": ["*"], "^": ["&"]}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Mutant:
    """A replacement of the bytes [start, end) of a source."""

    file: str
    start: int
    end: int
    operator: str
    new: str


def mutants_of(file: str, tree: Any, source: bytes) -> Iterator[Mutant]:
    for node in nodes(tree):
        start, end = ends(node)
        text = source[start:end].decode()
        for operator, first, last, new in changes(node, start, end, text):
            if source[first:last].decode() != new:
                yield Mutant(file=file, start=first, end=last, operator=operator, new=new)


def nodes(tree: Any) -> Iterator[Any]:
    """The nodes of a syntax tree, but for what is only a name or a type, and assembly."""
    if isinstance(tree, list):
        for part in tree:
            yield from nodes(part)
    elif isinstance(tree, dict):
        if "src" in tree and "nodeType" in tree:
            yield tree
        for name, part in tree.items():
            if name not in ("typeName", "documentation", "AST"):
                yield from nodes(part)


def changes(node: Any, start: int, end: int, text: str) -> Iterator[tuple[str, int, int, str]]:
    """What to do to one node: operator, first byte, last byte, replacement."""
    match node["nodeType"]:
        case "BinaryOperation":
            yield from between(node, node["leftExpression"], node["rightExpression"])
        case "Assignment":
            yield from between(node, node["leftHandSide"], node["rightHandSide"])
        case "UnaryOperation" if node["operator"] in ("!", "-"):
            yield "negation", start, start + 1, ""
        case "UnaryOperation" if node["operator"] in SWAPS:
            other = SWAPS[node["operator"]][0]
            yield "operator", start, end, text.replace(node["operator"], other)
        case "IfStatement" | "Conditional":
            yield from condition(node)
        case "ExpressionStatement" | "EmitStatement":
            yield "deletion", start, end + 1, "{}"
        case "Literal":
            yield from constant(node, start, end, text)
        case "MemberAccess" if node["memberName"] in SWAPS:
            name = node["memberName"]
            yield "name", end - len(name), end, SWAPS[name][0]
        case "ModifierInvocation" if node.get("kind") == "modifierInvocation":
            yield "modifier", start, end, ""


def between(node: Any, left: Any, right: Any) -> Iterator[tuple[str, int, int, str]]:
    for new in SWAPS.get(node["operator"], []):
        yield "operator", ends(left)[1], ends(right)[0], f" {new} "


def condition(node: Any) -> Iterator[tuple[str, int, int, str]]:
    first, last = ends(node["condition"])
    yield "condition", first, last, "false"
    if node["nodeType"] == "Conditional" or not only_reverts(node["trueBody"]):
        yield "condition", first, last, "true"


def constant(node: Any, start: int, end: int, text: str) -> Iterator[tuple[str, int, int, str]]:
    if node["kind"] == "number":
        yield "constant", start, end, f"({text} + 1)"
        if node["value"] != "0":
            yield "constant", start, end, f"({text} - 1)"
    elif text in SWAPS:
        yield "constant", start, end, SWAPS[text][0]


def only_reverts(body: Any) -> bool:
    """Whether a condition that always holds would stop every call: too easy to notice."""
    body = body["statements"][0] if body["nodeType"] == "Block" else body
    return bool(body["nodeType"] == "RevertStatement")


def ends(node: Any) -> tuple[int, int]:
    start, length, _ = map(int, node["src"].split(":"))
    return start, start + length


def spread(mutants: list[Mutant], seed: int) -> list[Mutant]:
    """A random order whose every beginning holds each file in proportion to its mutants."""
    dice = random.Random(seed)
    keys: list[tuple[float, Mutant]] = []
    for file in sorted({mutant.file for mutant in mutants}):
        own = sorted(m for m in mutants if m.file == file)
        dice.shuffle(own)
        keys += [((place + dice.random()) / len(own), own[place]) for place in range(len(own))]
    return [mutant for _, mutant in sorted(keys, key=lambda key: key[0])]
