"""Several JSON-RPC endpoints behind one session: the first that answers serves, until it fails.

Knows HTTP and the two questions that tell whether an endpoint may serve (its chain id and its
height), nothing of transactions or contracts. Every request that the relayer makes may be sent
twice: reads are reads, and a raw transaction is the same transaction however often it arrives.
"""

import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import requests
import structlog
from requests.adapters import HTTPAdapter

_FAILED: Final = (429, 500, 502, 503, 504)  # the endpoint, not the request, is at fault
_REST_S: Final = 15.0  # how long one that failed is asked last

log = structlog.get_logger(__name__)


class EndpointsInvalid(ValueError):
    """The setting names no endpoint, or one twice."""


def split_urls(text: str) -> tuple[str, ...]:
    """Endpoints of a comma-separated setting, in order of preference."""
    urls = tuple(url.strip() for url in text.split(",") if url.strip())
    if not urls or len(set(urls)) < len(urls):
        raise EndpointsInvalid(f"give one or more different RPC URLs, not {text!r}")
    return urls


class _Answer(msgspec.Struct):
    result: str


class Failover(HTTPAdapter):
    """Sends each request to the endpoint in use, and on a failure to the next that may serve."""

    def __init__(self, urls: Sequence[str]) -> None:
        super().__init__()
        self._urls = tuple(urls)
        self._at = 0
        self._chain_id: int | None = None
        self._height = 0  # the highest that any endpoint told
        self._rests_until: dict[str, float] = {}

    @property
    def url(self) -> str:
        """The endpoint in use."""
        return self._urls[self._at]

    def expect(self, chain_id: int) -> None:
        """No endpoint of another chain may take over."""
        self._chain_id = chain_id

    def saw(self, height: int) -> None:
        """No endpoint that is not as high as this may take over."""
        self._height = max(self._height, height)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]  # the options are passed on whole
        """The first answer of an endpoint that works; the last failure where none does."""
        failure: requests.RequestException | None = None
        answer: requests.Response | None = None
        for at in self._in_turn():
            url = self._urls[at]
            try:
                if at != self._at and not self._may_serve(url, options):
                    continue
                answer = self._post(url, request, options)
            except requests.RequestException as error:
                failure = error
                self._rest(url, repr(error))
                continue
            if answer.status_code in _FAILED:
                _ = answer.content  # read, so that its connection is free again
                self._rest(url, f"HTTP {answer.status_code}")
                continue
            self._use(at)
            return answer
        if answer is not None:
            return answer
        assert failure is not None, "the endpoint in use is always asked"
        raise failure

    def _in_turn(self) -> list[int]:
        """The one in use, then the others by preference; those that failed just now come last."""
        now = time.monotonic()
        others = [at for at in range(len(self._urls)) if at != self._at]
        order = [self._at, *others]
        return sorted(order, key=lambda at: self._rests_until.get(self._urls[at], 0.0) > now)

    def _post(
        self, url: str, request: requests.PreparedRequest, options: dict[str, Any]
    ) -> requests.Response:
        moved = request.copy()
        moved.prepare_url(url, None)
        moved.headers["Host"] = moved.url.split("/")[2] if moved.url else ""
        return super().send(moved, **options)

    def _may_serve(self, url: str, options: dict[str, Any]) -> bool:
        """Whether an endpoint is on our chain and not behind what another one already told."""
        chain_id = self._ask(url, "eth_chainId", options)
        height = self._ask(url, "eth_blockNumber", options)
        fit = chain_id == (self._chain_id or chain_id) and height >= self._height
        if not fit:
            self._rest(url, f"it serves chain {chain_id} at block {height}")
        return fit

    def _ask(self, url: str, method: str, options: dict[str, Any]) -> int:
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": []})
        headers = {"Content-Type": "application/json"}
        question = requests.Request("POST", url, data=body, headers=headers).prepare()
        answer = super().send(question, **options)
        body = answer.content
        answer.raise_for_status()
        try:
            return int(msgspec.json.decode(body, type=_Answer).result, 16)
        except ValueError as error:  # msgspec's errors are among them
            raise requests.RequestException(f"{url} does not answer {method}") from error

    def _use(self, at: int) -> None:
        if at != self._at:
            log.warning("rpc endpoint changed", before=self.url, now=self._urls[at])
        self._at = at
        self._rests_until.pop(self._urls[at], None)

    def _rest(self, url: str, why: str) -> None:
        self._rests_until[url] = time.monotonic() + _REST_S
        log.warning("rpc endpoint failed", url=url, why=why)
