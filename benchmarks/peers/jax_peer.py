"""The workloads in JAX: pure functions, `lax.scan` along time, one jitted step that is given its buffers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from peers.peer import Peer
from peers.workloads import Sizes, Workload

Weights = dict[str, Any]
RANDOM = np.random.default_rng(0)


def matrix(*shape: int) -> jax.Array:
    return jnp.asarray(RANDOM.normal(0, np.prod(shape[:-1]) ** -0.5, shape), jnp.float32)


def affine(A: int, B: int) -> Weights:
    return {"W": matrix(A, B), "b": jnp.zeros(B)}


def linear(w: Weights, x: jax.Array) -> jax.Array:
    return x @ w["W"] + w["b"]


def perceptron_weights(s: Sizes) -> Weights:
    widths = [s["F"], *[s["H"]] * s["L"], s["K"]]
    return {"layers": [affine(a, b) for a, b in pairwise(widths)]}


def perceptron(w: Weights, x: jax.Array, s: Sizes) -> jax.Array:
    for layer in w["layers"][:-1]:
        x = jax.nn.relu(linear(layer, x))
    return linear(w["layers"][-1], x)


def lstm_weights(s: Sizes) -> Weights:
    E, H = s["E"], s["H"]
    layers = [{"U": matrix(H, 4 * H), **affine(H if i else E, 4 * H)} for i in range(s["L"])]
    return {"embed": matrix(s["V"], E), "layers": layers, "head": affine(H, s["V"])}


def lstm(w: Weights, ids: jax.Array, s: Sizes) -> jax.Array:
    x = w["embed"][ids].swapaxes(0, 1)
    zero = jnp.zeros((x.shape[1], s["H"]))
    for layer in w["layers"]:
        # The input's product stands in the loop: outside of it this step took a sixth longer on the CPU.
        def cell(state: tuple[jax.Array, jax.Array], u: jax.Array, layer: Weights = layer) -> Any:
            h, c = state
            i, f, g, o = jnp.split(linear(layer, u) + h @ layer["U"], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        x = lax.scan(cell, (zero, zero), x)[1]
    return linear(w["head"], x.swapaxes(0, 1))


def norm_weights(D: int) -> Weights:
    return {"g": jnp.ones(D), "b": jnp.zeros(D)}


def block_weights(D: int) -> Weights:
    sizes = {"qkv": (D, 3 * D), "out": (D, D), "up": (D, 4 * D), "down": (4 * D, D)}
    return {"norm1": norm_weights(D), "norm2": norm_weights(D), **{name: affine(*size) for name, size in sizes.items()}}


def gpt_weights(s: Sizes) -> Weights:
    D = s["D"]
    blocks = [block_weights(D) for _ in range(s["L"])]
    tables = {"words": matrix(s["V"], D), "places": matrix(s["T"], D), "head": matrix(D, s["V"])}
    return {**tables, "blocks": blocks, "norm": norm_weights(D)}


def layernorm(w: Weights, x: jax.Array) -> jax.Array:
    u = x - x.mean(-1, keepdims=True)
    return w["g"] * u * lax.rsqrt(jnp.square(u).mean(-1, keepdims=True) + 1e-5) + w["b"]


def attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """Causal, on (B, N, T, H). The gradient of jax.nn.dot_product_attention takes three times as long on the CPU."""
    T = q.shape[2]
    scores = q @ k.swapaxes(2, 3) / q.shape[3] ** 0.5
    return jax.nn.softmax(jnp.where(jnp.tril(jnp.ones((T, T), bool)), scores, -jnp.inf)) @ v


def block(w: Weights, x: jax.Array, N: int) -> jax.Array:
    B, T, D = x.shape
    parts = jnp.split(linear(w["qkv"], layernorm(w["norm1"], x)), 3, axis=-1)
    h = attention(*(part.reshape(B, T, N, D // N).swapaxes(1, 2) for part in parts)).swapaxes(1, 2)
    x = x + linear(w["out"], h.reshape(B, T, D))
    return x + linear(w["down"], jax.nn.gelu(linear(w["up"], layernorm(w["norm2"], x)), approximate=True))


def gpt(w: Weights, ids: jax.Array, s: Sizes) -> jax.Array:
    h = w["words"][ids] + w["places"][: ids.shape[1]]
    for layer in w["blocks"]:
        h = block(layer, h, s["N"])
    return layernorm(w["norm"], h) @ w["head"]


def cnn_weights(s: Sizes) -> Weights:
    A, C, H = s["A"], s["C"], s["H"]
    convolutions = [{"W": matrix(3, 3, 1, A), "b": jnp.zeros(A)}, {"W": matrix(3, 3, A, C), "b": jnp.zeros(C)}]
    return {"convolutions": convolutions, "hidden": affine(C * (s["I"] // 4) * (s["J"] // 4), H), "head": affine(H, s["K"])}


def cnn(w: Weights, x: jax.Array, s: Sizes) -> jax.Array:
    x = x.reshape(-1, s["I"], s["J"], 1)
    for layer in w["convolutions"]:
        x = lax.conv_general_dilated(x, layer["W"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.nn.relu(x + layer["b"])
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = jax.nn.relu(linear(w["hidden"], x.reshape(x.shape[0], -1)))
    return linear(w["head"], x)


MODELS: dict[str, tuple[Callable[..., Weights], Callable[..., jax.Array]]] = {
    "perceptron": (perceptron_weights, perceptron),
    "lstm": (lstm_weights, lstm),
    "gpt": (gpt_weights, gpt),
    "cnn": (cnn_weights, cnn),
}


def adam(weights: Weights, m: Weights, v: Weights, t: jax.Array, g: Weights) -> tuple[Weights, Weights, Weights]:
    """Kingma & Ba 2015, section 2, in the order of computation of its last paragraph."""
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
    root = jnp.sqrt(1 - 0.999**t)
    rate = 1e-3 * root / (1 - 0.9**t)
    return jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-8 * root), weights, m, v), m, v


def make(work: Workload, threads: int, variant: str) -> Peer:
    first_weights, scores = MODELS[work.model]

    def loss_of(weights: Weights, x: jax.Array, y: jax.Array) -> jax.Array:
        q = jax.nn.log_softmax(scores(weights, x, work.sizes))
        return -jnp.take_along_axis(q, y[..., None], -1).mean()

    def update(state: Any, x: jax.Array, y: jax.Array) -> Any:
        weights, m, v, t = state
        value, g = jax.value_and_grad(loss_of)(weights, x, y)
        return (*adam(weights, m, v, t + 1, g), t + 1), value

    weights = first_weights(work.sizes)
    state = (weights, jax.tree.map(jnp.zeros_like, weights), jax.tree.map(jnp.zeros_like, weights), jnp.float32(0))
    jitted, infer = jax.jit(update, donate_argnums=0), jax.jit(lambda w, x: scores(w, x, work.sizes))

    def step(x: np.ndarray, y: np.ndarray) -> jax.Array:
        nonlocal state
        state, value = jitted(state, x, y)
        return value

    count = sum(array.size for array in jax.tree.leaves(weights))
    return Peer(step, lambda: jax.block_until_ready(state), lambda x: np.asarray(infer(state[0], x)), count, indices="int32")
