"""Initialisers: the first value of a weight, a function of the seed and the weight's path alone.

`fan_in` and `fan_out` of a weight are the product of all axes but the last and the last axis; a vector has both equal
to its length. Sources: Glorot & Bengio 2010 (eq. 16); He et al. 2015 (eq. 10); LeCun et al. 1998 (section 4.6); Saxe et
al. 2014 (orthogonal).
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

from archspec.learning.recipes import Parameter, declare, non_negative, positive

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KIND = "initializer"
SCALED = {
    # name: (doc, scale, fan, distribution)
    "glorot_uniform": ("uniform with variance 2 / (fan_in + fan_out)", 1.0, "average", "uniform"),
    "glorot_normal": ("normal with variance 2 / (fan_in + fan_out)", 1.0, "average", "normal"),
    "he_uniform": ("uniform with variance 2 / fan_in", 2.0, "in", "uniform"),
    "he_normal": ("normal with variance 2 / fan_in", 2.0, "in", "normal"),
    "lecun_uniform": ("uniform with variance 1 / fan_in", 1.0, "in", "uniform"),
    "lecun_normal": ("normal with variance 1 / fan_in", 1.0, "in", "normal"),
}
ALIASES = {"glorot": "glorot_uniform", "he": "he_normal", "lecun": "lecun_normal"}
OTHER_NAMES = {
    # what other libraries call them: ours
    "xavier": "glorot",
    "xavier_uniform": "glorot_uniform",
    "xavier_normal": "glorot_normal",
    "kaiming": "he",
    "kaiming_uniform": "he_uniform",
    "kaiming_normal": "he_normal",
    "gaussian": "normal",
    "randn": "normal(std=1)",
    "rand": "uniform(low=0, high=1)",
    "zero": "zeros",
    "one": "ones",
}

for _name, (_doc, *_) in SCALED.items():
    declare(KIND, _name, _doc, gain=positive(1.0))
for _name, _target in ALIASES.items():
    declare(KIND, _name, f"the same as `{_target}`", gain=positive(1.0))
declare(KIND, "orthogonal", "a random orthogonal matrix; its columns are orthonormal", gain=positive(1.0))
declare(KIND, "normal", "normal", mean=Parameter(0.0), std=non_negative(0.01))
declare(KIND, "uniform", "uniform between `low` and `high`", low=Parameter(-0.05), high=Parameter(0.05))
declare(KIND, "constant", "the same number everywhere", value=Parameter(0.0))
declare(KIND, "zeros", "0")
declare(KIND, "ones", "1")


def generator(seed: int, *stream: str) -> np.random.Generator:
    """A counter-based generator for one stream of draws: Philox keyed by a hash of the seed and the stream's name."""
    import numpy as np

    digest = hashlib.sha256("\0".join([str(seed), *stream]).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def uniforms(seed: int, path: str, count: int) -> NDArray[np.float64]:
    """`count` draws in (0, 1) from the raw bits, which NumPy keeps stable across its versions."""
    import numpy as np

    bits = generator(seed, "weight", path).bit_generator.random_raw(count)
    return ((np.asarray(bits, np.uint64) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def normals(seed: int, path: str, count: int) -> NDArray[np.float64]:
    """`count` standard normal draws by the Box-Muller transform (Box & Muller 1958)."""
    import numpy as np

    half = (count + 1) // 2
    u = uniforms(seed, path, 2 * half)
    radius, angle = np.sqrt(-2.0 * np.log(u[:half])), 2.0 * math.pi * u[half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


def draw(name: str, arguments: dict[str, Any], shape: tuple[int, ...], seed: int, path: str) -> NDArray[np.float64]:
    """The first value of the weight `path`, float64 of `shape`."""
    import numpy as np

    count = math.prod(shape)
    name = ALIASES.get(name, name)
    if name in SCALED:
        flat = _scaled(name, arguments["gain"], shape, seed, path)
    elif name == "orthogonal":
        flat = arguments["gain"] * _orthogonal(shape, seed, path)
    elif name == "normal":
        flat = arguments["mean"] + arguments["std"] * normals(seed, path, count)
    elif name == "uniform":
        flat = arguments["low"] + (arguments["high"] - arguments["low"]) * uniforms(seed, path, count)
    else:
        flat = np.full(count, {"zeros": 0.0, "ones": 1.0}.get(name, arguments.get("value", 0.0)))
    return flat.reshape(shape)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out), at least 1 each."""
    if len(shape) < 2:
        return (max(1, math.prod(shape)),) * 2
    return max(1, math.prod(shape[:-1])), max(1, shape[-1])


def _scaled(name: str, gain: float, shape: tuple[int, ...], seed: int, path: str) -> NDArray[np.float64]:
    _, scale, fan, distribution = SCALED[name]
    fan_in, fan_out = fans(shape)
    std = gain * math.sqrt(scale / ((fan_in + fan_out) / 2 if fan == "average" else fan_in))
    if distribution == "normal":
        return std * normals(seed, path, math.prod(shape))
    return std * math.sqrt(3.0) * (2.0 * uniforms(seed, path, math.prod(shape)) - 1.0)


def _orthogonal(shape: tuple[int, ...], seed: int, path: str) -> NDArray[np.float64]:
    """Q of a QR factorisation of a normal matrix, signs fixed by R's diagonal so that it is uniform (Mezzadri 2007)."""
    import numpy as np

    fan_in, fan_out = fans(shape) if len(shape) > 1 else (math.prod(shape), 1)
    tall = normals(seed, path, fan_in * fan_out).reshape(max(fan_in, fan_out), min(fan_in, fan_out))
    q, r = np.linalg.qr(tall)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return np.ascontiguousarray(q if fan_in >= fan_out else q.T)
