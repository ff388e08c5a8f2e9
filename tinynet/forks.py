"""Locks that a fork waits for: a child finds nothing half done, and no lock that is held by a thread it does not have."""

import os
import threading

_locks: dict[int, threading.RLock] = {}  # type: ignore[valid-type]


def lock(level: int):
    """The lock of a level, which a thread may take again. Whoever holds one may take those of higher levels, never lower."""
    return _locks.setdefault(level, threading.RLock())


def _take_all():
    for level in sorted(_locks):
        _locks[level].acquire()


def _release_all():
    for level in sorted(_locks, reverse=True):
        _locks[level].release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take_all, after_in_parent=_release_all, after_in_child=_release_all)
