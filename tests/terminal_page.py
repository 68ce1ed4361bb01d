"""The terminal in a real browser, for tests: a page, what it complained of, and a wallet for it."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from exchange.bootstrap.dev_keys import Party
from exchange.settlement.chain import Chain

ROOT: Final = Path(__file__).parents[1]
AXE_IN_BOTH: Final = """async () => {
  const root = document.documentElement, before = root.dataset.theme, found = [];
  for (const theme of ["dark", "light"]) {
    root.dataset.theme = theme;
    found.push([theme, (await axe.run(document)).violations]);
  }
  root.dataset.theme = before;
  return found;
}"""
AXE: Final = ROOT / "node_modules" / "axe-core" / "axe.min.js"
WAIT_MS: Final = 120_000
DIGIT: Final = re.compile(r"\d")
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--enable-precise-memory-info",
    "--js-flags=--expose-gc",
)
POLL_MS: Final = 100
TWO_FRAMES: Final = """() => new Promise((done) => {
  requestAnimationFrame(() => requestAnimationFrame(() => done()));
})"""
WIDE: Final = (1280, 800)
NARROW: Final = (390, 844)
# What an unreachable venue or node makes the browser itself say; the page says it in words.
OF_THE_LINE: Final = re.compile(r"WebSocket connection|ERR_INTERNET_DISCONNECTED|ERR_CONNECTION")

# The page's own socket, so that it can be dropped, and a flood be fed to it where messages arrive.
CATCH_SOCKET: Final = """
  const Real = WebSocket;
  globalThis.WebSocket = class extends Real {
    constructor(...given) { super(...given); globalThis.caught = this; }
  };
"""
# Each notice, for it is gone after seconds, which a busy machine may spend otherwise.
HEAR_NOTICES: Final = """
  globalThis.told = [];
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes)
      for (const one of addedNodes)
        if (one instanceof Element && one.matches(".notice")) told.push(one.textContent);
  }).observe(document, { childList: true, subtree: true });
"""
# The first notice with these words, and forget those before it.
TAKE_NOTICE: Final = """(words) => {
  const at = told.findIndex((one) => one.includes(words));
  return at < 0 ? "" : told.splice(0, at + 1).at(-1);
}"""
# EIP-1193, announced as EIP-6963 has it: every request goes to the test, which signs and sends.
INJECT_WALLET: Final = """
  const provider = {
    request: async (asked) => {
      const answer = JSON.parse(await globalThis.walletRequest(JSON.stringify(asked)));
      if (answer.error) throw Object.assign(new Error(answer.error), { code: 4001 });
      return answer.result;
    },
  };
  const info = { uuid: "1", name: "Wallet of a test", icon: "data:,", rdns: "test.wallet" };
  const detail = Object.freeze({ info, provider });
  const say = () => dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
  addEventListener("eip6963:requestProvider", say);
  say();
"""

# So many updates a second, by the clock, round the instruments of a chain.
FLOOD: Final = """
  async ([names, seconds, rate]) => {
    let frames = 0, longest = 0, last = performance.now(), running = true;
    const frame = (now) => {
      frames += 1; longest = Math.max(longest, now - last); last = now;
      if (running) requestAnimationFrame(frame);
    };
    const receive = globalThis.caught.onmessage;
    globalThis.caught.onmessage = null; // nobody else speaks
    const say = (number) => {
      const name = names[number % names.length];
      const data = { ...globalThis.template, instrument_name: name, best_bid_price: 1000 + number };
      const params = { channel: `ticker.${name}.100ms`, data };
      receive({ data: JSON.stringify({ jsonrpc: "2.0", method: "subscription", params }) });
    };
    let sent = 0;
    const until = async (most, from) => {
      while (sent < most) {
        const due = Math.min(most, Math.floor(((performance.now() - from) / 1000) * rate) + 1);
        while (sent < due) say(sent++);
        await new Promise((later) => setTimeout(later, 5));
      }
    };
    await until(rate, performance.now()); // what is made once is made
    globalThis.gc();
    const nodes = document.querySelectorAll("*").length;
    const [heap, start] = [performance.memory.usedJSHeapSize, performance.now()];
    requestAnimationFrame((now) => { last = now; requestAnimationFrame(frame); });
    await until(rate + seconds * rate, start - 1000);
    await new Promise((later) => requestAnimationFrame(() => requestAnimationFrame(later)));
    running = false;
    const took = (performance.now() - start) / 1000;
    globalThis.gc();
    const last_name = names[(sent - 1) % names.length];
    const cell = document.querySelector(`td[data-instrument="${last_name}"]`);
    const bids = cell.closest("tr").querySelectorAll("td.bid");
    const bid = last_name.endsWith("-P") ? bids[bids.length - 1] : bids[0];
    return {
      shown: bid.textContent.trim(), newest: 1000 + sent - 1, sent, took,
      frames, longest, grown: performance.memory.usedJSHeapSize - heap,
      nodes: document.querySelectorAll("*").length - nodes,
    };
  }
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.fail("the terminal's tests drive Chromium: `apt-get install chromium`, as root")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield running
        running.close()


