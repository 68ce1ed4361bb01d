"""What linters cannot see: lengths, a test for each module, docs level with code, the glossary.

A check is a pure function from one file to the complaints about it; `test_the_tree` runs it over
the tree, and `test_bad_samples` feeds it a violation, so that no check passes by never looking.
"""

import ast
import itertools
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = "src/exchange/"
FUNCTION_LINES_MAX = 50
FILE_LINES_MAX = 600
FILE_BYTES_MAX = 200_000
SELF = "tests/test_tidy.py"  # shows bad samples
CODE = {".py", ".sol", ".js", ".cjs", ".mjs"}
SETTINGS = {".toml", ".yml", ".yaml", ".json", ".lock"}
TEXT = CODE | SETTINGS | {".sh", ".html", ".css", ".md", ".txt", ""}
PICTURES = {".png", ".jpg", ".webp", ".gif"}
LOCKS = {"requirements.lock", "requirements-node.lock", "package-lock.json"}

# Modules, or whole folders, without files of their own in tests/unit, and what tests them instead.
TESTED_ELSEWHERE = {
    "__main__.py": "the command line: tests/e2e",
    "bootstrap/": "puts real parts together: tests/e2e",
    "demo/": "is a test itself: scripts/demo, run by tests/e2e",
}

# Banned synonyms of the glossary; a word counts where code gives a name, not where it uses one.
BANNED_WORDS = {
    "qty": "quantity",
    "tif": "time_in_force",
    "cancelled": "canceled",
    "maturity": "expiry",
    "theo": "mark_price",
    "mtm": "mark_value",
    "upnl": "mark_value",
    "aggressor": "taker",
    "bbo": "best_bid, best_ask",
    "submitter": "relayer",
    "vault": "clearing",
    "is_call": "option_kind",
    "is_bid": "side",
    "close_only": "reduce_only",
    "self_cross": "self_trade_prevention",
    "signature_expiry": "deadline",
    "spot_price": "index_price",
    "oracle_price": "index_price",
    "fair_price": "mark_price",
    "model_price": "mark_price",
    "free_margin": "initial_excess",
    "net_value": "equity",
    "account_value": "equity",
    "margin_call": "liquidation",
    "security_module": "insurance_fund",
    "event_store": "journal",
    "escape_hatch": "forced_exit",
}
# These are Deribit's words: theirs at the border, ours nowhere else.
WIRE_WORDS = {
    "expiration": "expiry",
    "symbol": "instrument_name",
    "commission": "taker_fee",
    "settlement_price": "delivery_price",
    "timestamp": "time_ns",
}
BORDER = (SOURCE + "api/", SOURCE + "sdk/")

# Integers only: a division here would hide its rounding, a float its error.
INTEGER_CORE = re.compile(
    SOURCE
    + r"(model|commands|events|(matching|engine)(/\w+)?"
    + r"|margin/(collateral|portfolio|account|linear|liquidation))\.py"
)

Check = Callable[[str, str], Iterator[str]]


# --- checks of one file ---


def file_length(path: str, text: str) -> Iterator[str]:
    lines = text.count("\n")
    if PurePosixPath(path).suffix in CODE and lines > FILE_LINES_MAX:
        yield f"{lines} lines, the limit is {FILE_LINES_MAX}"


def function_length(path: str, text: str) -> Iterator[str]:
    for name, first, last in functions(path, text):
        if last - first + 1 > FUNCTION_LINES_MAX:
            yield f"{name}, line {first}: {last - first + 1} lines, limit {FUNCTION_LINES_MAX}"


def functions(path: str, text: str) -> Iterator[tuple[str, int, int]]:
    suffix = PurePosixPath(path).suffix
    if suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name, node.lineno, node.end_lineno or node.lineno
    elif suffix in CODE:
        yield from brace_functions(text)


HEAD = re.compile(
    r"\b(?:function|modifier)\s*\*?\s*(?P<function>\w*)\s*\("
    r"|^[ \t]+(?:(?:async|static|get|set)\s+)*(?P<method>#?\w+)\s*\("
    r"|=>\s*\{",
    re.MULTILINE,
)
MODIFIED = {"constructor", "receive", "fallback"}
NOT_A_METHOD = {"if", "for", "while", "switch", "catch", "returns", "assembly", "with"}


