"""Processor instructions for compiled code: atomic updates, yielding a core, prefetching."""

import os
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: Bytes of a cache line.
CACHE_LINE = 64


def _atomic(operation: str) -> Any:
    """Return an intrinsic for an atomic operation on an element of a contiguous int64 array."""

    def typed(_typing: Any, array: Any, index: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            values = context.make_array(signature.args[0])(context, builder, given[0])
            return builder.atomic_rmw(operation, builder.gep(values.data, [given[1]]), given[2], "seq_cst")

        return types.int64(array, index, value), generate

    return intrinsic(typed)


def _yield_core(_typing: Any) -> Any:
    """Offer the core to another thread; do nothing on a system without such a call."""

    def generate(context: Any, builder: Any, _signature: Any, _given: Any) -> Any:
        if os.name == "posix":
            function: Any = cgutils.get_or_insert_function
            builder.call(function(builder.module, ir.FunctionType(ir.IntType(32), []), "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), generate


def _fetch(_typing: Any, array: Any, index: Any) -> Any:
    """Prefetch the cache line of an element of a contiguous array, by its flat index."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        values = context.make_array(signature.args[0])(context, builder, given[0])
        place = builder.gep(values.data, [given[1]])
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        function: Any = cgutils.get_or_insert_function
        # For reading, into all caches, data.
        builder.call(function(builder.module, kind, "llvm.prefetch.p0"), [place, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, index), generate


#: `add(array, index, value)` and `exchange(array, index, value)` return the old value of the element.
add, exchange = _atomic("add"), _atomic("xchg")
#: `yield_core()` and `fetch(array, index)`.
yield_core: Any = intrinsic(_yield_core)
fetch: Any = intrinsic(_fetch)