class IdlePage:
    """A page that does nothing but watch its own frames: what the machine alone does to them."""

    def __init__(self, browser: Browser) -> None:
        self.context = browser.new_context()
        self.page = self.context.new_page()
        self.page.evaluate(
            """() => {
              let last = performance.now();
              globalThis.longest = 0;
              const frame = (now) => {
                globalThis.longest = Math.max(globalThis.longest, now - last); last = now;
                requestAnimationFrame(frame);
              };
              requestAnimationFrame((now) => { last = now; requestAnimationFrame(frame); });
            }"""
        )

    def longest_ms(self) -> float:
        """The longest gap between two of its frames until now; ends it."""
        found: float = self.page.evaluate("() => globalThis.longest")
        self.context.close()
        return found


class TestWallet:
    """An EIP-1193 wallet of one key, by eth_account: what it was asked to sign, it remembers."""

    __test__ = False

    def __init__(self, chain: Chain, node: str, party: Party) -> None:
        self.chain = chain
        self.node = node
        self.party = party
        self.prompts: list[tuple[str, Any]] = []

    def answer(self, text: str) -> str:
        asked = json.loads(text)
        try:
            return json.dumps({"result": self._do(asked["method"], asked.get("params", []))})
        except Exception as error:  # noqa: BLE001  a wallet tells the page, whatever it is
            return json.dumps({"error": str(error)})

    def signed(self, kind: str) -> list[Any]:
        """What prompts of a kind showed."""
        return [shown for name, shown in self.prompts if name == kind]

    def _do(self, method: str, params: list[Any]) -> Any:
        match method:
            case "eth_requestAccounts" | "eth_accounts":
                return [self.party.address.lower()]  # as many wallets do
            case "personal_sign":
                words = bytes.fromhex(params[0][2:]).decode()
                self.prompts.append(("text", words))
                return self._sign(encode_defunct(text=words))
            case "eth_signTypedData_v4":
                shown = json.loads(params[1])
                self.prompts.append((shown["primaryType"], shown))
                return self._sign(encode_typed_data(full_message=shown))
            case "eth_sendTransaction":
                self.prompts.append(("transaction", params[0]))
                data = bytes.fromhex(params[0]["data"][2:])
                receipt = self.chain.transact(self.party.key, params[0]["to"], data)
                return receipt.tx_hash
            case _:
                return self._ask(method, params)

    def _ask(self, method: str, params: list[Any]) -> Any:
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = httpx.post(self.node, json=call, timeout=10.0, trust_env=False).json()
        if "error" in answer:
            raise RuntimeError(answer["error"]["message"])
        return answer["result"]

    def _sign(self, message: Any) -> str:
        return "0x" + Account.sign_message(message, self.party.key).signature.hex()


