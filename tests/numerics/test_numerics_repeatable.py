"""The same bits at any number of threads, from a cold or a warm cache, under any hash seed, in any folder."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from support import REPOSITORY

import archspec

TEXT = """
dim B, D = 13, K = 5
model noisy(x[B,D], s[B,D]) -> z[B,K] {
  h = x |> repeat 2 { linear(67, init=he) |> gelu |> dropout(0.2) } |> layernorm
  g = s |> linear(67) |> softmax[67]
  z = h * g + h |> linear(K)
}
data {
  source = csv("none.csv")
  x[B,D] = source["x*"]
  s[B,D] = source["s*"]
  y[B]: K = source["y"]
}
train {
  loss = cross_entropy(z, y)
  optimizer = adam(lr=0.01, decay=0.01)
  clip = norm(1)
  schedule = warmup(3) |> inverse_sqrt
  "*.b" { decay = 0 }
}
"""
SIZES = (37, 5, 37, 1)
SCRIPT = """
import sys, archspec, test_numerics_repeatable as test
print(test.fingerprint(archspec.load(sys.argv[1]), threads=int(sys.argv[2])))
"""


def batches():
    rng = np.random.default_rng(10)
    for size in SIZES:
        x, s = rng.normal(size=(2, size, 13)).astype(np.float32)
        yield {"x": x, "s": s, "y": rng.integers(0, 5, size)}


def fingerprint(spec, threads=1, seed=3, precision="f32"):
    """A hash of all that a few updates make: losses, gradients, weights, states, results."""
    program = spec.compile(threads=threads, seed=seed, precision=precision, dims={})
    digest = hashlib.sha256()
    for batch in batches():
        loss, gradient = program.gradient(**batch)
        numbers = [loss, program.step(**batch), program.loss(**batch)]
        digest.update(np.array(numbers).tobytes())
        for array in (*gradient.values(), *program.weights.values(), *program.state.optimizer.values()):
            digest.update(array.tobytes())
        digest.update(program.forward(x=batch["x"], s=batch["s"])["z"].tobytes())
    program.close()
    return digest.hexdigest()


@pytest.fixture(scope="module")
def known():
    return fingerprint(archspec.loads(TEXT))


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_the_number_of_threads_changes_no_bit(known, threads):
    assert fingerprint(archspec.loads(TEXT), threads) == known


RECURRENT = """
dim B, T, D = 11, K = 5
model names(x[B,T,D]) -> z[B,T,K] {
  z = x |> lstm(37) |> gru(29) |> rnn(300) |> linear(K)
}
train { loss = mean(z^2) }
"""


@pytest.fixture(scope="module")
def recurrent():
    program = archspec.loads(RECURRENT).compile(threads=1, dims={})
    yield program
    program.close()


@pytest.mark.parametrize("steps", [1, 3, 4, 9])
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit_of_a_recurrence_of_few_or_many_steps(recurrent, threads, steps):
    """What its steps multiply by is laid out ahead where they are enough, and else read where it lies."""
    x = np.random.default_rng(0).normal(size=(19, steps, 11)).astype(np.float32)
    program = archspec.loads(RECURRENT).compile(threads=threads, dims={})
    (loss, gradient), (known_loss, known_gradient) = program.gradient(x=x), recurrent.gradient(x=x)
    assert loss == known_loss
    assert all(gradient[path].tobytes() == known_gradient[path].tobytes() for path in known_gradient)
    program.close()


def test_the_first_steps_and_rows_of_a_recurrence_have_the_same_bits_alone(recurrent):
    x = np.random.default_rng(0).normal(size=(19, 9, 11)).astype(np.float32)
    whole = recurrent.forward(x=x)["z"]
    for steps in (1, 3, 4):
        assert np.array_equal(recurrent.forward(x=x[:, :steps])["z"], whole[:, :steps])
    for rows in (slice(1), slice(7, 19)):
        assert np.array_equal(recurrent.forward(x=x[rows])["z"], whole[rows])


TALL = """
dim B, F = 40
model m(x[B,F]) -> z[B,70] { z = x |> linear(70) |> gelu_tanh |> linear(70) }
"""
CAUSAL = """
dim B, T = 37, D = 32
model m(x[B,T,D]) -> z[B,T,D] { z = attention(x, x, N=2, causal=true) }
"""


@pytest.mark.parametrize(("text", "shape"), [(TALL, (1030, 40)), (TALL, (523, 40)), (TALL, (129, 40)), (CAUSAL, (7, 37, 32))])
def test_threads_that_share_rows_or_tiles_change_no_bit_and_nor_do_other_rows(text, shape):
    x = np.random.default_rng(2).normal(size=shape).astype(np.float32)

    def run(threads, rows):
        program = archspec.loads(text).compile(threads=threads, dims={})
        z = program.forward(x=x[rows])["z"]
        program.close()
        return z.tobytes(), len(z)

    whole, count = run(1, slice(None))
    assert all(run(threads, slice(None)) == (whole, count) for threads in (2, 3, 4))
    last, few = run(2, slice(-3, None))
    assert whole.endswith(last) and few == 3


def test_the_seed_changes_the_bits(known):
    assert fingerprint(archspec.loads(TEXT), seed=4) != known


def test_two_programs_side_by_side_do_not_meet(known):
    spec = archspec.loads(TEXT)
    first = spec.compile(threads=2, seed=3, dims={})
    first.step(**next(batches()))
    assert fingerprint(spec, 2) == known
    first.close()


def test_other_processes_caches_hash_seeds_and_folders_change_no_bit(known, tmp_path):
    def run(folder, hash_seed, threads):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "noisy.arch").write_text(TEXT)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "tests", REPOSITORY / "tests/numerics"))),
            "PYTHONHASHSEED": hash_seed,
            "ARCHSPEC_CACHE": str(tmp_path / "cache"),
        }
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / folder / "noisy.arch"), threads]
        done = subprocess.run(command, cwd=tmp_path / folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert run("cold", "1", "2") == known
    entries = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*.o")}
    assert entries
    assert run("warm", "2", "3") == known
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*.o")} == entries
