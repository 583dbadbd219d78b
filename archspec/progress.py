"""What a run says while it works: on a terminal one line that moves, elsewhere a plain line an epoch, on stderr."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import Any

INTERVAL_SECONDS = 0.1
CLEAR = "\r\033[K"


class Console:
    """Tells people on stderr how a run goes. Where nobody can hear it, on a full disk or a closed stderr, the run goes on."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.moving = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.started = time.perf_counter()
        self.last = 0.0
        self.done = 0

    def compiling(self, kernels: int) -> None:
        noun = "kernel" if kernels == 1 else "kernels"
        self._say(f"compiling {kernels} {noun} …")

    def progress(self, epoch: int, step: int, total: int, loss: float) -> None:
        now = time.perf_counter()
        if self.done == 0:
            self.started, self.done = now, step
        if self.quiet or not self.moving or now - self.last < INTERVAL_SECONDS:
            return
        self.last = now
        rate = (step - self.done) / max(now - self.started, 1e-9)
        left = f", {clock((total - step) / rate)} left" if rate > 0 else ""
        self._move(f"epoch {epoch}  step {step}/{total}  loss {loss:.4f}  {rate:,.0f} steps/s{left}")

    def epoch(self, record: dict[str, Any]) -> None:
        figures = "  ".join(f"{k} {v:.4f}" for k, v in record.items() if "." in k)
        line = f"epoch {record['epoch']:>3}  {figures}  {record['rows_per_second']:,.0f} rows/s"
        self._say(line)

    def _move(self, text: str) -> None:
        self._write(f"{CLEAR}{text}")

    def _say(self, text: str) -> None:
        if self.quiet:
            return
        self._write(f"{CLEAR if self.moving else ''}{text}\n")

    def _write(self, text: str) -> None:
        if sys.stderr is not None:
            with suppress(OSError):
                sys.stderr.write(text)
                sys.stderr.flush()


def clock(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
