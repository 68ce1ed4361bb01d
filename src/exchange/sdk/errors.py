"""What a client can meet: refusals of the venue, and a connection that broke."""


class SdkError(Exception):
    """Base of everything that this package raises on purpose."""


class ConnectionLost(SdkError):
    """The connection broke before the reply: ask for the order by its nonce."""


class BadArgument(SdkError):
    """A value that cannot be sent: not representable, or a key where none was given."""


class ApiError(SdkError):
    """The venue refused. `reject_reason` names the engine's reason, if it was the engine's."""

    def __init__(
        self, code: int, message: str, *, reason: str = "", param: str = "", reject_reason: str = ""
    ) -> None:
        super().__init__(f"{code} {message}: {reason or param}")
        self.code = code
        self.message = message
        self.reason = reason
        self.param = param
        self.reject_reason = reject_reason
