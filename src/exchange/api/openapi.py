"""OpenAPI of the plain HTTP routes, from the method table and the parameter structs."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from exchange.api import shapes
from exchange.api.dispatch import Method
from exchange.api.errors import REJECTIONS, ExchangeError, Rejected
from exchange.api.examples import request_example, result_example
from exchange.api.field_words import FIELDS, PARAMETERS
from exchange.api.result_shapes import RESULTS

_USED: Final = {"usIn": 1_795_262_400_000_000, "usOut": 1_795_262_400_000_210, "usDiff": 210}
_REPLY: Final = {
    "type": "object",
    "required": ["jsonrpc", "usIn", "usOut", "usDiff", "testnet"],
    "properties": {
        "jsonrpc": {"const": "2.0", "description": "Always 2.0"},
        "id": {"type": ["integer", "string", "null"], "description": "As in the request"},
        "result": {"description": "The method's result"},
        "usIn": {"type": "integer", "description": "UTC microseconds when the request came"},
        "usOut": {"type": "integer", "description": "UTC microseconds when the reply left"},
        "usDiff": {"type": "integer", "description": "Microseconds between them"},
        "testnet": {"type": "boolean", "description": "Whether the money is play money"},
    },
}
_ERROR: Final = {
    "type": "object",
    "required": ["jsonrpc", "error"],
    "properties": {
        "jsonrpc": {"const": "2.0", "description": "Always 2.0"},
        "id": {"type": ["integer", "string", "null"], "description": "As in the request"},
        "error": {
            "type": "object",
            "description": "What went wrong",
            "required": ["code", "message", "data"],
            "properties": {
                "code": {"type": "integer", "description": "Deribit's error code"},
                "message": {"type": "string", "description": "Deribit's name of it"},
                "data": {
                    "type": "object",
                    "description": "More of it",
                    "properties": {
                        "reason": {"type": "string", "description": "What is wrong, in words"},
                        "param": {"type": "string", "description": "Which parameter"},
                        "reject_reason": {
                            "type": "string",
                            "description": "The engine's name of the refusal",
                            "enum": [reason.value for reason in REJECTIONS],
                        },
                    },
                },
            },
        },
    },
}


# Rows that many results are made of, each said once.
SHARED: Final = {
    "Account": shapes.ACCOUNT,
    "Greeks": shapes.GREEKS,
    "Levels": shapes.LEVELS,
    "Liquidation": shapes.LIQUIDATION,
    "Order": shapes.ORDER,
    "Position": shapes.POSITION,
    "RfqLeg": shapes.RFQ_LEG,
    "RfqMaker": shapes.RFQ_MAKER,
    "RfqTaker": shapes.RFQ_TAKER,
    "Trade": shapes.TRADE,
    "UserTrade": shapes.USER_TRADE,
}


def components(methods: Iterable[Method[Any]]) -> dict[str, Any]:
    """What operations share: replies, errors by status, and what parameters are made of."""
    parts: dict[str, Any] = {name: _with_references(row, name) for name, row in SHARED.items()}
    examples: dict[str, Any] = {}
    errors: dict[str, Any] = {}
    for method in methods:
        for name, schema in _definitions(method).items():
            assert parts.setdefault(name, schema) == schema, f"two schemas are named {name}"
        found = _with_references(RESULTS[method.name])
        result = {"type": "object", "properties": {"result": found}}
        parts[_reply_name(method)] = {"allOf": [{"$ref": _place("Reply")}, result]}
        examples[_reply_name(method)] = {"value": _reply_example(method)}
        for status, codes in _codes(method).items():
            errors[_errors_name(method, status)] = _error_response(codes)
    return {
        "schemas": parts | {"Reply": _REPLY, "Error": _ERROR},
        "responses": errors,
        "examples": examples,  # here, since FastAPI leaves nulls out of what it is given
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
    }


def _with_references(schema: Any, within: str = "") -> Any:
    """The same with a reference in the place of each shared row; `within` is not one itself."""
    if isinstance(schema, list):
        return [_with_references(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    for name, shared in SHARED.items():
        if name != within and schema == shared:
            return {"$ref": _place(name)}
    return {key: _with_references(one) for key, one in schema.items()}


def _errors_name(method: Method[Any], status: int) -> str:
    return f"Errors_{status}_orders" if method.matching else f"Errors_{status}"


def _reply_name(method: Method[Any]) -> str:
    return "Reply_" + method.name.replace("/", "_")


def _place(name: str) -> str:
    return f"#/components/schemas/{name}"


def operation(method: Method[Any], verb: str, *, needs_session: bool) -> dict[str, Any]:
    """What FastAPI adds to the route of a method."""
    definitions = _definitions(method)
    schema = definitions[method.params.__name__]
    example = request_example(schema, definitions)
    extra: dict[str, Any] = {"responses": _responses(method)}
    if verb == "GET":
        required = schema.get("required", [])
        extra["parameters"] = [
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "schema": property_schema,
                "description": property_schema.get("description", ""),
                **({"example": example[name]} if _plain(example.get(name)) else {}),
            }
            for name, property_schema in schema.get("properties", {}).items()
        ]
    else:
        body = {"$ref": _place(method.params.__name__)}
        extra["requestBody"] = {
            "content": {"application/json": {"schema": body, "example": example}},
            "required": bool(schema.get("required")),
        }
    if needs_session:
        extra["security"] = [{"bearer": []}]
    return extra


def _plain(value: object) -> bool:
    """Whether a query can carry it as it is."""
    return isinstance(value, str | int | float)


def _reply_example(method: Method[Any]) -> dict[str, Any]:
    result = result_example(RESULTS[method.name])
    return {"jsonrpc": "2.0", "id": 1, "result": result, "testnet": True} | _USED


def csv_operation(method: Method[Any]) -> dict[str, Any]:
    """The same of its CSV file."""
    extra = operation(method, "GET", needs_session=True)
    file = {"description": "Rows under their fields' names", "content": {"text/csv": {}}}
    return extra | {"responses": extra["responses"] | {"200": file}}


def _definitions(method: Method[Any]) -> dict[str, Any]:
    """The parameters' schemas, each field with what it means."""
    found = msgspec.json.schema_components([method.params], ref_template=_place("{name}"))[1]
    for schema in found.values():
        for name, part in schema.get("properties", {}).items():
            if "$ref" not in part and "description" not in part:
                part["description"] = _words(name, part)
    return found


