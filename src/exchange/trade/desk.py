"""Where a command's question meets a venue: the connection, the key, and the way of telling."""

import contextlib
import sys
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final

import msgspec
from rich.console import Console, RenderableType

from exchange.sdk import ApiError, Client, ConnectionLost, SdkError
from exchange.sdk.errors import BadArgument
from exchange.trade.advice import explain

LOCAL_CHAIN: Final = 31_337
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


class TradeFailed(Exception):
    """A person can mend it: the message says how."""


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """The options that every command shares. `public_key`: a key that the whole world knows."""

    url: str
    private_key: bytes | None = None
    public_key: bool = False
    subaccount_id: int | None = None
    as_json: bool = False

    @contextlib.contextmanager
    def client(self, *, signs: bool = True) -> Iterator[Client]:
        """A connected client; what the SDK raises becomes one clear line."""
        if signs and self.private_key is None:
            raise TradeFailed(
                "this needs a key: --key FILE, EXCHANGE_TRADE_KEY, or --person 0 on a local venue"
            )
        key = self.private_key if signs else None
        client = None
        try:
            client = Client(self.url, key, subaccount_id=self.subaccount_id, transport="http")
            with client:
                self._check_chain(client)
                yield client
        except ConnectionLost as error:
            raise TradeFailed(explain(error, self.url)) from error
        except SdkError as error:
            raise TradeFailed(self._explained(error)) from error

    def _check_chain(self, client: Client) -> None:
        if self.public_key and client.domain().chain_id != LOCAL_CHAIN:
            raise BadArgument("--person is for local venues: those keys are public")

    def _explained(self, error: SdkError) -> str:
        if not isinstance(error, ApiError):
            return explain(error, self.url)
        with contextlib.suppress(SdkError), Client(self.url, transport="http") as client:
            return explain(error, self.url, client)
        return explain(error, self.url)

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return Console().width

    def tell(self, answer: Any, shown: RenderableType) -> None:
        """Print an answer: as JSON, or as a person reads it."""
        if self.as_json:
            text = _encoder.encode(answer).decode()
            sys.stdout.write(msgspec.json.format(text, indent=2) + "\n")
        else:
            Console().print(shown)


def read_key(text: str, source: str) -> bytes:
    """A private key in hex; whatever is wrong with it, it is not repeated."""
    try:
        key = bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError:
        key = b""
    if len(key) != 32 or not any(key):
        raise TradeFailed(f"{source} holds no private key: 64 hex digits")
    return key


def worst_price(client: Client, name: str, amount: Decimal, *, buys: bool) -> Decimal:
    """What a market order signs: the edge of the band that the venue takes now."""
    mark = client.ticker(name).mark_price
    if mark is None:
        raise BadArgument(f"{name} has no mark yet: give a price")
    margins, tick = client.margins(name, amount, mark), client.instrument(name).tick_size
    edge, rounding = (
        (margins.max_price, ROUND_FLOOR) if buys else (margins.min_price, ROUND_CEILING)
    )
    return (edge / tick).to_integral_value(rounding) * tick