def brace_functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Functions of Solidity and JavaScript by counting brackets: a parser would weigh more."""
    bare = without_comments_and_strings(text)
    for head in HEAD.finditer(bare):
        name, opening = head.group(head.lastgroup) if head.lastgroup else "=>", head.end()
        if head.lastgroup:
            modified = head.lastgroup == "function" or name in MODIFIED  # words before the body
            between = r"[^;{}]*\{" if modified else r"\s*\{"
            body = re.compile(between).match(bare, closing(bare, head.end(), "()"))
            if body is None or name in NOT_A_METHOD:
                continue
            opening = body.end()
        first = bare.count("\n", 0, head.end()) + 1
        yield name or "function", first, bare.count("\n", 0, closing(bare, opening, "{}")) + 1


def closing(text: str, at: int, pair: str) -> int:
    """The place after the bracket that closes the one just before `at`."""
    depth = 1
    while depth and at < len(text):
        depth += {pair[0]: 1, pair[1]: -1}.get(text[at], 0)
        at += 1
    return at


def without_comments_and_strings(text: str) -> str:
    pattern = r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`"
    return re.sub(pattern, lambda found: "\n" * found.group().count("\n"), text, flags=re.DOTALL)


def glossary(path: str, text: str) -> Iterator[str]:
    if not (path.startswith(SOURCE) and path.endswith(".py")):
        return
    banned = BANNED_WORDS if path.startswith(BORDER) else BANNED_WORDS | WIRE_WORDS
    for name, line in given_names(ast.parse(text)):
        words = "_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_") + "_"
        for word, ours in banned.items():
            if f"_{word}_" in words:
                yield f"line {line}: {name}: the glossary says {ours}, not {word}"


def given_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.arg():
                yield node.arg, node.lineno
            case ast.Name(ctx=ast.Store()):
                yield node.id, node.lineno
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr, node.lineno


def integer_arithmetic(path: str, text: str) -> Iterator[str]:
    if not INTEGER_CORE.fullmatch(path):
        return
    for node in ast.walk(ast.parse(text)):
        match node:
            case (
                ast.BinOp(op=ast.FloorDiv() | ast.Div())
                | ast.AugAssign(op=ast.FloorDiv() | ast.Div())
            ):
                yield f"line {node.lineno}: a division whose name says no rounding"
            case ast.Constant(value=float()):
                yield f"line {node.lineno}: a float in the integer core"


CODES = r"(: *[A-Z]+\d+(, *[A-Z]+\d+)*)?"
SILENCE = re.compile(rf"(?i)#\s*((ruff: *)?noqa{CODES}|(type|mypy): *ignore\S*)\s*$")


def unexplained_silence(path: str, text: str) -> Iterator[str]:
    if path.endswith(".py") and path != SELF:
        for number, line in enumerate(text.splitlines(), 1):
            if SILENCE.search(line):
                yield f"line {number}: a linter is silenced, and nobody is told why"


def unnumbered_todo(path: str, text: str) -> Iterator[str]:
    if path != SELF and PurePosixPath(path).suffix in TEXT - {".md"}:
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))", line):
                yield f"line {number}: a reminder without an issue number"


# In parts, so that this file does not name them itself.
HOSTS = [
    f"{name}.{end}"
    for name, end in (
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("debian", "org"),
    )
]
MACHINE_PATH = re.compile(r"(?<![\w.$}/~])/(?:root|home|Users|work|opt)/")


def foreign_places(path: str, text: str) -> Iterator[str]:
    """A package index's host or a path of somebody's machine works there only."""
    if path == SELF:
        return
    for number, line in enumerate(text.splitlines(), 1):
        yield from (f"line {number}: names the host {host}" for host in HOSTS if host in line)
        if found := MACHINE_PATH.search(line):
            yield f"line {number}: an absolute path of one machine ({found.group()})"


def adr_form(path: str, text: str) -> Iterator[str]:
    if path.startswith("docs/adr/"):
        if not re.fullmatch(r"docs/adr/\d{4}-[a-z0-9]+(-[a-z0-9]+)*\.md", path):
            yield "a decision's file is named NNNN-title-in-words.md"
        if not text.startswith("# "):
            yield "a decision begins with its title"


CHANGE_KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def changelog_form(path: str, text: str) -> Iterator[str]:
    """Keep a Changelog: Unreleased first, versions newest first, six kinds, each with entries."""
    if path != "CHANGELOG.md":
        return
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    versions = [
        re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d\d-\d\d", heading)
        for heading in headings[1:]
    ]
    if headings[:1] != ["[Unreleased]"]:
        yield "the first version is [Unreleased]"
    if not all(versions):
        yield "a version's heading is `## [1.2.3] - YYYY-MM-DD`"
    numbers = [tuple(map(int, version.groups())) for version in versions if version]
    if numbers != sorted(set(numbers), reverse=True):
        yield "versions stand newest first"
    for kind, entries in re.findall(r"^### (.*)\n((?:(?!##).*\n?)*)", text, re.MULTILINE):
        if kind not in CHANGE_KINDS:
            yield f"no kind of change is called {kind}"
        if not re.search(r"^- \S", entries, re.MULTILINE):
            yield f"{kind} has no entries"


CHECKS: list[Check] = [
    file_length,
    function_length,
    glossary,
    integer_arithmetic,
    unnumbered_todo,
    unexplained_silence,
    foreign_places,
    adr_form,
    changelog_form,
]


# --- checks of the tree ---


def size_complaints(path: str, size: int) -> Iterator[str]:
    file = PurePosixPath(path)
    if size > FILE_BYTES_MAX and path not in LOCKS and file.suffix not in PICTURES:
        yield f"{size} bytes, the limit is {FILE_BYTES_MAX}"


def untested_modules(files: dict[str, str]) -> Iterator[str]:
    """Each module has a test_NAME.py, or test_NAME_something.py, in the folder's mirror image."""
    for path, text in files.items():
        module = PurePosixPath(path.removeprefix(SOURCE))
        if not path.startswith(SOURCE) or module.suffix != ".py":
            continue
        if str(module).startswith(tuple(TESTED_ELSEWHERE)):
            continue
        if module.name == "__init__.py" and not defines_something(text):
            continue
        name = module.parent.name if module.name == "__init__.py" else module.stem
        wanted = str(PurePosixPath("tests/unit") / module.parent / f"test_{name}")
        if not any(file == f"{wanted}.py" or file.startswith(f"{wanted}_") for file in files):
            yield f"{path}: no {wanted}.py"


