"""RNN, GRU and LSTM as loops over time."""

from __future__ import annotations

import numpy as np
from translation import Node, Result, Tensor, Text, Untranslatable, operator

STEPS = {
    "RNN": ["h[t] = tanh(x[t] @ W + h[t-1] @ R + b)"],
    "GRU": [
        "xz, xr, xn = split(x[t] @ W + b, 3)",
        "hz, hr, hn = split(h[t-1] @ R + a, 3)",
        "u = sigmoid(xz + hz)",
        "h[t] = u * h[t-1] + (1 - u) * tanh(xn + sigmoid(xr + hr) * hn)",
    ],
    "GRU, reset before": [
        "xz, xr, xn = split(x[t] @ W + b, 3)",
        "Rz, Rr, Rn = split(R, 3)",
        "az, ar, an = split(a, 3)",
        "u = sigmoid(xz + h[t-1] @ Rz + az)",
        "r = sigmoid(xr + h[t-1] @ Rr + ar)",
        "h[t] = u * h[t-1] + (1 - u) * tanh(xn + (r * h[t-1]) @ Rn + an)",
    ],
    "LSTM": [
        "i, o, f, g = split(x[t] @ W + h[t-1] @ R + b, 4)",
        "pi, po, pf = split(p, 3)",
        "c[t] = sigmoid(f + pf * c[t-1]) * c[t-1] + sigmoid(i + pi * c[t-1]) * tanh(g)",
        "h[t] = sigmoid(o + po * c[t]) * tanh(c[t])",
    ],
}
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


@operator(*GATES)
def recurrent(node: Node) -> Result:
    if node.attribute("direction", "forward") != "forward" or node.attribute("clip") or node.attribute("activations"):
        raise Untranslatable("other directions and activations of a recurrent node")
    batch_first = bool(node.attribute("layout", 0))
    given = node.array(0) if not batch_first else node.array(0).transpose(1, 0, 2)
    steps, rows, _ = given.shape
    hidden, gates = node.array(2).shape[2], GATES[node.op]
    values = {
        "x": given,
        "W": node.array(1)[0].T,
        "R": node.array(2)[0].T,
        "h0": node.array(5).reshape(rows, hidden) if node.has(5) else np.zeros((rows, hidden)),
        "c0": node.array(6).reshape(rows, hidden) if node.has(6) else np.zeros((rows, hidden)),
        "p": node.array(7)[0] if node.has(7) else np.zeros(3 * hidden),
    }
    both = node.array(3)[0] if node.has(3) else np.zeros(2 * gates * hidden)
    first, second = both[: gates * hidden], both[gates * hidden :]
    values |= {"b": first, "a": second} if node.op == "GRU" else {"b": first + second}
    return loop(node, values, steps, rows, hidden, batch_first)


def loop(node: Node, values: dict[str, np.ndarray], steps: int, rows: int, hidden: int, batch_first: bool) -> Result:
    text, kind = node.text, node.op
    if kind == "GRU" and not node.attribute("linear_before_reset", 0):
        kind = "GRU, reset before"
    t, n, h, d = text.dim(steps), text.dim(rows), text.dim(hidden), text.dim(values["x"].shape[2])
    wide = f"{GATES[node.op]} * {h}"
    axes = {"x": (t, n, d), "W": (d, wide), "R": (h, wide), "b": (wide,), "a": (wide,)}
    axes |= {"h0": (n, h), "c0": (n, h), "p": (f"3 * {h}",)}
    used = {"x", "W", "R", "b", "h0"} | ({"a"} if node.op == "GRU" else {"c0", "p"} if node.op == "LSTM" else set())
    names = {name: text.fresh(name) for name in sorted(used)}
    for name in sorted(used):
        text.weights[names[name]] = np.ascontiguousarray(values[name], float)
        text.lines.append(f"weight {names[name]}[{', '.join(axes[name])}]")
    state, cell = text.fresh("h"), text.fresh("c")
    states = f"state {state}[{n}, {h}] = {names['h0']}"
    if node.op == "LSTM":
        states += f", {cell}[{n}, {h}] = {names['c0']}"
    body = [renamed(line, {**names, "h": state, "c": cell}) for line in STEPS[kind]]
    text.lines.append("\n".join([f"over t in {t} {{", *(f"  {line}" for line in [states, *body]), "}"]))
    return outputs(node, text, state, cell, (t, n, h), batch_first)


def renamed(line: str, names: dict[str, str]) -> str:
    import re

    return re.sub(r"\b([A-Za-z]\w*)\b", lambda m: names.get(m[1], m[1]), line)


def outputs(node: Node, text: Text, state: str, cell: str, axes: tuple[str, str, str], batch_first: bool) -> Result:
    t, n, h = axes
    one = text.dim(1)
    whole = [n, t, one, h] if batch_first else [t, one, n, h]
    read = f"{state}[i0, i1, i3]" if batch_first else f"{state}[i2, i0, i3]"
    found: list[Tensor | None] = [text.equation(whole, f"{read} + 0")]
    for name in (state, cell)[: len(node.outputs) - 1]:
        last = text.let(f"last[{t}]({name})")
        order = [n, one, h] if batch_first else [one, n, h]
        found.append(text.equation(order, f"{last}[{'i0, i2' if batch_first else 'i1, i2'}] + 0"))
    return found