def _words(name: str, part: dict[str, Any]) -> str:
    """Of a parameter: its type's own, or by its name."""
    own = (one["description"] for one in part.get("anyOf", ()) if "description" in one)
    return next(own, "") or PARAMETERS.get(name) or FIELDS[name][1]


def _responses(method: Method[Any]) -> dict[str, Any]:
    """The reply, and every status with the codes that it may carry."""
    name = _reply_name(method)
    shown: dict[str, Any] = {"reply": {"$ref": f"#/components/examples/{name}"}}
    errors = {
        str(status): {"$ref": f"#/components/responses/{_errors_name(method, status)}"}
        for status in _codes(method)
    }
    return {"200": _response(name, "The result", shown)} | errors


def _error_response(codes: list[tuple[int, str]]) -> dict[str, Any]:
    code, name = codes[0]
    error = {"code": code, "message": name, "data": {"reason": "what is wrong, in words"}}
    words = "Errors: " + ", ".join(f"{number} {words}" for number, words in codes)
    return _response(
        "Error", words, {"error": {"value": {"jsonrpc": "2.0", "id": 1, "error": error}}}
    )


def _response(schema: str, words: str, examples: dict[str, Any]) -> dict[str, Any]:
    content = {"schema": {"$ref": _place(schema)}, "examples": examples}
    return {"description": words, "content": {"application/json": content}}


def _codes(method: Method[Any]) -> dict[int, list[tuple[int, str]]]:
    """Error codes by HTTP status; the engine's refusals where a method sends commands."""
    errors = [one for one in _tree(ExchangeError) if "code" in vars(one)]
    found = {(one.http_status, one.code, one.message) for one in errors}
    if method.matching:
        found |= {(Rejected.http_status, code, name) for code, name, _ in REJECTIONS.values()}
    codes: dict[int, list[tuple[int, str]]] = {}
    for status, code, name in sorted(found):
        codes.setdefault(status, []).append((code, name))
    return codes


def _tree(error: type[ExchangeError]) -> list[type[ExchangeError]]:
    return [error] + [leaf for child in error.__subclasses__() for leaf in _tree(child)]