def defines_something(text: str) -> bool:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return any(isinstance(node, kinds) for node in ast.walk(ast.parse(text)))


def documented_names(page: str, names: list[str]) -> list[str]:
    """The first cells of the page's tables that are one of these names, in the page's order."""
    cells = re.findall(r"^\|\s*`([^`]+)`", page, re.MULTILINE)
    return [cell for cell in cells if cell in names]


def undocumented_methods(files: dict[str, str], page: str) -> Iterator[str]:
    for path, text in files.items():
        if path.startswith(SOURCE + "api/") and path.endswith(".py"):
            for method in sorted(
                set(re.findall(r"[\"']((?:public|private)/[a-z_0-9]+)[\"']", text))
            ):
                if f"`{method}`" not in page:
                    yield f"{path}: {method}"


def adr_gaps(files: dict[str, str]) -> list[int]:
    numbers = sorted(int(path[9:13]) for path in files if re.match(r"docs/adr/\d{4}-", path))
    return [
        number for number, due in zip(numbers, itertools.count(1), strict=False) if number != due
    ]


# --- the tree ---


def unprovoked(files: dict[str, str]) -> Iterator[str]:
    """Errors and events of contracts that no test asks for by name."""
    solidity = "".join(text for path, text in files.items() if path.startswith("contracts/test/"))
    solidity = re.sub(r"//.*", "", solidity)
    python = "".join(text for path, text in files.items() if re.match("tests/(?!test_tidy)", path))
    errors = {*re.findall(r"\.(\w+)\.selector", solidity), *re.findall(r"\b[A-Z]\w+", python)}
    events = set(re.findall(r"expectEmit\([^;]*;\s*emit (?:\w+\.)?(\w+)\(", solidity))
    for path, text in files.items():
        if path.startswith("contracts/src/"):
            for kind, name in re.findall(r"^\s*(error|event) (\w+)\(", text, re.MULTILINE):
                if name not in (errors if kind == "error" else events):
                    yield f"{path}: {name}"


