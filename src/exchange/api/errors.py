"""Every refusal the wire can show: one tree, Deribit's codes, one sentence each.

Nothing here knows HTTP frameworks or the engine; `docs/api.md` lists the same tables and a test
compares them. A message never repeats secrets or foreign data, only what the caller sent.
"""

from typing import ClassVar, Final

from exchange.events import RejectReason

REASON_LENGTH_MAX: Final = 300  # reasons quote input; input is long


class ExchangeError(Exception):
    """Base of all errors that clients see: a Deribit code, a short name, a reason and a field."""

    code: ClassVar[int] = 11031
    message: ClassVar[str] = "other_error"
    http_status: ClassVar[int] = 400

    def __init__(self, reason: str = "", param: str = "") -> None:
        super().__init__(reason)
        self.reason = reason[:REASON_LENGTH_MAX]
        self.param = param

    def payload(self) -> dict[str, object]:
        """The `error` object of a reply."""
        data = {}
        if self.reason:
            data["reason"] = self.reason
        if self.param:
            data["param"] = self.param
        return {"code": self.code, "message": self.message, "data": data}


class ParseError(ExchangeError):
    """The text is not JSON."""

    code, message = -32700, "Parse error"


class InvalidRequest(ExchangeError):
    """The JSON is not a JSON-RPC 2.0 request."""

    code, message = -32600, "Invalid Request"


class MethodNotFound(ExchangeError):
    """No such method."""

    code, message, http_status = -32601, "Method not found", 404


class InvalidParams(ExchangeError):
    """A parameter is missing, unknown, of the wrong type or not representable."""

    code, message = -32602, "Invalid params"


class BodyTooLarge(ExchangeError):
    """The request exceeds the size limit."""

    code, message, http_status = 11050, "bad_request", 413


class BadRequest(ExchangeError):
    """The request contradicts itself or the state that it names."""

    code, message = 11050, "bad_request"


class UnknownInstrument(ExchangeError):
    """The named instrument, currency or index does not exist."""

    code, message = 10020, "invalid_or_unsupported_instrument"


class OrderNotFound(ExchangeError):
    """No such order is visible to the caller."""

    code, message = 10004, "order_not_found"


class NotFound(ExchangeError):
    """No such thing is visible to the caller."""

    code, message, http_status = 13020, "not_found", 404


class MustBeWebSocket(ExchangeError):
    """The method makes sense only on a WebSocket."""

    code, message = 10030, "must_be_websocket_request"


class Unauthorized(ExchangeError):
    """The method needs a session; there is none, or its token is over."""

    code, message, http_status = 13009, "unauthorized", 401


class InvalidCredentials(ExchangeError):
    """The sign-in message, key, secret, nonce, time or signature does not hold."""

    code, message, http_status = 13004, "invalid_credentials", 401


class Forbidden(ExchangeError):
    """The session may not touch this subaccount, or its scope lacks this."""

    code, message, http_status = 13021, "forbidden", 403


class TooManyRequests(ExchangeError):
    """A rate or a limit on connections, subscriptions or sessions is reached."""

    code, message, http_status = 10028, "too_many_requests", 429


class Busy(ExchangeError):
    """The queue to the sequencer is full; nothing was done, try again."""

    code, message, http_status = 10047, "matching_engine_queue_full", 503


class Unavailable(ExchangeError):
    """The venue cannot answer yet: no parameters, or it is stopping."""

    code, message, http_status = 13028, "temporarily_unavailable", 503


class TimedOut(ExchangeError):
    """Nobody said in time what became of it: look for its nonce or label, then decide."""

    code, message, http_status = 13888, "timed_out", 504


class InternalError(ExchangeError):
    """A bug of ours; the log knows more than the caller may."""

    code, message, http_status = 11094, "internal_server_error", 500


