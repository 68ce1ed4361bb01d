"""Why a command is refused, and why an order ends without being filled: words for the wire.

Part of `events`, from where everybody imports them; so is the base of all events.
"""

from enum import StrEnum

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """Base of all outputs; the tag is the class name."""


class RejectReason(StrEnum):
    """Why a command was refused. The order of members is the order of the checks."""

    BAD_SIGNATURE = "bad_signature"  # the signature is not the signer's over these terms
    NOT_CONFIGURED = "not_configured"  # the venue has no parameters yet
    ESCAPED = "escaped"  # the venue has ended on chain: only exits from there are left
    STALE_VERSION = "stale_version"  # parameters or risk arrays older than those in force
    BAD_PARAMETERS = "bad_parameters"  # no venue can live with these parameters
    BAD_COLLATERAL = "bad_collateral"  # the terms of a token besides USDC cannot bind
    BLOCK_GAP = "block_gap"  # the observed blocks do not follow the last ones
    UNKNOWN_BLOCK = "unknown_block"  # no block that was observed and is remembered, or the newest
    SUBACCOUNT_TAKEN = "subaccount_taken"  # another owner's, and what the lost one had is not gone
    BAD_LINK = "bad_link"  # these orders cannot depend on each other
    BAD_SHEET = "bad_sheet"  # these quotes form no sheet
    BAD_BLOCK = "bad_block"  # these two orders cannot trade as a block
    UNKNOWN_SUBACCOUNT = "unknown_subaccount"  # no such subaccount was opened on chain
    UNAUTHORIZED_SIGNER = "unauthorized_signer"  # neither the owner nor a live session key
    DEADLINE_PASSED = "deadline_passed"  # the signature's deadline is over
    DEADLINE_TOO_FAR = "deadline_too_far"  # the deadline lies beyond the longest allowed
    STALE_NONCE = "stale_nonce"  # the nonce lies below the owner's floor
    IN_LIQUIDATION = "in_liquidation"  # the subaccount is being liquidated
    TRADING_SUSPENDED = "trading_suspended"  # the venue lets this subaccount only reduce
    STALE_SHEET = "stale_sheet"  # a sheet with a higher nonce came before
    NONCE_USED = "nonce_used"  # the nonce and version were signed before with other content
    UNKNOWN_INSTRUMENT = "unknown_instrument"  # no such instrument is listed
    INSTRUMENT_EXPIRED = "instrument_expired"  # its expiry has come
    BAD_COMBO = "bad_combo"  # these legs form no combo
    TOO_MANY_COMBOS = "too_many_combos"  # as many are listed as may be, and all have orders
    LEGS_NOT_SIGNED = "legs_not_signed"  # the signed hash is not that of the combo's legs
    NOT_FOR_COMBOS = "not_for_combos"  # reduce-only, triggers and icebergs are for single legs
    UNKNOWN_ORDER = "unknown_order"  # no such open order of this subaccount
    INSTRUMENT_HALTED = "instrument_halted"  # trading is halted, or an auction cannot take it
    NOT_AMENDABLE = "not_amendable"  # an amend may change price, quantity, fee and deadline only
    TRIGGER_NOT_SIGNED = "trigger_not_signed"  # the signed hash is not that of the trigger
    BAD_TRIGGER = "bad_trigger"  # its price and offset do not fit its kind
    TRIGGER_UNPRICED = "trigger_unpriced"  # the price that it watches does not exist yet
    TRIGGER_REACHED = "trigger_reached"  # it would fire at once
    QUANTITY_NOT_POSITIVE = "quantity_not_positive"  # zero or negative quantity
    QUANTITY_OFF_LOT = "quantity_off_lot"  # not a multiple of the lot size
    QUANTITY_TOO_SMALL = "quantity_too_small"  # below the instrument's minimum, or a withdrawal's
    QUANTITY_TOO_LARGE = "quantity_too_large"  # above the largest order
    BLOCK_TOO_SMALL = "block_too_small"  # below the smallest block
    PRICE_NOT_POSITIVE = "price_not_positive"  # a limit price is at least one tick
    PRICE_OFF_TICK = "price_off_tick"  # not a multiple of the tick size
    MAX_FEE_TOO_LOW = "max_fee_too_low"  # the signed fee limit is below the schedule
    STALE_INDEX = "stale_index"  # no fresh index price: new risk is halted
    NO_MARK = "no_mark"  # the instrument has no risk array yet
    STALE_MARKS = "stale_marks"  # no fresh epoch of risk arrays: new risk is halted
    PRICE_OUTSIDE_BAND = "price_outside_band"  # too far from the mark
    NOT_PROTECTED = "not_protected"  # a protected order needs protection limits
    PROTECTION_FROZEN = "protection_frozen"  # market-maker protection took this maker off
    TOO_MANY_ORDERS = "too_many_orders"  # the subaccount's open orders are at their limit
    OUTSIDE_KEY_SCOPE = "outside_key_scope"  # the session key may not trade this
    KEY_LIMIT = "key_limit"  # the session key's open orders and fills would exceed its day's limit
    ACCESS_DENIED = "access_denied"  # new risk needs an access pass that outlives the deadline
    REDUCE_ONLY_INCREASES = "reduce_only_increases"  # there is no position to reduce that way
    LIQUIDATION_OFF = "liquidation_off"  # the venue is configured to liquidate nobody
    NO_AUCTION = "no_auction"  # no part of this subaccount is for sale now
    STALE_BID = "stale_bid"  # the liquidation went on since the bid was made
    LIQUIDATION_SUSPENDED = "liquidation_suspended"  # prices are stale or trading is halted
    RISK_NOT_REDUCED = "risk_not_reduced"  # this fraction would not lower the requirement
    BID_TOO_LOW = "bid_too_low"  # the auction's price is above the bid's limit
    POSITION_LIMIT = "position_limit"  # holdings could exceed what one subaccount may have
    OPEN_INTEREST_LIMIT = "open_interest_limit"  # they could exceed what all together may have
    EXIT_OPEN = "exit_open"  # the owner's forced exit is served first
    INSUFFICIENT_MARGIN = "insufficient_margin"  # initial margin fails after its worst fill
    DEBT_LIMIT = "debt_limit"  # the venue lends no more cash
    POST_ONLY_WOULD_TRADE = "post_only_would_trade"  # it would take liquidity
    FOK_NOT_FILLABLE = "fok_not_fillable"  # the book cannot fill it whole
    WITHDRAWALS_HELD = "withdrawals_held"  # journal and chain disagree on this subaccount
    INSUFFICIENT_CASH = "insufficient_cash"  # what leaves exceeds free cash or tokens
    BAD_RECIPIENT = "bad_recipient"  # whom the money would go to cannot be paid
    NOT_OFFERED = "not_offered"  # this venue is configured without it
    NOT_EXPIRED = "not_expired"  # the expiry lies ahead
    ALREADY_EXPIRED = "already_expired"  # the expiry was delivered before
    SAMPLES_MISSING = "samples_missing"  # the delivery window has a hole in its index samples
    NOTHING_TO_SETTLE = "nothing_to_settle"  # a batch would be empty
    NOT_NOVATABLE = "not_novatable"  # nothing unsettled that could be replaced so
    NOT_LOCAL = "not_local"  # the clock moves only on a local chain
    PAUSED = "paused"  # the guardian stopped new risk on chain
    RISK_OUT_OF_BOUNDS = "risk_out_of_bounds"  # outside the bounds of adjustments, or none are set
    RISK_TOO_FAST = "risk_too_fast"  # too large a step, or too soon after the last


