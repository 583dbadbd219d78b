"""The specs of sequences against models written in PyTorch: outputs, loss and all gradients on rows of their own data."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from numerics_helpers import randomise
from support import REPOSITORY

import archspec
from archspec.data.ragged import Ragged

torch = pytest.importorskip("torch")
functional = torch.nn.functional

from torch_layers import (  # noqa: E402
    Weights,
    bidirectional,
    compare,
    decoder_block,
    encoder_block,
    gru_parameters,
    inside,
    last,
    layernorm,
    linear,
    lstm_parameters,
    recurrent,
    sinusoid,
)

ROWS = 5


@cache
def program_and_rows(name: str, settings: tuple = ()):
    """A spec at a small size in float64, and the first rows of its training part, padded, with their lengths."""
    spec = archspec.load(REPOSITORY / "specs" / f"{name}.arch", set=dict(settings))
    data, given = spec.data(), {}
    rows = data.parts["train"][:ROWS]
    for field in data.fields:
        if isinstance(field.array, Ragged):
            given[field.name], given[field.axes[1]] = field.array.padded(rows), field.array.lengths[rows]
        else:
            given[field.name] = np.array(field.array[rows])
    return spec.compile(precision="f64"), given


def entropy(z, y, lengths=None):
    """The mean over all labels, of rows up to their ends."""
    losses = functional.cross_entropy(z.flatten(0, -2), y.flatten(), reduction="none").view(y.shape)
    return losses.mean() if lengths is None else losses[inside(lengths, y.shape[1])].mean()


def languages(w, given):
    h = recurrent("rnn", w.at("h/embed")["W"][given["letters"]], given["T"], w.at("h/rnn/cell"))
    z = linear(last(h, given["T"]), w.at("z/linear"))
    return {"z": z}, entropy(z, given["y"])


def reviews(w, given):
    words, lengths = given["words"], given["T"]
    h = recurrent("lstm", w.at("h/embed")["W"][words], lengths, w.at("h/lstm/cell"))
    q = torch.tanh(linear(h, w.at("q/linear")))
    scores = (q * last(q, lengths)[:, None]).sum(-1)
    s = functional.softmax(scores.masked_fill(~inside(lengths, words.shape[1]), -math.inf), 1)
    z = linear((s[..., None] * h).sum(1), w.at("z/linear"))
    return {"z": z}, entropy(z, given["y"])


def reviews_attention(w, given):
    from torch_layers import attention

    words, lengths = given["words"], given["T"]
    table = w.at("e/embed")["W"]
    e = table[words] + sinusoid(words.shape[1], table.shape[1])
    h = e + attention(e, e, 2, w.at("h/attention"), lengths)
    mask = inside(lengths, words.shape[1])[..., None]
    mean = (functional.relu(linear(h, w.at("z/linear"))) * mask).sum(1) / lengths[:, None]
    z = linear(mean, w.at("z/linear_2"))
    return {"z": z}, entropy(z, given["y"])


def tagger(w, given):
    h = w.at("h/embed")["W"][given["words"]]
    for k in range(2):
        h = bidirectional("lstm", h, given["T"], w.at(f"h/{k}/bidirectional"))
    z = linear(h, w.at("z/linear"))
    return {"z": (z, inside(given["T"], z.shape[1]))}, entropy(z, given["tags"], given["T"])


def encoder(norm_first):
    def run(w, given):
        words, lengths = given["words"], given["T"]
        table = w.at("e/embed")["W"]
        h = table[words] * math.sqrt(table.shape[1]) + sinusoid(words.shape[1], table.shape[1])
        for k in range(2):
            h = encoder_block(h, 2, w.at(f"h/{k}/encoder_block"), lengths, norm_first)
        z = linear(layernorm(h, w.at("z/layernorm")) if norm_first else h, w.at("z/linear"))
        return {"z": (z, inside(lengths, z.shape[1]))}, entropy(z, given["tags"], lengths)

    return run


def gpt(w, given):
    ids = given["ids"]
    table = w.at("emb")["W"]
    h = table[ids] + w.at("e/positions")["W"][: ids.shape[1]]
    for k in range(2):
        h = encoder_block(h, 2, w.at(f"h/{k}/encoder_block"), causal=True)
    z = layernorm(h, w.at("h/layernorm")) @ table.T
    return {"z": z}, entropy(z, given["next"])


def letters(w, given):
    x = w.at("x/embed")["W"][given["ids"]]
    h = recurrent("lstm", x, torch.full((len(x),), x.shape[1]), w.at("cell"))
    z = linear(h, w.at("z/linear"))
    return {"z": z}, entropy(z, given["next"])


def bigram(w, given):
    z = w.at("z/embed")["W"][given["words"]]
    return {"z": z}, entropy(z, given["next"])


def skipgram(w, given):
    u, v = w.at("u/embed")["W"][given["center"]], w.at("v/embed")["W"][given["context"]]
    p, others = u @ v.T, ~torch.eye(len(u), dtype=torch.bool)
    n = (functional.logsigmoid(-p) * others).sum(1) / (len(u) - 1)
    r = ((p < p.diagonal()[:, None]) & others).double().sum(1) / (len(u) - 1)
    loss = -(functional.logsigmoid(p.diagonal()) + 5 * n).mean()
    return {"s": p.diagonal(), "n": n, "r": r}, loss


def seq2seq(w, given):
    """Step by step: additive attention to all states of the encoder, then `nn.GRUCell`'s equations."""
    letters, digits, lengths = given["letters"], given["digits"], given["S"]
    m = bidirectional("gru", w.at("m/embed")["W"][letters], lengths, w.at("m/bidirectional"))
    mask, x = inside(lengths, letters.shape[1]), w.at("x/embed")["W"][digits]
    look, cell = w.at("look"), gru_parameters(w.at("cell"))
    h, states = torch.tanh(linear(last(m, lengths), w.at("h/linear"))), []
    module = torch.nn.GRUCell(x.shape[2] + m.shape[2], h.shape[1]).double()
    for t in range(digits.shape[1]):
        scores = torch.tanh(m @ look["U"] + (h @ look["W"])[:, None]) @ look["v"]
        a = functional.softmax(scores.masked_fill(~mask, -math.inf), 1)
        c = (a[..., None] * m).sum(1)
        parameters = {name.removesuffix("_l0"): value for name, value in cell.items()}
        h = torch.func.functional_call(module, parameters, (torch.cat([x[:, t], c], 1), h))
        states.append(h)
    z = linear(torch.stack(states, 1), w.at("z/linear"))
    return {"z": (z, inside(given["T"], z.shape[1]))}, entropy(z, given["next"], given["T"])


