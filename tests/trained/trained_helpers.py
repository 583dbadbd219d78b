"""Small specs that train in a moment, and the runs that they leave."""

from __future__ import annotations

from pathlib import Path

import archspec

REVIEWS = "".join(
    f"{label} {text}\n"
    for label, text in [
        ("good", "the food was good"),
        ("bad", "the food was bad"),
        ("good", "good tea"),
        ("bad", "it was not good"),
        ("good", "it was not bad , really"),
        ("bad", "bad tea"),
    ]
    * 3
)
POOLED = """
let E = 4, H = 3
dim B, T?, V, K
model judge(words[B,T]: V) -> z[B,K] {
  h = words |> embed(E) |> gru(H)
  weight v[H] ~ normal(std=1)
  s = softmax[T](h @ v)
  z = sum[T](s * h) |> linear(K)
}
data {
  source = labelled("reviews.txt")
  words[B,T]: V = source["text"] |> words
  y[B]: K = source["label"]
  split = holdout(test=0.3)
}
train {
  loss = cross_entropy(z, y)
  metrics = [accuracy(z, y)]
  watch = [s]
  batch = 6
  steps = 4
}
"""
LAYERS = """
import "../shared/parts.arch" as parts
let D = 4, N = 2
dim B, T?, V, K
model judge(words[B,T]: V) -> z[B,K] {
  e = (words |> embed(D)) + sinusoid[T](D)
  h = e |> repeat 2 { parts.layer_of(N) }
  z = mean[T](h) |> linear(K)
}
data {
  source = labelled("reviews.txt")
  words[B,T]: V = source["text"] |> words
  y[B]: K = source["label"]
}
train {
  loss = cross_entropy(z, y)
  watch = ["*/attend/a", e]
  steps = 2
}
"""
PARTS = """
block layer_of(x[B,T,D], N) -> y[B,T,D] {
  layer attend = attention(N=N)
  y = x + attend(x, x)
}
"""
NUMBERS = "word,digits\n" + "".join(f"{w},{n}\n" for n, w in enumerate(["nil", "one", "two", "three", "four", "five", "six"]))
READER = """
let E = 3, H = 4
dim B, S?, T?, V, W
model read(letters[B,S]: V, digits[B,T]: W) -> z[B,T,W] {
  m = letters |> embed(E) |> rnn(H)
  x = digits |> embed(H)
  layer look = dot_attention()
  over t in T {
    state h[B,H] = last[S](m)
    c, a[t] = look(h[t-1], m)
    h[t] = tanh(x[t] + c)
  }
  z = h |> linear(W)
}
data {
  source = csv("numbers.csv")
  letters[B,S]: V = source["word"] |> chars
  digits[B,T]: W, next[B,T]: W = source["digits"] |> chars |> shifted
}
train {
  loss = cross_entropy(z, next)
  watch = [a]
  steps = 3
}
"""
TIDES = "hour,sky,level,ferry\n" + "".join(
    f"{h},{('calm', 'rain')[h % 2]},{100 + 20 * h},{('no', 'yes')[h % 3 == 0]}\n" for h in range(24)
)
LEVEL = """
dim B, F
model level(x[B,F]) -> z[B] {
  weight v[F] ~ normal(std=1)
  weight c[] ~ ones
  z = x @ v + c
}
data {
  source = csv("tides.csv")
  x[B,F] = concat(source["hour"] / 10 |> standardize, one_hot(source["sky"]))
  y[B] = source["level"] |> standardize
  split = holdout(test=0.25)
}
train {
  loss = mse(z, y)
  steps = 2
}
"""


def trained(folder: Path, text: str, **more: object) -> archspec.Run:
    """The run of a spec in its own folder, beside all the files above."""
    folder.mkdir(parents=True)
    (folder.parent / "shared").mkdir(exist_ok=True)
    (folder.parent / "shared" / "parts.arch").write_text(PARTS)
    (folder / "reviews.txt").write_text(REVIEWS)
    (folder / "numbers.csv").write_text(NUMBERS)
    (folder / "tides.csv").write_text(TIDES)
    (folder / "spec.arch").write_text(text)
    spec = archspec.load(folder / "spec.arch", allow=[folder.parent / "shared"])
    return archspec.run(spec, out=folder / "run", **more)  # type: ignore[arg-type]


def alone(folder: Path) -> Path:
    """Takes away all that a run was made of and leaves its folder."""
    for path in [*folder.glob("*.*"), *folder.parent.glob("shared/*")]:
        path.unlink()
    return folder / "run"
