"""A process that does not outlive its parent."""

import ctypes
import os
import signal
import sys
import threading
import time

POLL_S = 0.5
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent: int | None = None) -> None:
    """Let this process be killed (SIGKILL) when its parent ends, however that ends.

    Parameters
    ----------
    parent
        The parent's process id, where the caller knows it: if another process has
        become the parent meanwhile, this one ends at once. None for the present
        parent.

    Notes
    -----
    On Linux the kernel does it (prctl(2), PR_SET_PDEATHSIG), also between fork and
    exec; by its rule the end of the *thread* that started this process counts, so it
    must be started from one that lasts. Elsewhere a thread looks twice a second.

    """
    expected = os.getppid() if parent is None else parent
    if _LIBC is None:
        threading.Thread(target=_watch, args=(expected,), daemon=True).start()
    elif _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl: {os.strerror(number)}")
    if os.getppid() != expected:  # it ended before the kernel knew
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os.kill(os.getpid(), signal.SIGKILL)
