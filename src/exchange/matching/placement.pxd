cimport cython
from libc.stdint cimport int64_t

@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Placement:
    cdef readonly int64_t canceled_quantity, price, resting_quantity
    cdef readonly int outcome
    cdef readonly object fills, prevented
