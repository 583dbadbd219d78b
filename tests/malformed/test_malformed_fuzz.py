"""Specs with some words changed are taken, or refused with a place in them: never anything else, and never for long."""

import random
import time

import pytest
from support import REPOSITORY

import archspec
from archspec import ArchError
from archspec.diagnostics import Source
from archspec.frontend.tokens import Token, tokenize

SPECS = REPOSITORY / "specs"
MANY = """let E = 8, N = 2, deep = true, act = relu, name = "x"
dim B, T, V = 5, K = 3
block two(x[.., D], W=3, init=glorot) -> (a[.., D], b[..]) {
  require D % N == 0 : "D={D}, N={N}"
  let Q = D / N
  a = x * 2 - 1 / (1 + exp(-x))
  b = mean[D](x ^ 2) + Q
}
block pick[D](x[.., D], y[..]: D) -> l[..] {
  l = sum[D](one_hot(y) * log_softmax[D](x))
}
model m(x[B,T,E], words[B,T]: V) -> (z[B,K], c[B]: K) {
  weight W[E, 4*E] ~ normal(std=0.1)
  weight s[] ~ 0.5 frozen
  layer l = linear(E, bias=false)
  h = l(x) + (l(x) |> layernorm |> dropout(0.1))
  p, q = two(h, init=he)
  g = max(p @ W, 0) * s |> repeat i in 2 { linear(4*E) |> tanh }
  if deep and not (N == 3) {
    r = where(h > 0 and h < 1, h, -h) |> act
  } else {
    r = h
  }
  u = mean[T](pick[V](x |> linear(V), words)) + sum[E](sum[T](r) @ l.W)
  e = (g |> linear(E)) + r
  z = sum[T](e) * u |> linear(K)
  c = argmax[K](z)
}
train {
  loss = mean(z ^ 2) + 0.1 * mean(abs(z))
  metrics = [mse(z, z), mae(z, z)]
  optimizer = sgd(lr=0.1, momentum=0.9, nesterov=true)
  schedule = warmup(10) |> cosine(to=0, steps=100) |> constant
  clip = value(1.0)
  stop = early(validation.mse, patience=3)
  batch = 8
  steps = 100
  watch = [h, z]
  "m/*.W" { decay = 0.1; lr = 0.2 }
}
"""
LOOPS = """let E = 8, N = 2, causal = true
dim B, S, T?, V = 5, K = 3
block cell(x[.., T, D], H, p=0.1) -> (y[.., T, H], f[.., H]) {
  weight W[D, 4*H] ~ glorot
  weight U[H, 4*H] ~ orthogonal
  over t in T {
    state y[.., H] = 0, c[.., H] = 1
    i, g, o, q = split(x[t] @ W + y[t-1] @ U, 4)
    c[t] = sigmoid(g) * c[t-1] + sigmoid(i) * tanh(q) + 0.1 * t
    y[t] = sigmoid(o) * tanh(c[t]) |> dropout(p)
  }
  f = last[T](y)
}
block attend(x[B,T,D], m[B,S,E], N, causal=false) -> y[B,T,D] {
  require D % N == 0 : "{D} {N}"
  let Q = D / N
  q = x |> linear(N, Q)
  k = m |> linear(N, Q)
  s[b,n,i,j] = sum[c](q[b,i,n,c] * k[b,j,n,c]) / sqrt(Q)
  a[b,n,i,j] = softmax[j where j <= i or not causal](s[b,n,i,j])
  o[b,i,n,c] = sum[j](a[b,n,i,j] * k[b,j,n,c])
  y = o |> linear[N,Q](D)
}
block wave[T](D) -> y[T, D] {
  y[t in T, d in D] = where(d % 2 == 0, sin(t / 10000^(d / D)), cos(t))
}
model m(words[B,T]: V, w[B,S,E]) -> (z[B,K], c[B]: K) {
  layer emb = embed(V, E)
  layer pos = embed(50, E)
  x = emb(words) + pos(iota[T]) + wave[T](E)
  h, f = cell(x, E)
  r = attend(h, h, N, causal=causal) + attend(h, w, 4)
  weight F[3, E, E] ~ he
  g[b, t in T, o] = sum[u in 3, c](x[b, t + u - 1, c] * F[u,c,o])
  e[b,t,v] = sum[d](g[b,t,d] * emb.W[v,d]) - log_softmax[v](r[b,t,v + 1] * emb.W[v,0])
  over t in T reversed {
    state u[B,E] = f, n[B] = 1
    u0 = u[t+1] + h[t]
    over s in S {
      state k[B,E] = u0
      k[b,s,d] = 0.5 * k[b,s-1,d] + w[b,s,d] * x[b,t-1,d]
    }
    n[t] = n[t+1] * 0.5
    u[t] = tanh(u0) + sum[S](k) * n[t]
    v[b,t] = sum[d](u[b,t,d]^2)
  }
  d = flip[T](u) * first[T](r) + (concat(x, x) |> linear(E))
  y = flatten[S,E](w) |> unflatten[E*S](E, S)
  q = running(mean[B,T](x), momentum=0.2)
  z = mean[T](d) + max[T](r) * q + mean[T where v > 1](u) + sum[S](y) |> linear(K)
  c = argmax[K](z)
}
train {
  loss = mean(z ^ 2) + sum[i](z[0,i] * 2) + mean(logsumexp[T](e))
}
"""
TEXTS = [*(path.read_text("utf-8") for path in sorted(SPECS.glob("*.arch"))), MANY, MANY, LOOPS, LOOPS]
BASES = [tokenize(Source("", text)) for text in TEXTS]
NAMES = sorted(
    {t.text for base in BASES for t in base if t.kind == "NAME"} | {"linear", "softmax", "concat", "self", "__doc__"}
)
NUMBERS = ["0", "1", "2", "-1", "0.5", "1e300", "9007199254740992", "1_000_000", "true", '"s"', "[1]", "x", "relu"]
WORDS = sorted({t.text for base in BASES for t in base})
SECONDS = 5  # for one spec, on a busy machine too


