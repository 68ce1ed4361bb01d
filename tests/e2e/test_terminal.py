"""The web terminal in a real browser, against a venue of real processes on a real chain.

One venue, one page and one story: connect, read, trade, follow a fill to the chain, see the risk,
lose the venue and get it back. Every wait is for something on the page.
"""

import json
import re
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.live_venue import LiveVenue, Trader

pytestmark = pytest.mark.e2e

ROOT: Final = Path(__file__).parents[2]
AXE: Final = ROOT / "node_modules" / "axe-core" / "axe.min.js"
WAIT_MS: Final = 120_000
NOTHING: Final = "\N{EN DASH}"
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
)
WIDE: Final = (1280, 800)
NARROW: Final = (390, 844)

# The page's own socket, so that a flood can be fed to it where the venue's messages arrive.
CATCH_SOCKET: Final = """
  const Real = WebSocket;
  globalThis.WebSocket = class extends Real {
    constructor(...given) { super(...given); globalThis.caught = this; }
  };
"""
FLOOD: Final = """
  async ([name, messages, perTurn]) => {
    let frames = 0, longest = 0, last = performance.now(), running = true;
    const frame = (now) => {
      frames += 1; longest = Math.max(longest, now - last); last = now;
      if (running) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    const receive = globalThis.caught.onmessage;
    globalThis.caught.onmessage = null; // nobody else speaks
    const nodes = document.querySelectorAll("*").length;
    const ticker = JSON.parse(JSON.stringify(globalThis.template));
    for (let sent = 0; sent < messages; sent += perTurn) {
      for (let at = 0; at < perTurn; at += 1) {
        const data = { ...ticker, best_bid_price: 1000 + sent + at };
        const params = { channel: `ticker.${name}.100ms`, data };
        const text = JSON.stringify({ jsonrpc: "2.0", method: "subscription", params });
        receive({ data: text });
      }
      await new Promise((later) => setTimeout(later, perTurn / 2));
    }
    await new Promise((later) => requestAnimationFrame(() => requestAnimationFrame(later)));
    running = false;
    const cell = document.querySelector(`td[data-instrument="${name}"]`);
    const shown = cell.closest("tr").querySelector("td.bid").textContent;
    return { shown, frames, longest, grown: document.querySelectorAll("*").length - nodes };
  }
"""


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveVenue]:
    venue = LiveVenue(tmp_path_factory.mktemp("terminal"))
    yield venue
    venue.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.fail("the terminal's tests drive Chromium: `apt-get install chromium`, as root")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield running
        running.close()


