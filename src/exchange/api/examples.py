"""Examples of requests and replies for the API's description, made from its schemas.

A value is chosen by the field's name, else by its type; tests decode each request and hold each
reply against its schema.
"""

from typing import Any, Final

from exchange.api.shapes import Schema

INSTRUMENT: Final = "BTC_USDC-25DEC26-100000-C"
_ADDRESS: Final = "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF"
_HASH: Final = "0x" + "5f" * 32
_TIME: Final = 1_795_262_400_000
VALUES: Final[dict[str, Any]] = {
    "address": _ADDRESS,
    "amount": 1,
    "average_price": 1000,
    "channels": ["ticker.BTC_USDC-PERPETUAL.100ms"],
    "client_id": "069db7424269",
    "combo_id": "BTC_USDC-CS-25DEC26-100000_110000",
    "currency": "BTC",
    "deadline": 1_795_266_000,
    "direction": "buy",
    "digest": _HASH,
    "end_timestamp": _TIME,
    "expiration_timestamp": _TIME,
    "fraction": "0.5",
    "grant_type": "client_credentials",
    "index_name": "btc_usdc",
    "index_price": 97_015.5,
    "instrument_id": 1_155_173_304_420_532_224,
    "instrument_name": INSTRUMENT,
    "journal_hash": _HASH,
    "label": "mine",
    "leaf": _HASH,
    "max_fee": 100,
    "nonce": 7,
    "order_id": "1042",
    "owner": _ADDRESS,
    "price": 1000,
    "price_limit": "100",
    "quote_currency": "USDC",
    "recipient": _ADDRESS,
    "root": _HASH,
    "session_key": _ADDRESS,
    "signature": "0x" + "5f" * 64 + "1b",
    "signer": _ADDRESS,
    "start_timestamp": _TIME - 86_400_000,
    "timestamp": _TIME,
    "trade_id": "1042",
}
# Worth showing though they may be left out: what a wallet signs.
_SIGNED: Final = ("price", "subaccount_id", "nonce", "deadline", "max_fee", "signer", "signature")


def request_example(schema: Schema, definitions: dict[str, Schema]) -> dict[str, Any]:
    """Parameters of a method: the required ones, and those that are signed."""
    properties = schema.get("properties", {})
    wanted = set(schema.get("required", ()))
    if "signer" in properties:
        wanted |= set(_SIGNED) & set(properties)
    return {
        name: _value(name, part, definitions) for name, part in properties.items() if name in wanted
    }


def result_example(schema: Schema) -> Any:
    """A result of this shape."""
    return _value("", schema, {})


def _value(name: str, schema: Schema, definitions: dict[str, Schema]) -> Any:
    if "$ref" in schema:
        found = definitions[schema["$ref"].rpartition("/")[2]]
        return request_example(found, definitions)
    for word in ("oneOf", "anyOf", "allOf"):
        if word in schema:
            return _value(name, schema[word][0], definitions)
    if "enum" in schema:
        return VALUES[name] if VALUES.get(name) in schema["enum"] else schema["enum"][0]
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "object":
        parts = schema.get("properties", {})
        return {key: _value(key, part, definitions) for key, part in parts.items()}
    if kind == "array":
        return _list(name, schema, definitions)
    return _plain(name, kind, schema)


def _list(name: str, schema: Schema, definitions: dict[str, Schema]) -> list[Any]:
    if name in VALUES:
        found: list[Any] = VALUES[name]
        return found
    if "prefixItems" in schema:
        return [_value("", part, definitions) for part in schema["prefixItems"]]
    return [_value("", schema["items"], definitions)] * schema.get("minItems", 1)


def _plain(name: str, kind: str, schema: Schema) -> Any:
    value = VALUES.get(name, (schema.get("examples") or [None])[0])
    fitting = {"string": str, "integer": int, "number": int | float, "boolean": bool}
    if value is not None and kind in fitting and isinstance(value, fitting[kind]):
        return value
    if kind == "string":
        return "ok" if "ok" in schema.get("description", "") else "text"
    if kind == "boolean":
        return False
    if kind == "null":
        return None
    least: int = schema.get("minimum", 1)
    return max(1, least)
