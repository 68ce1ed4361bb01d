"""What other parameters would do to live accounts, computed beside the state and never in it."""

from collections.abc import Iterable

import msgspec

from exchange.commands import Configure, UpdateMarks
from exchange.engine.state import Venue


class Preview(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One subaccount before and after a change, excesses in micro-USDC."""

    subaccount_id: int
    initial_before: int
    initial_after: int
    maintenance_before: int
    maintenance_after: int

    @property
    def liquidated(self) -> bool:
        """Whether the change alone would make it liquidatable."""
        return self.maintenance_before >= 0 > self.maintenance_after

    @property
    def restricted(self) -> bool:
        """Whether the change alone would keep it from taking more risk."""
        return self.initial_before >= 0 > self.initial_after


def preview(
    venue: Venue,
    subaccount_ids: Iterable[int],
    parameters: Configure,
    update: UpdateMarks | None,
) -> list[Preview]:
    """Subaccounts under `parameters` and `update` (None: the rows in force), unknown ones left out.

    Complexity: O(accounts * legs * scenarios).
    """
    book = venue.marks.under(parameters, update)
    found = []
    for subaccount_id in subaccount_ids:
        subaccount = venue.subaccounts.get(subaccount_id)
        if subaccount is None:
            continue
        account = subaccount.account
        changed = account.under(book)
        found.append(
            Preview(
                subaccount_id=subaccount_id,
                initial_before=account.initial_excess(),
                initial_after=changed.initial_excess(),
                maintenance_before=account.maintenance_excess(),
                maintenance_after=changed.maintenance_excess(),
            )
        )
    return found