def transformer(w, given):
    letters, digits, s, t = given["letters"], given["digits"], given["S"], given["T"]
    e, d = w.at("e/embed")["W"], w.at("d/embed")["W"]
    m = e[letters] + sinusoid(letters.shape[1], e.shape[1])
    h = d[digits] + sinusoid(digits.shape[1], d.shape[1])
    for k in range(2):
        m = encoder_block(m, 2, w.at(f"m/{k}/encoder_block"), s)
    m = layernorm(m, w.at("m/layernorm"))
    for k in range(2):
        h = decoder_block(h, m, 2, w.at(f"h/{k}/decoder_block"), t, s)
    z = linear(layernorm(h, w.at("h/layernorm")), w.at("z/linear"))
    return {"z": (z, inside(t, z.shape[1]))}, entropy(z, given["next"], t)


SPECS = {
    "languages": (languages, "classify", {"E": 3, "H": 4}),
    "reviews": (reviews, "sentiment", {"E": 3, "H": 4, "A": 2}),
    "reviews_attention": (reviews_attention, "sentiment", {"D": 4}),
    "tagger": (tagger, "tag", {"E": 3, "H": 2}),
    "encoder": (encoder(True), "tag", {"D": 4, "p": 0.0}),
    "encoder post-norm": (encoder(False), "tag", {"D": 4, "p": 0.0, "norm_first": False}),
    "gpt": (gpt, "gpt", {"D": 4, "N": 2, "longest": 9}),
    "letters": (letters, "letters", {"E": 3, "H": 4}),
    "bigram": (bigram, "bigram", {}),
    "skipgram": (skipgram, "skipgram", {"D": 3}),
    "seq2seq": (seq2seq, "read", {"E": 3, "H": 4, "A": 2}),
    "transformer": (transformer, "read", {"D": 4}),
}