def unknown_tests(files: dict[str, str]) -> Iterator[str]:
    """Tests that a page names and nobody wrote."""
    tests = "".join(text for path, text in files.items() if re.match(r"(contracts/)?tests?/", path))
    written = set(re.findall(r"(?:def|function) (test_\w+)", tests))
    written |= {PurePosixPath(path).stem for path in files}
    for path, text in files.items():
        if path.startswith("docs/") and path.endswith(".md"):
            for name in re.findall(r"\b(test_\w+_\w+)", text):  # not a word of the wire
                if name not in written:
                    yield f"{path}: {name}"


def tree_paths() -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    paths = [ROOT / path for path in listed.split("\0") if path]
    return sorted(
        str(path.relative_to(ROOT)) for path in paths if path.is_file() and not path.is_symlink()
    )


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    texts = {}
    for path in tree_paths():
        if PurePosixPath(path).suffix in TEXT:
            texts[path] = (ROOT / path).read_text(encoding="utf-8")
    assert "pyproject.toml" in texts
    return texts


@pytest.fixture(scope="module")
def api_page(files: dict[str, str]) -> str:
    return files["docs/api.md"]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_tree(check: Check, files: dict[str, str]) -> None:
    complaints = [
        f"{path}: {complaint}" for path, text in files.items() for complaint in check(path, text)
    ]
    assert not complaints, "\n".join(complaints)


def test_no_file_is_heavy() -> None:
    sizes = {path: (ROOT / path).stat().st_size for path in tree_paths()}
    complaints = [
        f"{path}: {said}" for path, size in sizes.items() for said in size_complaints(path, size)
    ]
    assert not complaints, "\n".join(complaints)


def test_each_module_has_a_test_file(files: dict[str, str]) -> None:
    missing = list(untested_modules(files))
    assert not missing, "\n".join(missing)


def test_each_exception_is_still_needed(files: dict[str, str]) -> None:
    unknown = [
        name
        for name in TESTED_ELSEWHERE
        if not any(path.startswith(SOURCE + name) for path in files)
    ]
    assert unknown == []


def test_each_refusal_is_documented_in_order(api_page: str) -> None:
    """The API page lists every RejectReason by its wire name, in the order of the checks."""
    from exchange.events import RejectReason

    reasons = [reason.value for reason in RejectReason]
    assert documented_names(api_page, reasons) == reasons


def test_each_refusal_has_a_sentence() -> None:
    from exchange.reasons import RejectReason

    lines = (ROOT / SOURCE / "reasons.py").read_text(encoding="utf-8").splitlines()
    bare = [
        name
        for name in RejectReason.__members__
        if not re.search(rf"\b{name} = .*#  ?\w", "\n".join(lines))
    ]
    assert bare == []


def test_each_method_is_documented(files: dict[str, str], api_page: str) -> None:
    missing = list(undocumented_methods(files, api_page))
    assert not missing, "\n".join(missing)


def test_each_error_and_event_of_a_contract_is_provoked(files: dict[str, str]) -> None:
    missing = list(unprovoked(files))
    assert not missing, "\n".join(missing)


def test_each_test_that_a_page_names_exists(files: dict[str, str]) -> None:
    missing = list(unknown_tests(files))
    assert not missing, "\n".join(missing)


def test_decisions_are_numbered_without_gaps(files: dict[str, str]) -> None:
    assert adr_gaps(files) == []


# --- the checks themselves ---

LONG_BODY = "    x\n" * 60
UNRELEASED = "## [Unreleased]\n\n### Added\n\n- a thing\n"

