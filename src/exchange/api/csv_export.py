"""The past as one CSV file: `GET /api/v2/private/<method>.csv` walks the pages of a method.

Each page is a call like any other, with its credits and its session; the columns are all fields
that any row has. A file has at most `ROWS_MAX` rows: the header `Continuation` then goes on.
"""

import csv
import io
from decimal import Decimal
from typing import Any, Final

import msgspec
from starlette.responses import Response

from exchange.api.dispatch import Dispatcher, Method, Outcome
from exchange.api.gateway import Caller

PAGE: Final = 1_000
ROWS_MAX: Final = 10_000
_decoder: Final = msgspec.json.Decoder(float_hook=Decimal)
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


async def csv_response(
    dispatcher: Dispatcher, method: Method[Any], params: bytes, caller: Caller
) -> Response | Outcome:
    """The file, or the first refusal."""
    asked: dict[str, Any] = _decoder.decode(params)
    wanted = asked.get("count", ROWS_MAX)
    if not isinstance(wanted, int) or wanted < 1:
        return await dispatcher.call_method(method.name, params, caller)  # which refuses it
    if "with_continuation" in method.params.__struct_fields__:
        asked["with_continuation"] = True
    rows: list[dict[str, Any]] = []
    more = ""
    while (left := min(wanted, ROWS_MAX) - len(rows)) > 0:
        asked["count"] = min(left, PAGE)
        outcome = await dispatcher.call_method(method.name, _encoder.encode(asked), caller)
        if outcome.status != 200:
            return outcome
        result = _decoder.decode(outcome.body)["result"]
        rows += next(value for value in result.values() if isinstance(value, list))
        more = result["continuation"] or ""
        if not more:
            break
        asked["continuation"] = more
    name = method.name.removeprefix("private/")
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    if more:
        headers["Continuation"] = more
    return Response(csv_text(rows), 200, headers, "text/csv; charset=utf-8")


def csv_text(rows: list[dict[str, Any]]) -> str:
    """Rows under the fields that any of them has, in the order in which they first come."""
    columns = list(dict.fromkeys(field for row in rows for field in row))
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return file.getvalue()


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case Decimal():
            return format(value, "f")
        case str() | int():
            return str(value)
        case _:
            return msgspec.json.encode(value).decode()
