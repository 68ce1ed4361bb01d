cimport cython
from libc.stdint cimport int64_t
from exchange.matching.index cimport Index
from exchange.matching.ladder cimport Ladder
from exchange.matching.placement cimport Placement

cdef int64_t POST_ONLY_SHIFT, PREVENTION_SHIFT, NO_MATCH, FIELD
cdef int64_t IOC, FOK, POST_ONLY_REJECT, CANCEL_TAKER, CANCEL_MAKER, CANCEL_BOTH
cdef int RESTING, CUT_SHORT, FILLED, SELF_TRADE_CANCELED, UNFILLED, FOK_REFUSED, POST_ONLY_REFUSED
cdef int64_t _RECORD, _ORDER_ID, _OWNER, _REMAINING, _DISPLAYED, _MAX_SHOW, _BEFORE, _AFTER, _LEVEL
cdef int64_t _SUBACCOUNT, _RANK, _SIDE, _COUNT, _START

cdef tuple _NOTHING

@cython.locals(placement=Placement)
cdef Placement _placement(int64_t price)

@cython.final
cdef class OrderBook(Index):
    cdef Ladder asks, bids
    cdef int64_t _free, _used
    cdef public int64_t fills_max
    cdef readonly int64_t price_min, tick_size
    @cython.locals(placement=Placement, left=int64_t, at=int64_t)
    cpdef Placement place(self, int64_t order_id, int64_t subaccount_id, int64_t owner_key, int side, int64_t price, int64_t quantity, int64_t word=*, int64_t max_show=*)
    @cython.locals(placement=Placement)
    cpdef Placement amend(self, int64_t order_id, int64_t price, int64_t quantity, int64_t word=*, int64_t max_show=*)
    @cython.locals(at=int64_t, removed=int64_t)
    cpdef int64_t reduce(self, int64_t order_id, int64_t quantity) except -1
    @cython.locals(at=int64_t)
    cpdef int64_t cancel(self, int64_t order_id) except -1
    cdef Ladder _ladder(self, int side)
    cdef int _assert_terms(self, int side, int64_t price, int64_t quantity, int64_t max_show) except -1
    @cython.locals(at=int64_t)
    cdef int64_t _new_record(self) except -1
    cdef void _free_record(self, int64_t at) noexcept
    @cython.locals(level=int64_t, at=int64_t, displayed=int64_t)
    cdef int64_t _append(self, int64_t order_id, int64_t owner_key, int side, int64_t price, int64_t quantity, int64_t max_show) except -1
    @cython.locals(ladder=Ladder, rank=int64_t, position=int64_t, level=int64_t)
    cdef int64_t _level(self, int side, int64_t price) except -1
    @cython.locals(last=int64_t)
    cdef void _link(self, int64_t level, int64_t at) noexcept
    @cython.locals(before=int64_t, after=int64_t)
    cdef void _unlink(self, int64_t at) noexcept
    @cython.locals(level=int64_t, remaining=int64_t, ladder=Ladder)
    cdef int64_t _remove(self, int64_t at) noexcept
    @cython.locals(level=int64_t)
    cdef void _shrink(self, int64_t at, int64_t quantity) noexcept
    @cython.locals(post_only=int64_t, prevention=int64_t, refused=bint)
    cdef bint _refuses(self, Placement placement, int64_t owner_key, int side, int64_t quantity, int64_t word) except -1
    @cython.locals(opposite=Ladder, best=int64_t, price=int64_t)
    cdef bint _post_only_refuses(self, Placement placement, int side, int64_t post_only) except -1
    @cython.locals(ladder=Ladder, position=int64_t, level=int64_t, total=int64_t, ahead=int64_t, at=int64_t, fills=int64_t, slices=int64_t, hidden=int64_t)
    cdef bint _fillable(self, int64_t price, int64_t owner_key, int side, int64_t quantity, int64_t prevention) except -1
    @cython.locals(ladder=Ladder, limit=int64_t, price=int64_t, maker=int64_t, traded=int64_t, fills=list)
    cdef int64_t _match(self, Placement placement, int64_t owner_key, int side, int64_t quantity, int64_t word) except -1
    @cython.locals(level=int64_t, displayed=int64_t)
    cdef void _take(self, int64_t maker, int64_t traded) noexcept
    @cython.locals(prevention=int64_t, order_id=int64_t, removed=int64_t, rests=int64_t, lost=int64_t)
    cdef int64_t _prevent(self, Placement placement, int64_t maker, int64_t quantity, int64_t word) except -1
    @cython.locals(level=int64_t, side=int, rank=int64_t)
    cdef _order(self, int64_t at)
    @cython.locals(at=int64_t)
    cpdef take(self, int64_t order_id, int64_t quantity)
    @cython.locals(at=int64_t, level=int64_t)
    cpdef restore(self, int64_t order_id, int64_t subaccount_id, int64_t owner_key, int side, int64_t price, int64_t remaining_quantity, int64_t max_show, int64_t displayed_quantity)
    @cython.locals(at=int64_t)
    cpdef get(self, int64_t order_id)
    @cython.locals(ladder=Ladder, count=int64_t, last=int64_t, position=int64_t, level=int64_t, price=int64_t)
    cpdef list levels(self, int side, int64_t depth)
    @cython.locals(ladder=Ladder, last=int64_t, position=int64_t, level=int64_t, at=int64_t)
    cpdef list orders(self, int side, int64_t depth=*)
    @cython.locals(at=int64_t)
    cpdef check(self)
    @cython.locals(position=int64_t)
    cdef int64_t _check_ladder(self, Ladder ladder, int side) except -1
    @cython.locals(count=int64_t, remaining=int64_t, displayed=int64_t, before=int64_t, at=int64_t, limit=int64_t)
    cdef int64_t _check_level(self, int64_t level, int64_t rank, int side) except -1
