"""A workload as a person would have it: a folder with the spec and its data."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from peers.workloads import Workload

SYMBOLS = 33  # the first of the printable characters that texts are made of


def lay_out(work: Workload, folder: Path) -> Path:
    """The spec in `folder`, beside data that give its axes the sizes of the workload and have rows for one batch."""
    (xs, ys), random = work.batches(), np.random.default_rng(0)
    if "V" in work.sizes:
        symbols = np.concatenate([np.arange(work.sizes["V"]), random.integers(0, work.sizes["V"], xs[0].size)])
        text = "".join(chr(SYMBOLS + i) for i in symbols[: xs[0].size + 1])
        (folder / f"{work.name}.txt").write_text(text, encoding="utf-8")
    else:
        labels = np.arange(len(ys[0])) % work.sizes["K"]
        np.savez(folder / f"{work.name}.npz", x=xs[0], y=labels)
    return Path(shutil.copy(work.spec, folder))
