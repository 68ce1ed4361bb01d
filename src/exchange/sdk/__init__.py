"""Clients of the exchange: they know the wire, and nothing of the inside.

`Client` is synchronous, `AsyncClient` is what it wraps. Orders and withdrawals are signed here; the
key never travels.
"""

from exchange.sdk.async_client import AsyncClient
from exchange.sdk.book import BookMirror
from exchange.sdk.client import Client
from exchange.sdk.errors import ApiError, BadArgument, ConnectionLost, SdkError
from exchange.sdk.keeper import Keeper
from exchange.sdk.quotes import TwoSided, around_marks
from exchange.sdk.rfq import RfqClient
from exchange.sdk.wallet import Wallet

__all__ = [
    "ApiError",
    "AsyncClient",
    "BadArgument",
    "BookMirror",
    "Client",
    "ConnectionLost",
    "Keeper",
    "RfqClient",
    "SdkError",
    "TwoSided",
    "Wallet",
    "around_marks",
]
