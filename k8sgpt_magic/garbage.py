"""Garbage collection, held off while many objects are made that stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """The garbage collector would walk a whole cluster again and again, and there are no cycles in it to find."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if not gc.get_freeze_count():
                # What was made meanwhile joins the oldest generation without being walked as a young one.
                gc.freeze()
                gc.unfreeze()
            gc.enable()
