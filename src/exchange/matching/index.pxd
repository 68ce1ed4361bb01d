cimport cython
from libc.stdint cimport int64_t

cdef bint COMPILED
cdef int64_t _SPREAD
cdef int _WORD_BITS, _START_BITS, _BLOCK_BITS

cdef class Index:
    cdef int64_t count
    cdef int64_t mask
    cdef int bits
    cdef int[::1] offsets
    cdef int64_t[::1] records
    cdef int[::1] old
    cdef dict table

    cdef int64_t find(self, int64_t order_id) noexcept
    cdef int put(self, int64_t order_id, int64_t offset) except -1
    cdef void drop(self, int64_t order_id) noexcept
    @cython.locals(block=int64_t)
    cdef int64_t _home(self, int64_t order_id) noexcept
    @cython.locals(entry=int64_t, at=int64_t)
    cdef int64_t _seek(self, int64_t order_id) noexcept
    @cython.locals(entry=int64_t, at=int64_t)
    cdef void _close(self, int64_t hole) noexcept
    @cython.locals(size=int64_t, at=int64_t, entry=int64_t)
    cdef int _grow(self) except -1
