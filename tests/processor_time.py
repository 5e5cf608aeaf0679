"""A bound on the processor time of a call, which other processes do not lengthen."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_once(seconds: float = 1.0) -> Iterator[None]:
    """Let a block take so many seconds, without those of the garbage collector.

    The collector walks through what all earlier tests of the process have left.
    """
    gc.disable()
    try:
        began = time.process_time()
        yield
        assert time.process_time() - began < seconds
    finally:
        gc.enable()
