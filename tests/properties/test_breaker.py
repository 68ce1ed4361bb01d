"""The breaker halts exactly when looking through all past prices says so."""

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from exchange.fixed import RATIO_SCALE
from exchange.matching.breaker import Breaker, BreakerRules
from exchange.model import InstrumentStatus

LIVE, HALTED, AUCTION = InstrumentStatus.LIVE, InstrumentStatus.HALTED, InstrumentStatus.AUCTION
WINDOW, COOL_OFF, LENGTH = 20, 7, 5
RULES = BreakerRules(
    move_rate=RATIO_SCALE // 10, window_ns=WINDOW, cool_off_ns=COOL_OFF, auction_ns=LENGTH
)


class NaiveBreaker:
    """Keeps every price since the last halt; `due` is None unless a phase ends by itself."""

    def __init__(self):
        self.status, self.due, self.prices = LIVE, None, []

    @property
    def held(self):
        return self.status is HALTED and self.due is None

    def enter(self, status, now):
        self.status = status
        self.due = {HALTED: now + COOL_OFF, AUCTION: now + LENGTH}.get(status)
        return status

    def price(self, now, price, base):
        counted = []
        for at, (_, old) in enumerate(self.prices):
            end = self.prices[at + 1][0] if at + 1 < len(self.prices) else now
            if end > now - WINDOW:
                counted.append(old)
        self.prices.append((now, price))
        if not any(abs(price - old) * 10 > (base or old) for old in counted):
            return None
        self.prices = [(now, price)]
        return None if self.held else self.enter(HALTED, now)

    def time(self, now, *_):
        if self.due is None or now < self.due:
            return None
        return self.enter(AUCTION if self.status is HALTED else LIVE, now)

    def halt(self, now, *_):
        if self.held:
            return None
        self.enter(HALTED, now)
        self.due = None
        return HALTED

    def resume(self, now, *_):
        return self.enter(AUCTION, now) if self.status is HALTED else None


STEPS = st.tuples(
    st.sampled_from(("price", "price", "price", "time", "halt", "resume")),
    st.integers(0, 12),
    st.integers(85, 125),
    st.sampled_from((0, 0, 50, 200)),
)


@given(st.lists(STEPS, max_size=40))
def test_the_breaker_moves_as_its_naive_twin(steps):
    breaker, naive = Breaker(RULES), NaiveBreaker()
    now = 1
    for what, later, price, base in steps:
        now += later
        calls = {
            "price": partial(breaker.on_price, now, price, base),
            "time": partial(breaker.on_time, now),
            "halt": partial(breaker.halt, now),
            "resume": partial(breaker.resume, now),
        }
        assert calls[what]() == getattr(naive, what)(now, price, base)
        breaker.check()
        assert (breaker.status, breaker.due_ns) == (naive.status, naive.due or 0)
