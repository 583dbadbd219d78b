"""Real text and images: the counts that the README of the data states, and the time that reading takes."""

import time

import numpy as np
import pytest
from data_helpers import bind_lines
from support import real_data

from archspec.data.encode import UNKNOWN
from archspec.diagnostics import ArchError

SHAKESPEARE = """
source = text("input.txt")
ids[B,N]: V, next[B,N]: V = source |> chars |> windows(64)
split = tail(validation=0.1)
"""
SST = """
source = labelled("stsa.{}.train", validation="stsa.{}.dev", test="stsa.{}.test")
words[B,T]: V = source["text"] |> words(min=2)
y[B]: K = source["label"]
"""
MULTI30K = """
source = pairs("train.en.gz", "train.de.gz", validation=["val.en.gz", "val.de.gz"],
               test=["test_2016_flickr.en.gz", "test_2016_flickr.de.gz"])
src[B,S]: V = source["source"] |> words(min=2, lower=true, punctuation=true)
tin[B,T]: W, tout[B,T]: W = source["target"] |> words(min=2, lower=true, punctuation=true) |> shifted
"""
EWT = """
source = conll("en_ewt-ud-train.conllu.gz", validation="en_ewt-ud-dev.conllu.gz", test="en_ewt-ud-test.conllu.gz")
words[B,T]: V = source["form"] |> words(min=2)
tags[B,T]: K = source["upos"]
"""
MNIST = """
source = idx("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
             test=["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
x[B,I,J] = source["image"] / 255
y[B]: K = source["label"]
"""


def parts_of(dataset):
    return [len(rows) for rows in dataset.parts.values()]


def label_counts(dataset, name="y"):
    array = dataset.field(name).array
    return [np.bincount(array[rows]).tolist() for rows in dataset.parts.values()]


@pytest.mark.parametrize(
    ("file", "lines", "seconds"),
    [  # twice what the text may take on a machine with nothing else to do
        ("tinyshakespeare/input.txt", SHAKESPEARE, 0.4),
        ("sst/stsa.binary.train", SST.replace("{}", "binary"), 1.0),
        ("multi30k/train.en.gz", MULTI30K, 4.0),
    ],
)
def test_reading_is_fast(file, lines, seconds):
    folder = real_data(file).parent
    start = time.perf_counter()
    bind_lines(lines, folder)
    assert time.perf_counter() - start < seconds


def test_tiny_shakespeare():
    path = real_data("tinyshakespeare/input.txt")
    dataset = bind_lines(SHAKESPEARE, path.parent)
    text = path.read_text()
    names = dataset.classes["V"]
    assert len(text) == 1_115_394 and dataset.dims == {"N": 64, "V": 65} and UNKNOWN not in names
    train, validation = dataset.parts["train"], dataset.parts["validation"]
    assert len(train) == (1_003_855 - 1) // 64 and validation[0] == 1_003_855
    for row in (0, 64, int(validation[3])):
        for field, shift in (("ids", 0), ("next", 1)):
            found = "".join(names[i] for i in dataset.field(field).array[row])
            assert found == text[row + shift : row + shift + 64]


def test_sst():
    folder = real_data("sst/stsa.binary.train").parent
    binary = bind_lines(SST.replace("{}", "binary"), folder)
    assert parts_of(binary) == [6920, 872, 1821]
    assert label_counts(binary) == [[3310, 3610], [428, 444], [912, 909]]
    fine = bind_lines(SST.replace("{}", "fine"), folder)
    assert parts_of(fine) == [8544, 1101, 2210]
    assert label_counts(fine)[0] == [1092, 2218, 1624, 2322, 1288]
    assert fine.classes["K"] == tuple("01234")


def test_trec_has_a_byte_of_another_encoding_and_two_kinds_of_labels():
    folder = real_data("trec/TREC.train").parent
    call = 's = labelled("TREC.train", test="TREC.test", {}encoding="latin-1")\nq[B,T]: V = s |> words\ny[B]: K = s["label"]'
    coarse = bind_lines(call.format('coarse=":", '), folder)
    assert parts_of(coarse) == [5452, 500]
    assert coarse.classes["K"] == ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
    assert label_counts(coarse) == [[86, 1162, 1250, 1223, 835, 896], [9, 138, 94, 65, 81, 113]]
    assert bind_lines(call.format(""), folder).dims["K"] == 50
    with pytest.raises(ArchError, match=r"D13.*byte 0x\w\w on line 66"):
        bind_lines('s = labelled("TREC.train")\nq[B,T]: V = s |> words', folder)