class CancelReason(StrEnum):
    """Why an order left the book without being filled."""

    BY_OWNER = "by_owner"
    IMMEDIATE_OR_CANCEL = "immediate_or_cancel"
    SELF_TRADE = "self_trade"
    DEADLINE = "deadline"
    EXPIRED = "instrument_expired"
    NONCE_FLOOR = "nonce_floor"
    PROTECTION = "market_maker_protection"
    AUCTION_SELF_TRADE = "auction_self_trade"
    SESSION_KEY = "session_key_revoked"
    ON_CHAIN = "canceled_on_chain"  # its nonce, or its sheet
    ACCESS = "access_pass_ended"
    SUSPENDED = "trading_suspended"  # by an operator
    REDUCE_ONLY = "reduce_only"
    LINKED = "linked_order"
    REPLACED = "quote_replaced"
    LEG_BAND = "leg_band"  # next in the combo's book is a price that the bands of its legs exclude
    TOO_MANY_FILLS = "too_many_fills"  # it traded with as many orders as one command may
    LIQUIDATION = "liquidation"
    FORCED_EXIT = "forced_exit"  # its owner takes the money out by force
    ESCAPE = "escape"  # the venue has ended
    PRICE_BAND = "price_band"  # the chain takes no fill at its price any more
    REVERTED = "subaccount_reverted"  # the chain lost the block that opened its subaccount
    POSITION_LIMIT = "position_limit"  # its owner holds as many instruments as one may
    REFUSED = "refused"  # the wait was over, but a new order like it would be refused