class Terminal:
    """A page of the terminal, and what it complained of."""

    def __init__(self, browser: Browser, url: str, size: tuple[int, int]) -> None:
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark"
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.add_init_script(CATCH_SOCKET)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._heard)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url)
        self.is_("live")

    def _heard(self, message: Any) -> None:
        if message.type == "error" and "WebSocket connection" not in message.text:
            self.complaints.append(message.text)

    def is_(self, freshness: str) -> None:
        found = self.page.locator(f".connection[data-fresh={freshness}]")
        expect(found).to_have_count(1, timeout=WAIT_MS)

    def mark(self, name: str) -> Any:
        return self.page.locator(f"td[data-instrument='{name}']")

    def expiry_of(self, name: str) -> None:
        """Open the tab of an option's expiry."""
        tabs = self.page.get_by_role("tablist", name="Expiry").get_by_role("tab")
        tabs.last.click()
        expect(self.mark(name)).to_have_text(DIGIT, timeout=WAIT_MS)

    def says(self, text: str) -> None:
        expect(self.page.locator(".notices")).to_contain_text(text, timeout=WAIT_MS)

    def accessible(self, what: str) -> None:
        """No serious finding of axe."""
        if not self.page.evaluate("() => Boolean(globalThis.axe)"):
            self.page.evaluate(AXE.read_text())  # not a script of the page: its policy stands
        found = self.page.evaluate("async () => (await axe.run(document)).violations")
        bad = [
            (one["id"], one["nodes"][0]["html"][:300], one["nodes"][0]["failureSummary"])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert not bad, f"{what}: {bad}"


def offer(trader: Trader, name: str, side: str, amount: str) -> Decimal:
    """One order near the mark, resting; its price."""
    client = trader.client
    mark = client.ticker(name).mark_price
    assert mark is not None
    tick = next(o.tick_size for o in client.instruments("BTC") if o.instrument_name == name)
    price = (mark / tick).to_integral_value() * tick
    price += tick * 2 if side == "sell" else -tick * 2
    getattr(client, side)(name, amount, price)
    return price


def test_a_trader_works_in_the_terminal(venue: LiveVenue, browser: Browser) -> None:
    """Connect, read the chain, trade, amend, cancel, see risk and proof, survive a restart."""
    maker, me = venue.join(), venue.join()
    name = venue.option()
    terminal = Terminal(browser, venue.stack.url, WIDE)
    page = terminal.page
    terminal.expiry_of(name)
    ask = offer(maker, name, "sell", "1")
    row = page.locator("tr", has=terminal.mark(name))
    expect(row.locator("td.ask").first).to_have_text(f"{ask:,.0f}", timeout=WAIT_MS)
    terminal.accessible("the chain, dark")

    connect(terminal)
    expect(page.locator(".margin")).to_contain_text("1,000,000.00", timeout=WAIT_MS)
    buy(terminal, row, ask)
    follow_to_the_chain(terminal, me, name)
    amend_and_cancel(terminal, name, ask)
    read_risk(terminal)
    survive_restart(terminal, venue, name)
    page.get_by_role("button", name="Use light colours").click()
    terminal.accessible("the account, light")
    assert all(url.startswith(venue.stack.url) for url in terminal.asked), terminal.asked
    assert terminal.complaints == []
    venue.require_agreement()


def connect(terminal: Terminal) -> None:
    page = terminal.page
    page.get_by_role("button", name="Connect", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("test money")
    terminal.accessible("the dialog")
    dialog.get_by_role("button", name="Local account 2").click()
    expect(dialog).to_have_count(0, timeout=WAIT_MS)
    expect(page.locator(".bar .account")).to_contain_text("Local account 2")


def buy(terminal: Terminal, row: Any, ask: Decimal) -> None:
    """From the chain's cell to a position; what the ticket foretold is what happened."""
    page = terminal.page
    row.locator("td.ask").first.click()
    expect(page.locator("#price")).to_have_value(f"{ask:f}")
    page.locator("#amount").fill("0.2")
    margin = page.locator(".outlook tr", has_text="Initial margin").locator("td").last
    expect(margin).to_have_text(DIGIT, timeout=WAIT_MS)
    cost = page.locator(".outlook tr", has_text="Premium paid").locator("td").last
    expect(cost).to_have_text(f"{ask * Decimal('0.2'):,.2f}")
    page.locator("#amount").press("Enter")
    terminal.says("Bought 0.20")
    position = page.locator(".list tbody tr")
    expect(position).to_contain_text("+0.20", timeout=WAIT_MS)
    expect(row.locator("td.own").first).to_have_text("+0.20")


def follow_to_the_chain(terminal: Terminal, me: Trader, name: str) -> None:
    """The fill is confirmed on chain, and its receipt is verified by the browser."""
    page = terminal.page
    page.get_by_role("tab", name="Fills").click()
    path = page.locator(".list .path").first
    expect(path).to_contain_text("Confirmed", timeout=WAIT_MS)
    path.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Verified in this browser")
    trade = me.client.my_trades(name)[0]
    status = me.client.settlement(trade.trade_id)
    for fact in (str(trade.seq), status.transaction, f"block {status.block}"):
        expect(dialog).to_contain_text(str(fact))
    terminal.accessible("a fill's proof")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def amend_and_cancel(terminal: Terminal, name: str, ask: Decimal) -> None:
    """By keyboard: B, a bid below the market, changed once, then Escape cancels after asking."""
    page = terminal.page
    terminal.mark(name).click()
    page.keyboard.press("b")
    expect(page.locator("#amount")).to_be_focused(timeout=WAIT_MS)
    page.locator("#price").fill(f"{ask / 2:.0f}"[:-1] + "0")
    page.locator("#amount").fill("0.1")
    page.locator("#amount").press("Enter")
    terminal.says("rests at")
    page.get_by_role("tab", name="Orders").click()
    order = page.locator(".list tbody tr")
    expect(order).to_have_count(1, timeout=WAIT_MS)
    order.get_by_role("button", name="Change").click()
    page.locator("#amount").fill("0.3")
    page.locator("#amount").press("Enter")
    expect(order.locator("td").nth(2)).to_have_text("0.30", timeout=WAIT_MS)
    page.locator("#amount").blur()
    page.keyboard.press("Escape")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("One open order")
    dialog.get_by_role("button", name="Cancel all").click()
    terminal.says("Canceled 1 order.")
    expect(order).to_have_count(0, timeout=WAIT_MS)
    # What the venue refuses is said in its words.
    page.locator("#price").fill("0.001")
    page.locator("#amount").fill("0.1")
    page.locator("#amount").press("Enter")
    terminal.says("The venue refused the order")


def read_risk(terminal: Terminal) -> None:
    page = terminal.page
    page.get_by_role("tab", name="Risk").click()
    expect(page.locator(".heat td.worst, .tails .worst").first).to_have_text(DIGIT, timeout=WAIT_MS)
    assert page.locator(".heat tbody tr").count() >= 5
    expect(page.locator(".greeks tbody tr")).to_have_count(1)
    terminal.accessible("risk")
    page.get_by_role("tab", name="Payoff").click()
    expect(page.locator(".payoff svg .curve")).to_have_count(2, timeout=WAIT_MS)
    expect(page.locator(".outcome dd").first).to_have_text(DIGIT)
    terminal.accessible("payoff")
    page.get_by_role("tab", name="Volatility").click()
    expect(page.locator(".curves svg .curve")).to_have_count(2, timeout=WAIT_MS)
    terminal.accessible("volatility")


def survive_restart(terminal: Terminal, venue: LiveVenue, name: str) -> None:
    """While the venue is away no figure stands on the page; then everything is back by itself."""
    page = terminal.page
    page.get_by_role("tab", name="Positions").click()
    engine = venue.stack.children.pop("engine")
    engine.kill()
    terminal.is_("lost")
    expect(terminal.mark(name)).to_have_text(NOTHING)
    for place in (
        ".margin dd",
        ".book .level",
        ".trades",
        ".summary span:not(.wide) b",
        ".figures dd",
    ):
        words = " ".join(page.locator(place).all_inner_texts())
        assert not re.search(r"\d{2}", words.replace("8h", "")), (place, words)
    expect(page.get_by_role("alert")).to_contain_text("your orders still stand")
    venue.stack.start("engine")
    terminal.is_("live")
    expect(terminal.mark(name)).to_have_text(DIGIT, timeout=WAIT_MS)
    expect(page.locator(".list tbody tr")).to_contain_text("+0.20", timeout=WAIT_MS)
    expect(page.locator(".bar .account")).to_contain_text("Local account 2")


def test_a_small_screen_shows_one_panel_at_a_time(venue: LiveVenue, browser: Browser) -> None:
    """390 pixels: nothing sticks out, each panel is one tap away, and axe is content."""
    terminal = Terminal(browser, venue.stack.url, NARROW)
    page = terminal.page
    for panel in ("Book", "Trade", "Account", "Chain"):
        page.get_by_role("navigation", name="Views").get_by_role("button", name=panel).click()
        wanted = {"Trade": "ticket"}.get(panel, panel.lower())
        expect(page.locator(f"[data-panel={wanted}]")).to_be_visible()
        assert page.locator("[data-panel]:visible").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW[0], panel
        terminal.accessible(f"{panel}, narrow")
    assert terminal.complaints == []


def test_two_thousand_updates_a_second_are_drawn_once_a_frame(
    venue: LiveVenue, browser: Browser
) -> None:
    """Six thousand tickers at that rate: the newest is what stands there, and nothing piles up."""
    name = venue.option()
    terminal = Terminal(browser, venue.stack.url, WIDE)
    page = terminal.page
    terminal.expiry_of(name)
    ticker = venue.traders[0].client.call("public/ticker", {"instrument_name": name})
    page.evaluate("(text) => { globalThis.template = JSON.parse(text); }", plain(ticker))
    found = page.evaluate(FLOOD, [name, 6_000, 40])
    assert found["shown"].strip() == "6,999", found
    assert 0 < found["frames"] < 6_000, found
    assert found["grown"] < 50, found
    assert terminal.complaints == []


def plain(answer: Any) -> str:
    return json.dumps(answer, default=float)