def test_subj_mr_and_sms():
    subj = bind_lines('s = labelled("subj.all", encoding="cp1252")\ny[B]: K = s["label"]', real_data("subj/subj.all").parent)
    assert label_counts(subj) == [[5000, 5000]]
    mr = bind_lines('s = folder("rt-polarity.*", label="ending")\ny[B]: K = s["label"]', real_data("mr/rt-polarity.pos").parent)
    assert mr.classes["K"] == ("neg", "pos") and label_counts(mr) == [[5331, 5331]]
    sms = bind_lines(
        's = labelled("SMSSpamCollection", separator="\\t")\nx[B,T]: V = s |> words\ny[B]: K = s["label"]',
        real_data("sms_spam/SMSSpamCollection").parent,
    )
    assert sms.classes["K"] == ("ham", "spam") and label_counts(sms) == [[4827, 747]]


def test_news_in_a_table():
    folder = real_data("ag_news/test.csv.gz").parent
    news = bind_lines('s = csv("test.csv.gz")\nx[B,T]: V = s["title"] |> words\ny[B]: K = s["label"]', folder)
    assert label_counts(news) == [[1900] * 4]


def test_names_by_language():
    folder = real_data("names_18lang/names").parent
    dataset = bind_lines('s = folder("names/*.txt")\nx[B,T]: V = s |> chars\ny[B]: K = s["label"]', folder)
    counts = dict(zip(dataset.classes["K"], label_counts(dataset)[0], strict=True))
    assert (dataset.rows, len(counts)) == (20_050, 18)
    assert (counts["Arabic"], counts["Russian"], counts["Vietnamese"]) == (2000, 9384, 73)


def test_names_for_a_language_model():
    folder = real_data("names_makemore/names.txt").parent
    dataset = bind_lines('s = lines("names.txt")\na[B,T]: V, b[B,T]: V = s |> chars |> shifted', folder)
    lengths = dataset.field("a").array.lengths - 1
    assert (dataset.rows, dataset.dims) == (32_033, {"V": 28})
    assert (lengths.min(), lengths.max(), lengths.sum()) == (2, 15, 228_145 - 32_032)


def test_universal_dependencies():
    dataset = bind_lines(EWT, real_data("ud_english_ewt/en_ewt-ud-train.conllu.gz").parent)
    assert parts_of(dataset) == [12_544, 2_001, 2_077]
    lengths = dataset.field("words").array.lengths
    assert [int(lengths[rows].sum()) for rows in dataset.parts.values()] == [204_577, 25_147, 25_094]
    assert dataset.dims["K"] == 17


def test_chunks():
    folder = real_data("conll2000/train.txt.gz").parent
    lines = 's = conll("train.txt.gz", test="test.txt.gz", columns=["word", "pos", "chunk"])\ny[B,T]: K = s["{}"]'
    chunks = bind_lines(lines.format("chunk"), folder)
    assert parts_of(chunks) == [8_936, 2_012]
    lengths = chunks.field("y").array.lengths
    assert [int(lengths[rows].sum()) for rows in chunks.parts.values()] == [211_727, 47_377]
    assert bind_lines(lines.format("pos"), folder).dims["K"] == 44


def test_multi30k():
    dataset = bind_lines(MULTI30K, real_data("multi30k/train.en.gz").parent)
    assert parts_of(dataset) == [29_000, 1_014, 1_000]
    assert np.array_equal(dataset.field("tin").array.lengths, dataset.field("tout").array.lengths)


def test_tanaka():
    folder = real_data("tanaka_enja/train.en.gz").parent
    lines = 'p = pairs("train.en.gz", "train.ja.gz")\na[B,S]: V = p["source"] |> words\nb[B,T]: W = p["target"] |> words'
    dataset = bind_lines(lines, folder)
    assert (dataset.rows, dataset.dims) == (50_000, {"V": 6_635, "W": 8_775})  # the README's words, and the unknown one


def test_mnist():
    dataset = bind_lines(MNIST, real_data("mnist/train-images-idx3-ubyte.gz").parent)
    train, test = label_counts(dataset)
    assert dataset.dims == {"I": 28, "J": 28, "K": 10}
    assert train == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    x = dataset.field("x").array
    assert x.dtype == np.float32
    pixels = x[:60_000].reshape(60_000, -1)
    mean = pixels.mean(dtype=np.float64)
    deviation = np.sqrt(np.mean([(row.astype(np.float64) ** 2).mean() for row in pixels]) - mean**2)
    assert (round(mean, 4), round(deviation, 4)) == (0.1307, 0.3081)
