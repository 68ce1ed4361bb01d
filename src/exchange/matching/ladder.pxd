cimport cython
from libc.stdint cimport int64_t

cdef bint COMPILED
cdef int64_t _START

@cython.final
cdef class Ladder:
    cdef int64_t count, room, sign
    cdef int64_t[::1] words
    @cython.locals(low=int64_t, span=int64_t, half=int64_t)
    cdef int64_t seek(self, int64_t rank) noexcept
    @cython.locals(count=int64_t, room=int64_t, at=int64_t)
    cdef int insert(self, int64_t position, int64_t rank, int64_t level) except -1
    @cython.locals(count=int64_t, room=int64_t, at=int64_t)
    cdef void remove(self, int64_t position) noexcept