BAD_SAMPLES: list[tuple[Check, str, str]] = [
    (file_length, "src/exchange/a.py", "x = 1\n" * 601),
    (file_length, "contracts/src/A.sol", "\n" * 601),
    (file_length, "terminal/a.js", "\n" * 601),
    (function_length, "src/exchange/a.py", "def f():\n" + LONG_BODY),
    (function_length, "tests/a.py", "class A:\n  async def f(self):\n" + LONG_BODY),
    (
        function_length,
        "contracts/src/A.sol",
        "contract A {\n function f() external {\n" + LONG_BODY + "}\n}\n",
    ),
    (
        function_length,
        "contracts/src/A.sol",
        "contract A {\n constructor(uint256 a) B(a) {\n" + LONG_BODY + "}\n}\n",
    ),
    (
        function_length,
        "terminal/a.js",
        "export function f({ a }) {\n if (a) { '}'; }\n" + LONG_BODY + "}\n",
    ),
    (function_length, "terminal/a.js", "const f = (a) => {\n" + LONG_BODY + "};\n"),
    (function_length, "terminal/a.js", "class A {\n  async f(a) {\n" + LONG_BODY + "  }\n}\n"),
    (glossary, "src/exchange/engine.py", "order_qty = 1\n"),
    (glossary, "src/exchange/engine.py", "def f(tif): ...\n"),
    (glossary, "src/exchange/api/a.py", "class OrderCancelled: ...\n"),
    (glossary, "src/exchange/engine.py", "self.fair_price = 1\n"),
    (glossary, "src/exchange/engine.py", "expiration_ns: int = 1\n"),
    (integer_arithmetic, "src/exchange/matching/book.py", "a = b // c\n"),
    (integer_arithmetic, "src/exchange/engine.py", "a /= c\n"),
    (integer_arithmetic, "src/exchange/margin/account.py", "a = 0.5\n"),
    (unnumbered_todo, "src/exchange/a.py", "# TODO: later\n"),
    (unnumbered_todo, "scripts/run", "# FIXME\n"),
    (unexplained_silence, "tests/a.py", "f(x)  # noqa: S311, T201\n"),
    (unexplained_silence, "src/exchange/a.py", "f(x)  # type: ignore[arg-type]\n"),
    (unexplained_silence, "src/exchange/a.py", "f(x)  # noqa\n"),
    (foreign_places, "package-lock.json", f'"resolved": "https://registry.{HOSTS[0]}/x"\n'),
    (foreign_places, "requirements.lock", f"--index-url https://{HOSTS[2]}/simple\n"),
    (foreign_places, "README.md", "cd /root/exchange\n"),
    (foreign_places, "tests/a.py", 'open("/home/me/x")\n'),
    (adr_form, "docs/adr/1-title.md", "# Title\n"),
    (adr_form, "docs/adr/0001-Title.md", "# Title\n"),
    (adr_form, "docs/adr/0001-title.md", "Title\n"),
    (changelog_form, "CHANGELOG.md", "# Changelog\n"),
    (changelog_form, "CHANGELOG.md", UNRELEASED + "## 1.0.0\n"),
    (
        changelog_form,
        "CHANGELOG.md",
        UNRELEASED + "## [1.0.0] - 2026-01-01\n\n## [1.1.0] - 2026-01-02\n",
    ),
    (changelog_form, "CHANGELOG.md", UNRELEASED + "### Improved\n\n- a thing\n"),
    (changelog_form, "CHANGELOG.md", UNRELEASED + "### Fixed\n\n## [1.0.0] - 2026-01-01\n"),
]