class Terminal:
    """A page of the terminal, and what it complained of."""

    def __init__(
        self, browser: Browser, url: str, size: tuple[int, int], wallet: TestWallet | None = None
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark"
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.add_init_script(CATCH_SOCKET)
        self.page.add_init_script(HEAR_NOTICES)
        if wallet is not None:
            self.page.expose_function("walletRequest", wallet.answer)
            self.page.add_init_script(INJECT_WALLET)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._heard)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url)

    def _heard(self, message: Any) -> None:
        if message.type == "error" and not OF_THE_LINE.search(message.text):
            self.complaints.append(message.text)

    def is_(self, freshness: str) -> None:
        """Wait for the connection's state."""
        found = self.page.locator(f".connection[data-fresh={freshness}]")
        expect(found).to_have_count(1, timeout=WAIT_MS)

    def mark(self, name: str) -> Locator:
        """An option's cell of the chain."""
        return self.page.locator(f"td[data-instrument='{name}']")

    def expiry_of(self, name: str) -> None:
        """Open the tab of the last expiry, where an option lives."""
        tabs = self.page.get_by_role("tablist", name="Expiry").get_by_role("tab")
        tabs.last.click()
        expect(self.mark(name)).to_have_text(DIGIT, timeout=WAIT_MS)

    def tab(self, name: str) -> None:
        """Open one of the account's views."""
        self.page.get_by_role("tab", name=re.compile(rf"^{name}\b")).click()

    def button(self, name: str) -> None:
        """Press a button that is there once."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def type(self, field: Locator, text: str) -> None:
        """Type over what stands in a field, once the page has drawn what was done before.

        What it puts into the field between selecting and typing would stay beside the text.
        """
        self.page.evaluate(TWO_FRAMES)
        field.fill(text)
        expect(field).to_have_value(text)

    def send_ticket(self, told: str) -> None:
        """Enter in the ticket, once what was typed is on the page; the venue must say `told`."""
        expect(self.page.locator(".ticket .submit")).to_be_enabled(timeout=WAIT_MS)
        self.page.evaluate("() => { told.length = 0; }")
        self.page.locator("#amount").press("Enter")
        answer = self.says("")
        assert told in answer, f"{answer!r} instead of {told!r}"

    def says(self, text: str) -> str:
        """Wait for a notice with these words; the whole of it."""
        for _ in range(WAIT_MS // POLL_MS):
            notice: str = self.page.evaluate(TAKE_NOTICE, text)
            if notice:
                return notice
            self.page.wait_for_timeout(POLL_MS)
        said = self.page.evaluate("() => told")
        raise AssertionError(f"no notice says {text!r}, but {said} were said")

    def connect(self, account: int) -> None:
        """Sign in with a local account, by number."""
        self.button("Connect")
        dialog = self.page.get_by_role("dialog")
        expect(dialog).to_contain_text("test money")
        dialog.get_by_role("button", name=f"Local account {account}").click()
        expect(dialog).to_have_count(0, timeout=WAIT_MS)
        expect(self.page.locator(".bar .account")).to_contain_text(f"Local account {account}")

    def accessible(self, what: str) -> None:
        """No serious finding of axe, in the colours of night or of day."""
        if not self.page.evaluate("() => Boolean(globalThis.axe)"):
            self.page.evaluate(AXE.read_text())  # not a script of the page: its policy stands
        for theme, found in self.page.evaluate(AXE_IN_BOTH):
            bad = [
                (one["id"], one["nodes"][0]["html"][:300], one["nodes"][0]["failureSummary"])
                for one in found
                if one["impact"] in ("serious", "critical")
            ]
            assert not bad, f"{what}, {theme}: {bad}"

    def flood(self, names: list[str], seconds: int, rate: int) -> dict[str, Any]:
        """Feed tickers for so long; what its frames and memory did. It hears nobody else after."""
        found: dict[str, Any] = self.page.evaluate(FLOOD, [names, seconds, rate])
        return found

    def shows_no_figure(self) -> None:
        """No number of market or margin stands on the page."""
        for place in (
            ".margin dd",
            ".book .level",
            ".trades",
            ".summary span:not(.wide) b",
            ".figures dd",
            ".chain td",
        ):
            words = " ".join(self.page.locator(place).all_inner_texts())
            assert not re.search(r"\d{2}", words.replace("8h", "")), (place, words)

    def close(self) -> None:
        """The page is done, and it complained of nothing."""
        self.context.close()
        assert self.complaints == [], self.complaints
