"""AsyncAPI of the channels, from the table that names them: what is sent is what is described."""

import re
from typing import Any, Final

from exchange.api.channel_names import FAMILIES, PARTS, Family

_LOSS: Final = {
    "none": "No message is ever dropped; a client that does not read is closed with 1013",
    "latest": "A slow reader gets the newest message only",
    "snapshot": "A slow reader gets a snapshot in the place of many changes",
}


def document(title: str, version: str, public_url: str) -> dict[str, Any]:
    """The document of a venue that is reached at `public_url`."""
    scheme, _, host = public_url.partition("://")
    protocol = "wss" if scheme == "https" else "ws"
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": title,
            "version": version,
            "description": "Join with public/subscribe or private/subscribe over JSON-RPC 2.0; "
            "each channel then sends its first data, and goes on until you leave it.",
        },
        "defaultContentType": "application/json",
        "servers": {"venue": {"host": host, "pathname": "/ws/api/v2", "protocol": protocol}},
        "channels": dict(_channels()),
        "operations": {
            _key(family, place): {
                "action": "send",
                "summary": family.summary,
                "channel": {"$ref": f"#/channels/{_key(family, place)}"},
            }
            for family in FAMILIES
            for place in range(len(family.addresses))
        },
        "components": {
            "messages": {family.name: _message(family) for family in FAMILIES},
            "securitySchemes": {"session": {"type": "http", "scheme": "bearer"}},
        },
    }


def payload(family: Family) -> dict[str, Any]:
    """The schema of a family's messages."""
    names = "|".join(re.sub(r"\(\?P<\w+>", "(", one.pattern) for one in family.patterns)
    return {
        "type": "object",
        "required": ["jsonrpc", "method", "params"],
        "additionalProperties": False,
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "method": {"const": "subscription"},
            "params": {
                "type": "object",
                "required": ["channel", "data"],
                "additionalProperties": False,
                "properties": {
                    "channel": {"type": "string", "pattern": f"^({names})$"},
                    "data": family.data,
                },
            },
        },
    }


def _key(family: Family, place: int) -> str:
    return family.name if not place else f"{family.name}.{place + 1}"


def _channels() -> Any:
    for family in FAMILIES:
        for place, address in enumerate(family.addresses):
            yield (
                _key(family, place),
                {
                    "address": address,
                    "summary": family.summary,
                    "description": _LOSS[family.loss],
                    "messages": {"data": {"$ref": f"#/components/messages/{family.name}"}},
                    "parameters": {
                        name: _parameter(name) for name in re.findall(r"\{(\w+)\}", address)
                    },
                },
            )


def _parameter(name: str) -> dict[str, Any]:
    part = PARTS[name]
    if part.values:
        return {"description": part.words, "enum": list(part.values)}
    return {"description": part.words, "examples": [part.example]}


def _message(family: Family) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": family.summary, "payload": payload(family)}
    if family.scope:
        found["description"] = f"Needs a session with {family.scope}."
    return found