class Rejected(ExchangeError):
    """The engine (or the gateway in its name) refused a command for a named reason."""

    def __init__(self, reject_reason: RejectReason, detail: str = "") -> None:
        code, message, param = REJECTIONS[reject_reason]
        text = f"{reject_reason.value}: {detail}" if detail else reject_reason.value
        super().__init__(text, param)
        self.reject_reason = reject_reason
        self._code, self._message = code, message

    def payload(self) -> dict[str, object]:
        """The `error` object; `data.reject_reason` is the bare name for programs."""
        data: dict[str, object] = {"reason": self.reason, "reject_reason": self.reject_reason.value}
        if self.param:
            data["param"] = self.param
        return {"code": self._code, "message": self._message, "data": data}


# reason: Deribit's code and message, and the parameter to look at. Order as in RejectReason.
REJECTIONS: Final[dict[RejectReason, tuple[int, str, str]]] = {
    RejectReason.BAD_SIGNATURE: (13004, "invalid_credentials", "signature"),
    RejectReason.NOT_CONFIGURED: (13028, "temporarily_unavailable", ""),
    RejectReason.ESCAPED: (11030, "other_reject", ""),
    RejectReason.STALE_VERSION: (11050, "bad_request", "version"),
    RejectReason.BAD_PARAMETERS: (11050, "bad_request", "configure"),
    RejectReason.BAD_COLLATERAL: (11050, "bad_request", "collaterals"),
    RejectReason.BLOCK_GAP: (11050, "bad_request", "first_block"),
    RejectReason.UNKNOWN_BLOCK: (11050, "bad_request", "last_block"),
    RejectReason.SUBACCOUNT_TAKEN: (11050, "bad_request", "observations"),
    RejectReason.BAD_LINK: (11049, "bad_arguments", "orders"),
    RejectReason.BAD_SHEET: (11049, "bad_arguments", "quotes"),
    RejectReason.BAD_BLOCK: (11049, "bad_arguments", "price"),
    RejectReason.UNKNOWN_SUBACCOUNT: (13007, "user_not_found", "subaccount_id"),
    RejectReason.UNAUTHORIZED_SIGNER: (13021, "forbidden", "signer"),
    RejectReason.DEADLINE_PASSED: (11049, "bad_arguments", "deadline"),
    RejectReason.DEADLINE_TOO_FAR: (11049, "bad_arguments", "deadline"),
    RejectReason.STALE_NONCE: (11049, "bad_arguments", "nonce"),
    RejectReason.IN_LIQUIDATION: (11051, "system_maintenance", "subaccount_id"),
    RejectReason.TRADING_SUSPENDED: (10019, "locked_by_admin", "subaccount_id"),
    RejectReason.STALE_SHEET: (11049, "bad_arguments", "sheet_nonce"),
    RejectReason.NONCE_USED: (11049, "bad_arguments", "nonce"),
    RejectReason.UNKNOWN_INSTRUMENT: (
        10020,
        "invalid_or_unsupported_instrument",
        "instrument_name",
    ),
    RejectReason.INSTRUMENT_EXPIRED: (10012, "book_closed", "instrument_name"),
    RejectReason.BAD_COMBO: (11049, "bad_arguments", "trades"),
    RejectReason.TOO_MANY_COMBOS: (10028, "too_many_requests", "trades"),
    RejectReason.LEGS_NOT_SIGNED: (11049, "bad_arguments", "signature"),
    RejectReason.NOT_FOR_COMBOS: (11047, "unsupported_arg_combination", "instrument_name"),
    RejectReason.UNKNOWN_ORDER: (11044, "not_open_order", "order_id"),
    RejectReason.INSTRUMENT_HALTED: (11051, "system_maintenance", "instrument_name"),
    RejectReason.NOT_AMENDABLE: (11047, "unsupported_arg_combination", "order_id"),
    RejectReason.TRIGGER_NOT_SIGNED: (11049, "bad_arguments", "signature"),
    RejectReason.BAD_TRIGGER: (11049, "bad_arguments", "trigger_price"),
    RejectReason.TRIGGER_UNPRICED: (11030, "other_reject", "trigger"),
    RejectReason.TRIGGER_REACHED: (11030, "other_reject", "trigger_price"),
    RejectReason.QUANTITY_NOT_POSITIVE: (10021, "invalid_amount", "amount"),
    RejectReason.QUANTITY_OFF_LOT: (10021, "invalid_amount", "amount"),
    RejectReason.QUANTITY_TOO_SMALL: (10002, "qty_too_low", "amount"),
    RejectReason.QUANTITY_TOO_LARGE: (10022, "invalid_quantity", "amount"),
    RejectReason.BLOCK_TOO_SMALL: (10002, "qty_too_low", "amount"),
    RejectReason.PRICE_NOT_POSITIVE: (10023, "invalid_price", "price"),
    RejectReason.PRICE_OFF_TICK: (10043, "price_wrong_tick", "price"),
    RejectReason.MAX_FEE_TOO_LOW: (11049, "bad_arguments", "max_fee"),
    RejectReason.STALE_INDEX: (10012, "book_closed", "instrument_name"),
    RejectReason.NO_MARK: (10012, "book_closed", "instrument_name"),
    RejectReason.STALE_MARKS: (10012, "book_closed", "instrument_name"),
    RejectReason.PRICE_OUTSIDE_BAND: (10011, "price_not_allowed", "price"),
    RejectReason.NOT_PROTECTED: (11049, "bad_arguments", "mmp"),
    RejectReason.PROTECTION_FROZEN: (11030, "other_reject", "mmp"),
    RejectReason.TOO_MANY_ORDERS: (10013, "max_total_open_orders", "subaccount_id"),
    RejectReason.OUTSIDE_KEY_SCOPE: (13021, "forbidden", "signer"),
    RejectReason.KEY_LIMIT: (13021, "forbidden", "amount"),
    RejectReason.ACCESS_DENIED: (13021, "forbidden", "subaccount_id"),
    RejectReason.REDUCE_ONLY_INCREASES: (11030, "other_reject", "reduce_only"),
    RejectReason.LIQUIDATION_OFF: (11050, "bad_request", ""),
    RejectReason.NO_AUCTION: (11050, "bad_request", "liquidated_id"),
    RejectReason.STALE_BID: (10040, "retry", "expected_step"),
    RejectReason.LIQUIDATION_SUSPENDED: (10012, "book_closed", "liquidated_id"),
    RejectReason.RISK_NOT_REDUCED: (11030, "other_reject", "fraction"),
    RejectReason.BID_TOO_LOW: (10011, "price_not_allowed", "price_limit"),
    RejectReason.POSITION_LIMIT: (10009, "not_enough_funds", "amount"),
    RejectReason.OPEN_INTEREST_LIMIT: (10009, "not_enough_funds", "amount"),
    RejectReason.EXIT_OPEN: (11030, "other_reject", ""),
    RejectReason.INSUFFICIENT_MARGIN: (10009, "not_enough_funds", "amount"),
    RejectReason.DEBT_LIMIT: (10009, "not_enough_funds", "amount"),
    RejectReason.POST_ONLY_WOULD_TRADE: (11054, "post_only_reject", "post_only"),
    RejectReason.FOK_NOT_FILLABLE: (11030, "other_reject", "time_in_force"),
    RejectReason.WITHDRAWALS_HELD: (11030, "other_reject", ""),
    RejectReason.INSUFFICIENT_CASH: (10009, "not_enough_funds", "amount"),
    RejectReason.BAD_RECIPIENT: (11090, "invalid_addr", "address"),
    RejectReason.NOT_OFFERED: (11042, "permission_denied", ""),
    RejectReason.NOT_EXPIRED: (11050, "bad_request", "expiry"),
    RejectReason.ALREADY_EXPIRED: (11050, "bad_request", "expiry"),
    RejectReason.SAMPLES_MISSING: (10040, "retry", "expiry"),
    RejectReason.NOTHING_TO_SETTLE: (11050, "bad_request", ""),
    RejectReason.NOT_NOVATABLE: (11050, "bad_request", ""),
    RejectReason.NOT_LOCAL: (11042, "permission_denied", ""),
    RejectReason.PAUSED: (10012, "book_closed", ""),
    RejectReason.RISK_OUT_OF_BOUNDS: (11050, "bad_request", "scan"),
    RejectReason.RISK_TOO_FAST: (10040, "retry", "scan"),
}