GOOD_SAMPLES: list[tuple[Check, str, str]] = [
    (file_length, "README.md", "\n" * 700),
    (function_length, "src/exchange/a.py", "def f():\n" + "    x\n" * 49),
    (
        function_length,
        "terminal/a.js",
        "function f() {}\n" + LONG_BODY + "if (a) {\n" + LONG_BODY + "}\n",
    ),
    (glossary, "src/exchange/engine.py", "quantity = order.qty\n"),
    (glossary, "src/exchange/api/a.py", "expiration_timestamp = 1\n"),
    (glossary, "tests/a.py", "qty = 1\n"),
    (integer_arithmetic, "src/exchange/fixed.py", "a = b // c\n"),
    (integer_arithmetic, "src/exchange/margin/pricing.py", "a = b / 2.0\n"),
    (unnumbered_todo, "src/exchange/a.py", "# TODO(#12): later\n"),
    (unexplained_silence, "src/exchange/a.py", "f(x)  # type: ignore[arg-type]  a stub is wrong\n"),
    (unexplained_silence, "src/exchange/a.py", "f(x)  # type: ignore[a-b]  # noqa: D1  both\n"),
    (
        foreign_places,
        "README.md",
        "See https://example.org/home/x and src/work/x, ${HOME}/work/ and $a/root/.\n",
    ),
    (adr_form, "docs/adr/0001-a-title.md", "# Title\n"),
    (
        changelog_form,
        "CHANGELOG.md",
        UNRELEASED + "\n## [1.1.0] - 2026-01-02\n\n### Fixed\n\n- it\n\n## [1.0.0] - 2026-01-01\n",
    ),
]


@pytest.mark.parametrize(("check", "path", "text"), BAD_SAMPLES)
def test_bad_samples(check: Check, path: str, text: str) -> None:
    assert list(check(path, text))


@pytest.mark.parametrize(("check", "path", "text"), GOOD_SAMPLES)
def test_good_samples(check: Check, path: str, text: str) -> None:
    assert list(check(path, text)) == []


def test_every_check_has_a_bad_sample() -> None:
    assert {check for check, _, _ in BAD_SAMPLES} == set(CHECKS)


def test_heavy_files_are_seen() -> None:
    assert list(size_complaints("docs/data.json", FILE_BYTES_MAX + 1))
    assert not list(size_complaints("requirements.lock", FILE_BYTES_MAX + 1))
    assert not list(size_complaints("docs/terminal.png", FILE_BYTES_MAX + 1))


def test_untested_modules_are_seen() -> None:
    tree = {"src/exchange/__init__.py": "", "src/exchange/matching/book.py": ""}
    assert list(untested_modules(tree)) == [
        "src/exchange/matching/book.py: no tests/unit/matching/test_book.py"
    ]
    assert not list(untested_modules(tree | {"tests/unit/matching/test_book.py": ""}))
    assert not list(untested_modules(tree | {"tests/unit/matching/test_book_amend.py": ""}))
    assert list(untested_modules({"src/exchange/api/__init__.py": "def f(): ..."}))


def test_undocumented_names_are_seen() -> None:
    page = "| name |\n|---|\n| `b` | x |\n| `a` | y |\n\n`public/test`\n"
    assert documented_names(page, ["a", "b", "c"]) == ["b", "a"]
    source = {"src/exchange/api/dispatch.py": 'X = {"public/test": 1, "private/buy": 2}'}
    assert list(undocumented_methods(source, page)) == ["src/exchange/api/dispatch.py: private/buy"]


def test_gaps_between_decisions_are_seen() -> None:
    assert adr_gaps({"docs/adr/0001-a.md": "", "docs/adr/0003-b.md": ""}) == [3]
    assert adr_gaps({"docs/adr/0001-a.md": "", "docs/adr/0002-b.md": ""}) == []


def test_unprovoked_errors_and_events_are_seen() -> None:
    expected = "vm.expectEmit(address(a));\n emit IA.Done(1);\n emit Told();"
    tree = {
        "contracts/src/A.sol": "error Early();\nerror Late(uint256 by);\n    error Odd();\n",
        "contracts/src/B.sol": "    event Done(uint256 at);\n    event Told();\n",
        "contracts/test/A.t.sol": "vm.expectRevert(IA.Early.selector);" + expected,
        "tests/test_a.py": 'match="Odd"',
    }
    assert list(unprovoked(tree)) == ["contracts/src/A.sol: Late", "contracts/src/B.sol: Told"]


def test_unknown_tests_are_seen() -> None:
    tree = {
        "docs/a.md": "`test_it_holds`, `test_it_bends` and tests/test_a.py",
        "contracts/test/A.t.sol": "function test_it_holds() public {",
        "tests/test_a.py": "",
    }
    assert list(unknown_tests(tree)) == ["docs/a.md: test_it_bends"]
