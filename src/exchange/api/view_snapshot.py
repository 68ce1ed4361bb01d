"""The gateway's picture as bytes and back, for snapshots of the engine's process."""

from typing import Final

from exchange.api.views import VenueView
from exchange.freeze import Foreign, freeze, thaw

_HANDLERS: Final = "_handlers"  # bound to one view: made anew


def frozen_view(view: VenueView) -> bytes:
    """Everything that a view shows."""
    return freeze({name: one for name, one in vars(view).items() if name != _HANDLERS})


def thawed_view(data: bytes) -> VenueView:
    """The view that was frozen; raises `Foreign` where other code did that."""
    view, memory = VenueView(), thaw(data)
    if not isinstance(memory, dict) or {_HANDLERS, *memory} != set(vars(view)):
        raise Foreign("the gateway's view has other fields now")
    vars(view).update(memory)
    setattr(view, _HANDLERS, view.handler_table())
    return view