def with_name(words: list[Token], draw: random.Random) -> None:
    places = [i for i, word in enumerate(words) if word.kind == "NAME"]
    place = draw.choice(places or [0])
    words[place] = words[place]._replace(text=draw.choice(NAMES))


def with_number(words: list[Token], draw: random.Random) -> None:
    places = [i for i, word in enumerate(words) if word.kind in ("INT", "FLOAT", "true", "false")]
    place = draw.choice(places or [0])
    words[place] = words[place]._replace(text=draw.choice(NUMBERS))


def without(words: list[Token], draw: random.Random) -> None:
    del words[draw.randrange(len(words) - 1)]


def doubled(words: list[Token], draw: random.Random) -> None:
    place = draw.randrange(len(words))
    words.insert(place, words[place])


def swapped(words: list[Token], draw: random.Random) -> None:
    a, b = draw.randrange(len(words)), draw.randrange(len(words))
    words[a], words[b] = words[b], words[a]


def with_word(words: list[Token], draw: random.Random) -> None:
    place = draw.randrange(len(words))
    words[place] = words[place]._replace(text=draw.choice(WORDS))


def line_moved(words: list[Token], draw: random.Random) -> None:
    ends = [i for i, word in enumerate(words) if word.text == "\n"]
    start, stop = sorted(draw.choices(ends, k=2))
    place = draw.choice(ends)
    words[place:place] = words[start:stop]


CHANGES = [*[with_name] * 12, *[with_number] * 4, without, doubled, swapped, with_word, line_moved]


@pytest.mark.parametrize("text", [MANY, LOOPS])
def test_the_spec_to_change_is_valid(text):
    archspec.loads(text).check()


@pytest.mark.parametrize("seed", range(4))
def test_changed_specs_are_taken_or_refused(seed):
    draw = random.Random(seed)
    for _ in range(100):
        words = list(draw.choice(BASES))
        for _ in range(draw.choice([1, 1, 1, 2, 3])):
            draw.choice(CHANGES)(words, draw)
        look_at(" ".join(word.text for word in words))


def look_at(text: str) -> None:
    start = time.perf_counter()
    try:
        spec = archspec.loads(text, folder=SPECS)
        spec.check(data=False)
        for model in spec.file.models():
            stages = spec.stages(model=model.name)
            assert stages.forward
            assert stages.optimised
    except ArchError as error:
        assert str(error)
        for diagnostic in error.diagnostics:
            assert diagnostic.span is None or diagnostic.span.source.path in ("<text>", "blocks.arch"), text
    assert time.perf_counter() - start < SECONDS, text
