"""Attention and the blocks of the Transformer against PyTorch: outputs, loss, gradients; and what must not change them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numerics_helpers import compiled, randomise

import archspec

torch = pytest.importorskip("torch")
functional = torch.nn.functional

from torch_layers import (  # noqa: E402
    Weights,
    attention,
    compare,
    decoder_block,
    encoder_block,
    feed,
    inside,
    layernorm,
    linear,
    mean_inside,
    sinusoid,
)

D, N, E = 4, 2, 6


def rows(seed: int, *names: str, steps: int = 7, memory: int = 5) -> dict:
    """Four rows x over T and a memory m over S, of random lengths, among them full ones and single places."""
    rng = np.random.default_rng(seed)
    given = {"x": rng.normal(size=(4, steps, D)), "m": rng.normal(size=(4, memory, E))}
    given["T"], given["S"] = np.array([steps, 1, 3, 4]), np.array([min(2, memory), memory, 1, memory])
    return {name: given[name] for name in names}


# --- scores of one query -----------------------------------------------------------------------------------------------

SINGLE = """
dim B, S?, D = 4, E = 6, A = 3
model m(q[B,D], m[B,S,E]) -> (a[B,E], p[B,S], b[B,D], r[B,S], c[B,E], s[B,S]) {
  a, p = additive_attention(q, m, A)
  k = m |> linear(D)
  b, r = dot_attention(q, k)
  c, s = general_attention(q, m)
}
train { loss = mean(a^2) + mean(b^2) + mean(c^2) + mean(p * r * s) }
"""


def single(w, given):
    q, m = given["q"], given["m"]
    mask = inside(given["S"], m.shape[1])

    def weigh(scores, values):
        weights = functional.softmax(scores.masked_fill(~mask, -math.inf), 1)
        return (weights[..., None] * values).sum(1), weights

    add, general, k = w.at("a+p/additive_attention"), w.at("c+s/general_attention"), linear(m, w.at("k/linear"))
    a, p = weigh(torch.tanh(m @ add["U"] + (q @ add["W"])[:, None]) @ add["v"], m)
    b, r = weigh((k * q[:, None]).sum(-1), k)
    c, s = weigh(((q @ general["W"])[:, None] * m).sum(-1), m)
    loss = (a**2).mean() + (b**2).mean() + (c**2).mean() + mean_inside(p * r * s, mask)
    return {"a": a, "b": b, "c": c, "p": (p, mask), "r": (r, mask), "s": (s, mask)}, loss


def test_additive_dot_and_general():
    given = rows(0, "m", "S") | {"q": np.random.default_rng(1).normal(size=(4, D))}
    compare(compiled(SINGLE), "m", single, given)


# --- many heads --------------------------------------------------------------------------------------------------------

HEADS = """
dim B, T?, S?, D = 4, E = 6
model m(x[B,T,D], m[B,S,E]) -> (a[B,T,D], b[B,T,D], c[B,T,D], d[B,T,D], e[B,T,D], f[B,T,D], g[B,T,D]) {
  a = attention(x, x, 2)
  b = x |> attention(x, 2, causal=true)
  c = x |> attention(m, 2)
  d = attention(x, x, 2, causal=true, positions="rotary")
  e = attention(x, x, 2, positions="shaw", reach=2)
  f = attention(x, x, 2, positions="bias", reach=12)
  g = attention(x, x, 2, positions="bias", reach=40, causal=true)
}
train { loss = mean(a * b) + mean(c^2) + mean(d^2) + mean(e^2) + mean(f * g) }
"""


def projected(x, w: Weights, name: str):
    """(b, n, t, h)"""
    return linear(x, w.at(name)).unflatten(-1, (N, -1)).transpose(1, 2)


def out(o, w: Weights):
    return linear(o.transpose(1, 2).flatten(2), w.at("O"))


def seen(lengths, steps: int, causal: bool):
    kept = inside(lengths, steps)[:, None, None, :].expand(-1, 1, steps, -1)
    return kept & torch.ones(steps, steps, dtype=torch.bool).tril() if causal else kept


def rotary(x, lengths, w: Weights):
    """Pairs as complex numbers, turned by e^(i t theta)."""

    def turn(y):
        pairs = torch.view_as_complex(y.unflatten(-1, (-1, 2)).contiguous())
        width, steps = y.shape[-1], torch.arange(y.shape[2], dtype=torch.float64)
        theta = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        angle = steps[:, None] * theta
        return torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)).flatten(-2)

    q, k, v = (projected(x, w, name) for name in "QKV")
    return out(functional.scaled_dot_product_attention(turn(q), turn(k), v, attn_mask=seen(lengths, x.shape[1], True)), w)


def shaw(x, lengths, w: Weights, reach: int = 2):
    q, k, v = (projected(x, w, name) for name in "QKV")
    steps = torch.arange(x.shape[1])
    distance = (steps[None, :] - steps[:, None]).clamp(-reach, reach) + reach
    near, far = w.at("near/distance_vectors")["W"][distance], w.at("far/distance_vectors")["W"][distance]
    scores = (q @ k.transpose(-1, -2) + torch.einsum("bnic,ijc->bnij", q, near)) / math.sqrt(q.shape[-1])
    a = functional.softmax(scores.masked_fill(~seen(lengths, x.shape[1], False), -math.inf), -1)
    return out(a @ v + torch.einsum("bnij,ijc->bnic", a, far), w)


def bucket(distance, buckets: int, reach: int, both: bool):
    """The bucket of j - i, step by step as in Raffel et al. 2020."""
    found = 0
    if both:
        buckets //= 2
        found = buckets if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    exact = buckets // 2
    if distance < exact:
        return found + distance
    grown = exact + int(math.log(distance / exact) / math.log(reach / exact) * (buckets - exact) + 1e-6)
    return found + min(grown, buckets - 1)


def biased(x, lengths, w: Weights, reach: int, causal: bool):
    q, k, v = (projected(x, w, name) for name in "QKV")
    steps = range(x.shape[1])
    places = torch.tensor([[bucket(j - i, 32, reach, not causal) for j in steps] for i in steps])
    bias = w.at("near/distance_bias")["W"][places].permute(2, 0, 1)[None]
    kept = seen(lengths, x.shape[1], causal)
    return out(functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.masked_fill(~kept, -math.inf)), w)


def heads(w, given):
    x, m, t, s = (given[name] for name in "xmTS")
    mask = inside(t, x.shape[1])
    results = {
        "a": attention(x, x, N, w.at("a/attention"), t),
        "b": attention(x, x, N, w.at("b/attention"), t, causal=True),
        "c": attention(x, m, N, w.at("c/attention"), s),
        "d": rotary(x, t, w.at("d/attention")),
        "e": shaw(x, t, w.at("e/attention")),
        "f": biased(x, t, w.at("f/attention"), 12, False),
        "g": biased(x, t, w.at("g/attention"), 40, True),
    }
    a, b, c, d, e, f, g = results.values()
    loss = sum(mean_inside(v, mask) for v in (a * b, c**2, d**2, e**2, f * g))
    return {name: (value, mask) for name, value in results.items()}, loss


@pytest.mark.parametrize(("steps", "memory"), [(7, 5), (4, 1), (40, 23)])
def test_many_heads(steps, memory):
    compare(compiled(HEADS), "m", heads, rows(steps, "x", "m", "T", "S", steps=steps, memory=memory))


def test_full_rows_against_the_module_of_pytorch():
    """`nn.MultiheadAttention`, its weights filled from ours."""
    program, given = compiled(HEADS), rows(2, "x", "m", "T", "S")
    given["T"][:] = 7
    randomise(program)
    w = {p.removeprefix("m/a/attention/"): torch.tensor(program.weights[p]) for p in program.weights if p.startswith("m/a/")}
    module = torch.nn.MultiheadAttention(D, N, batch_first=True).double()
    module.in_proj_weight.data = torch.cat([w[f"{name}/W"].T for name in "QKV"])
    module.in_proj_bias.data = torch.cat([w[f"{name}/b"] for name in "QKV"])
    module.out_proj.weight.data, module.out_proj.bias.data = w["O/W"].T, w["O/b"]
    x = torch.tensor(given["x"])
    expected, _ = module(x, x, x)
    np.testing.assert_allclose(program.forward(**given)["a"], expected.detach(), 1e-9, 1e-12)


# --- blocks ------------------------------------------------------------------------------------------------------------

BLOCKS = """
dim B, T?, S?, D = 4, E = 6
model m(x[B,T,D], m[B,S,E]) -> (a[B,T,D], b[B,T,D], c[B,T,D], d[B,T,D], e[B,T,D]) {
  a = x |> repeat 2 { encoder_block(2, F=5, p=0.0) } |> layernorm
  b = x |> encoder_block(2, F=5, p=0.0, norm_first=false, act=relu)
  c = x + sinusoid[T](D) |> repeat 2 { decoder_block(m=m, N=2, F=5, p=0.0) }
  d = x + positions[T](50, D) |> decoder_block(m=m, N=2, p=0.0, norm_first=false)
  e = x |> encoder_block(2, p=0.0, causal=true)
}
train { loss = mean(a * b) + mean(c^2) + mean(d * e) }
"""


def blocks(w, given):
    x, m, t, s = (given[name] for name in "xmTS")
    mask, steps = inside(t, x.shape[1]), x.shape[1]
    a = x
    for k in range(2):
        a = encoder_block(a, N, w.at(f"a/{k}/encoder_block"), t)
    a = layernorm(a, w.at("a/layernorm"))
    b = encoder_block(x, N, w.at("b/encoder_block"), t, norm_first=False, act=functional.relu)
    c = x + sinusoid(steps, D)
    for k in range(2):
        c = decoder_block(c, m, N, w.at(f"c/{k}/decoder_block"), t, s)
    d = x + w.at("d/positions")["W"][:steps]
    d = decoder_block(d, m, N, w.at("d/decoder_block"), t, s, norm_first=False)
    e = encoder_block(x, N, w.at("e/encoder_block"), t, causal=True)
    loss = sum(mean_inside(v, mask) for v in (a * b, c**2, d * e))
    return {name: (value, mask) for name, value in zip("abcde", (a, b, c, d, e), strict=True)}, loss


@pytest.mark.parametrize(("steps", "memory"), [(7, 5), (17, 30)])
def test_blocks(steps, memory):
    compare(compiled(BLOCKS), "m", blocks, rows(steps, "x", "m", "T", "S", steps=steps, memory=memory))


@pytest.mark.parametrize("norm_first", [True, False])
def test_our_reference_is_the_module_of_pytorch(norm_first):
    """`nn.TransformerEncoderLayer` with the weights that the reference above takes."""
    rng = np.random.default_rng(3)
    shapes = {f"attend/{name}/W": (D, D) for name in "QKVO"} | {f"attend/{name}/b": (D,) for name in "QKVO"}
    shapes |= {"feed/up/W": (D, 5), "feed/up/b": (5,), "feed/down/W": (5, D), "feed/down/b": (D,)}
    shapes |= {f"norm{k}/{name}": (D,) for k in (1, 2) for name in "gb"}
    w = {f"m/{path}": torch.tensor(rng.normal(size=shape)) for path, shape in shapes.items()}
    module = torch.nn.TransformerEncoderLayer(D, N, 5, 0.0, batch_first=True, norm_first=norm_first).double()
    attend = module.self_attn
    attend.in_proj_weight.data = torch.cat([w[f"m/attend/{name}/W"].T for name in "QKV"])
    attend.in_proj_bias.data = torch.cat([w[f"m/attend/{name}/b"] for name in "QKV"])
    for linear_, path in ((attend.out_proj, "attend/O"), (module.linear1, "feed/up"), (module.linear2, "feed/down")):
        linear_.weight.data, linear_.bias.data = w[f"m/{path}/W"].T, w[f"m/{path}/b"]
    for k, norm in ((1, module.norm1), (2, module.norm2)):
        norm.weight.data, norm.bias.data = w[f"m/norm{k}/g"], w[f"m/norm{k}/b"]
    x, t = torch.tensor(rng.normal(size=(4, 7, D))), torch.tensor([7, 1, 3, 4])
    mask = inside(t, 7)
    expected = module.train()(x, src_key_padding_mask=~mask)
    found = encoder_block(x, N, Weights(w, "m"), t, norm_first, act=functional.relu)
    np.testing.assert_allclose(found[mask], expected[mask].detach(), 1e-9, 1e-12)
    assert feed(x, Weights(w, "m/feed"), functional.relu).shape == x.shape


# --- what must not change ----------------------------------------------------------------------------------------------

CAUSAL = {"HEADS": (HEADS, "bdg"), "BLOCKS": (BLOCKS, "cde")}


@pytest.mark.parametrize("text", [HEADS, BLOCKS], ids=["heads", "blocks"])
def test_what_lies_past_the_ends_is_not_seen(text):
    program, given = compiled(text), rows(5, "x", "m", "T", "S")
    randomise(program)
    within = {name: np.arange(given[name].shape[1]) < given[axis][:, None] for name, axis in (("x", "T"), ("m", "S"))}
    spoiled = given | {name: np.where(mask[..., None], given[name], np.nan) for name, mask in within.items()}
    first, second = program.forward(**given), program.forward(**spoiled)
    for name in first:
        np.testing.assert_array_equal(first[name][within["x"]], second[name][within["x"]])
    (loss, slopes), (other, others) = program.gradient(**given), program.gradient(**spoiled)
    assert loss == other
    for path, slope in slopes.items():
        np.testing.assert_array_equal(slope, others[path], err_msg=path)


@pytest.mark.parametrize("name", CAUSAL)
def test_the_future_is_not_seen(name):
    text, causal = CAUSAL[name]
    program, given = compiled(text), rows(6, "x", "m", "T", "S")
    given["T"][:] = 7
    randomise(program)
    before = program.forward(**given)
    for t in range(6):
        changed = given | {"x": given["x"].copy()}
        changed["x"][:, t + 1 :] += 1
        after = program.forward(**changed)
        for result in causal:
            np.testing.assert_array_equal(before[result][:, : t + 1], after[result][:, : t + 1], err_msg=result)
        assert not np.array_equal(before["a"][:, : t + 1], after["a"][:, : t + 1])


@pytest.mark.parametrize("text", [HEADS, BLOCKS], ids=["heads", "blocks"])
def test_the_order_of_rows_is_that_of_the_outputs(text):
    program, given = compiled(text), rows(7, "x", "m", "T", "S")
    randomise(program)
    order = np.array([2, 0, 3, 1])
    first, second = program.forward(**given), program.forward(**{name: array[order] for name, array in given.items()})
    for name in first:
        np.testing.assert_array_equal(first[name][order], second[name], err_msg=name)


def test_distances_alone_matter():
    """Without positions attention does not know the order of its memory."""
    program, given = compiled(HEADS), rows(8, "x", "m", "T", "S")
    given["S"][:] = 5
    randomise(program)
    order = np.array([3, 0, 4, 1, 2])
    first, second = program.forward(**given), program.forward(**given | {"m": given["m"][:, order]})
    np.testing.assert_allclose(first["c"], second["c"], 1e-12, 1e-14)


def test_rows_longer_than_the_learned_positions_are_refused():
    with pytest.raises(archspec.ArchError, match="51 positions along T, and the table has room for 50"):
        compiled(BLOCKS).forward(**rows(9, "x", "m", "T", "S", steps=51))