@pytest.mark.parametrize("name", SPECS)
def test_equals_pytorch(name):
    reference, model, settings = SPECS[name]
    program, given = program_and_rows(name.split()[0], tuple(settings.items()))
    compare(program, model, reference, given)


@pytest.mark.parametrize("name", ["languages", "seq2seq", "transformer", "tagger"])
def test_padding_is_not_seen(name):
    """What stands past the ends of rows of indices may be any index."""
    _, _, settings = SPECS[name]
    program, given = program_and_rows(name, tuple(settings.items()))
    spoiled = dict(given)
    for field, axis in (
        ("letters", "S" if "S" in given else "T"),
        ("words", "T"),
        ("digits", "T"),
        ("tags", "T"),
        ("next", "T"),
    ):
        if field in given:
            mask = np.arange(given[field].shape[1]) < given[axis][:, None]
            spoiled[field] = np.where(mask, given[field], 1)
    (loss, slopes), (other, others) = program.gradient(**given), program.gradient(**spoiled)
    assert loss == other
    for path, slope in slopes.items():
        np.testing.assert_array_equal(slope, others[path], err_msg=path)


def test_the_future_is_not_seen():
    """A GPT's scores at t hang on the letters up to t alone, to the last bit."""
    program, given = program_and_rows("gpt", tuple(SPECS["gpt"][2].items()))
    before = program.forward(ids=given["ids"])["z"]
    for t in range(given["ids"].shape[1] - 1):
        changed = given["ids"].copy()
        changed[:, t + 1 :] = (changed[:, t + 1 :] + 3) % 7
        np.testing.assert_array_equal(before[:, : t + 1], program.forward(ids=changed)["z"][:, : t + 1])


def test_forget_gates_start_open():
    """The shift of the forget gate is on its place among i, f, g, o."""
    program, _ = program_and_rows("letters", tuple(SPECS["letters"][2].items()))
    w = {name: torch.tensor(program.weights[f"letters/cell/{name}"]) for name in "WUb"}
    shift = lstm_parameters(w)["bias_ih_l0"] - w["b"]
    assert shift.tolist() == [0] * 4 + [1] * 4 + [0] * 8


def test_states_carried_over_are_those_of_one_long_row():
    """Windows of a text one after another, each from where the last one ended, give what one long row gives."""
    settings = SPECS["letters"][2]
    spec = archspec.load(REPOSITORY / "specs" / "letters.arch", set=settings)
    data, (program, _) = spec.data(), program_and_rows("letters", tuple(settings.items()))
    ids, following = (np.array(data.field(name).array[:6]) for name in ("ids", "next"))
    arrays = program.check_arrays({"ids": ids, "next": following})
    randomise(program)
    program.forget()
    losses = [program.figures_rows(arrays, np.array([row]))["loss"] for row in range(6)]
    program.forget()
    assert program.figures_rows(arrays, np.array([1]))["loss"] != pytest.approx(losses[1], rel=1e-3)
    program.forget()
    weights = Weights({path: torch.tensor(program.weights[path]) for path in program.weights}, "letters")
    _, whole = letters(weights, {"ids": torch.tensor(ids).view(1, -1), "next": torch.tensor(following).view(1, -1)})
    assert np.mean(losses) == pytest.approx(whole.item(), rel=1e-12)
