"""OpenAPI of the plain HTTP routes, from the method table and the parameter structs."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from exchange.api.dispatch import Method
from exchange.api.errors import REJECTIONS, ExchangeError

_REPLY: Final = {
    "type": "object",
    "required": ["jsonrpc", "usIn", "usOut", "usDiff", "testnet"],
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": {"type": ["integer", "string", "null"]},
        "result": {"description": "The method's result"},
        "usIn": {"type": "integer", "description": "UTC microseconds when the request came"},
        "usOut": {"type": "integer", "description": "UTC microseconds when the reply left"},
        "usDiff": {"type": "integer", "description": "Microseconds between them"},
        "testnet": {"type": "boolean"},
    },
}
_ERROR: Final = {
    "type": "object",
    "required": ["jsonrpc", "error"],
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": {"type": ["integer", "string", "null"]},
        "error": {
            "type": "object",
            "required": ["code", "message", "data"],
            "properties": {
                "code": {"type": "integer", "description": "Deribit's error code"},
                "message": {"type": "string"},
                "data": {
                    "type": "object",
                    "properties": {
                        "reason": {"type": "string", "description": "What is wrong, in words"},
                        "param": {"type": "string", "description": "Which parameter"},
                        "reject_reason": {
                            "type": "string",
                            "enum": [reason.value for reason in REJECTIONS],
                        },
                    },
                },
            },
        },
    },
}


def components(methods: Iterable[Method[Any]]) -> dict[str, Any]:
    """Schemas that operations share: replies, and what parameters are made of."""
    parts: dict[str, Any] = {}
    for method in methods:
        parts |= _definitions(method)
    return {
        "schemas": parts | {"Reply": _REPLY, "Error": _ERROR},
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
    }


def operation(method: Method[Any], verb: str, *, needs_session: bool) -> dict[str, Any]:
    """What FastAPI adds to the route of a method."""
    schema = _params_schema(method)
    extra: dict[str, Any] = {"responses": _responses()}
    if verb == "GET":
        required = schema.get("required", [])
        extra["parameters"] = [
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "schema": property_schema,
                "description": property_schema.get("description", ""),
            }
            for name, property_schema in schema.get("properties", {}).items()
        ]
    else:
        extra["requestBody"] = {
            "content": {"application/json": {"schema": schema}},
            "required": bool(schema.get("required")),
        }
    if needs_session:
        extra["security"] = [{"bearer": []}]
    return extra


def csv_operation(method: Method[Any]) -> dict[str, Any]:
    """The same of its CSV file."""
    extra = operation(method, "GET", needs_session=True)
    file = {"description": "Rows under their fields' names", "content": {"text/csv": {}}}
    return extra | {"responses": extra["responses"] | {"200": file}}


def _params_schema(method: Method[Any]) -> dict[str, Any]:
    schema: dict[str, Any] = _definitions(method)[method.params.__name__]
    return schema


def _definitions(method: Method[Any]) -> dict[str, Any]:
    template = "#/components/schemas/{name}"
    return msgspec.json.schema_components([method.params], ref_template=template)[1]


def _responses() -> dict[str, Any]:
    def reference(name: str, description: str) -> dict[str, Any]:
        schema = {"$ref": f"#/components/schemas/{name}"}
        return {"description": description, "content": {"application/json": {"schema": schema}}}

    statuses = sorted({error.http_status for error in _tree(ExchangeError)})
    return {"200": reference("Reply", "The result")} | {
        str(status): reference("Error", "An error in Deribit's shape") for status in statuses
    }


def _tree(error: type[ExchangeError]) -> list[type[ExchangeError]]:
    return [error] + [leaf for child in error.__subclasses__() for leaf in _tree(child)]
