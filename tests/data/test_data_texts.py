"""Sources of text: what their rows and columns are, however the files are written."""

import gzip

import numpy as np
import pytest
from data_helpers import bind_lines, same
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec.diagnostics import ArchError


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def words(dataset, name="x"):
    names = dataset.classes[dataset.field(name).of]
    array = dataset.field(name).array
    return ["·".join(names[i] for i in array.row(r)) for r in range(len(array))]


@pytest.mark.parametrize(
    "data",
    [
        "one two\nthree\n",
        "one two\nthree",
        "\ufeffone two\r\nthree\r\n",
        "\n\n one two \n   \nthree\n\n",
        gzip.compress(b"one two\nthree\n"),
        "one two\nthree\n".encode("utf-8-sig"),
    ],
)
def test_one_text_written_in_many_ways(tmp_path, data):
    write(tmp_path, t_txt=data)
    dataset = bind_lines('s = lines("t.txt")\nx[B,T]: V = s |> words', tmp_path)
    assert words(dataset) == ["one·two", "three"]


def test_only_line_breaks_end_a_line(tmp_path):
    write(tmp_path, t_txt="a\x0bb\u2028c\x85d\ne")
    dataset = bind_lines('s = lines("t.txt")\nx[B,T]: V = s |> chars', tmp_path)
    assert words(dataset) == ["a·\x0b·b·\u2028·c·\x85·d", "e"]


def test_dos_line_breaks_are_one_character(tmp_path):
    write(tmp_path, t_txt="ab\r\nab\r\n")
    dataset = bind_lines('s = text("t.txt")\nx[B,N]: V, y[B,N]: V = s |> chars |> windows(5)', tmp_path)
    assert dataset.classes["V"] == ("\n", "a", "b")


def test_encodings(tmp_path):
    write(tmp_path, t_txt="zoë €".encode("cp1252"))
    dataset = bind_lines('s = lines("t.txt", encoding="cp1252")\nx[B,T]: V = s |> words', tmp_path)
    assert words(dataset) == ["zoë·€"]
    dataset = bind_lines('s = lines("t.txt", encoding="latin-1")\nx[B,T]: V = s |> words', tmp_path)
    assert words(dataset) == ["zoë·\x80"]


def test_labelled_lines(tmp_path):
    write(tmp_path, t_txt="LOC:city where is it ?\nNUM:date  when\nLOC:other\tx y\n")
    dataset = bind_lines('s = labelled("t.txt", coarse=":")\nx[B,T]: V = s["text"] |> words\ny[B]: K = s["label"]', tmp_path)
    assert dataset.classes["K"] == ("LOC", "NUM")
    assert dataset.field("y").array.tolist() == [0, 1, 0]
    assert words(dataset) == ["where·is·it·?", "when", "x·y"]
    fine = bind_lines('s = labelled("t.txt")\nx[B,T]: V = s |> words\ny[B]: K = s["label"]', tmp_path)
    assert fine.classes["K"] == ("LOC:city", "LOC:other", "NUM:date")


def test_a_separator_of_its_own(tmp_path):
    write(tmp_path, t_txt="very good ### a b ### c\nbad ###d\n")
    dataset = bind_lines('s = labelled("t.txt", separator="###")\nx[B,T]: V = s |> words\ny[B]: K = s["label"]', tmp_path)
    assert dataset.classes["K"] == ("bad", "very good")
    assert words(dataset) == ["a·b·###·c", "d"]


def test_labels_may_be_scores(tmp_path):
    write(tmp_path, t_txt="0.5 a\n-2 b\n", u_txt="0.5 a\nx b\n")
    dataset = bind_lines('s = labelled("t.txt")\ny[B] = s["label"] * 2', tmp_path)
    assert dataset.field("y").array.tolist() == [1.0, -4.0]
    with pytest.raises(ArchError, match=r"holds `x`, which is not a number(.|\n)*line 2 of `u\.txt`"):
        bind_lines('s = labelled("u.txt")\ny[B] = s["label"]', tmp_path)


def test_parts_with_files_of_their_own(tmp_path):
    write(tmp_path, a_txt="1 a\n0 b\n", b_txt="0 c\n", c_txt="1 a\n1 b\n")
    lines = 's = labelled("a.txt", validation="b.txt", test="c.txt")\nx[B,T]: V = s |> words\ny[B]: K = s["label"]'
    dataset = bind_lines(lines, tmp_path)
    assert {part: rows.tolist() for part, rows in dataset.parts.items()} == {"train": [0, 1], "validation": [2], "test": [3, 4]}
    assert words(dataset) == ["a", "b", "<unknown>", "a", "b"]
    assert dataset.field("y").array.tolist() == [1, 0, 0, 1, 1]


def test_lines_of_many_files(tmp_path):
    write(tmp_path, names__b_txt="x\n\ny\n", names__a_txt="z", names__c_csv="no", names__empty_txt="", hidden__x_txt="no")
    dataset = bind_lines('s = folder("names/*.txt")\nx[B,T]: V = s |> chars\ny[B]: K = s["label"]', tmp_path)
    assert words(dataset) == ["z", "x", "y"]
    assert dataset.classes["K"] == ("a", "b")
    assert dataset.field("y").array.tolist() == [0, 1, 1]


def test_a_row_for_each_file(tmp_path):
    for name in ("pos", "neg"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for k in range(2):
            (tmp_path / "train" / name / f"{k}.txt").write_text(f"{name} {k}\nsecond line\n")
    call = 's = folder("train/*/*.txt", label="folder", whole=true)\nx[B,T]: V = s |> words\ny[B]: K = s["label"]'
    dataset = bind_lines(call, tmp_path)
    assert dataset.classes["K"] == ("neg", "pos")
    assert words(dataset) == ["neg·0·second·line", "neg·1·second·line", "pos·0·second·line", "pos·1·second·line"]
    ending = bind_lines('s = folder("train/pos/?.txt", label="ending")\ny[B]: K = s["label"]', tmp_path)
    assert ending.classes["K"] == ("txt",)


def test_files_found_by_a_pattern_must_be_allowed(tmp_path):
    write(tmp_path, spec__a_txt="a", other__b_txt="b")
    (tmp_path / "spec" / "link.txt").symlink_to(tmp_path / "other" / "b.txt")
    (tmp_path / "spec" / "linked").symlink_to(tmp_path / "other")
    for pattern in ("*.txt", "linked/*.txt", "*/*.txt", "../other/*.txt", "../*/*.txt"):
        with pytest.raises(ArchError, match="D11"):
            bind_lines(f's = folder("{pattern}")\nx[B,T]: V = s |> chars', tmp_path / "spec")
    allowed = bind_lines('s = folder("*.txt")\nx[B,T]: V = s |> chars', tmp_path / "spec", allow=[tmp_path / "other"])
    assert words(allowed) == ["a", "b"]


CONLLU = """# sent_id = 1
# text = vámonos al mar
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_
2.1\tnada\t_\t_\t_\t_\t_\t_\t_\t_
3\t# \t#\tSYM\t_\t_\t1\tobl\t_\t_

# text = sí
1\tsí\tsí\tINTJ\t_\t_\t0\troot\t_\t_
"""


def test_conllu_skips_words_of_several_tokens_and_empty_nodes(tmp_path):
    write(tmp_path, t_conllu=CONLLU)
    lines = 's = conll("t.conllu")\nx[B,T]: V = s["form"] |> words\ntags[B,T]: K = s["upos"]'
    dataset = bind_lines(lines, tmp_path)
    assert words(dataset) == ["vamos·nos·# ", "sí"]
    assert words(dataset, "tags") == ["VERB·PRON·SYM", "INTJ"]
    assert dataset.classes["K"] == ("INTJ", "PRON", "SYM", "VERB")


def test_conll_of_other_columns(tmp_path):
    text = "-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects  VBZ O\n# # I-X\n\n\nPeter NNP B-PER"
    write(tmp_path, t_txt=text, u_txt="Bonn NNP B-LOC\n")
    by_number = 's = conll("t.txt", test="u.txt")\nx[B,T]: V = s["c0"] |> words(lower=true)\ny[B,T]: K = s["c2"]'
    named = 's = conll("t.txt", test="u.txt", columns=["w", "pos", "ne"])'
    by_name = named + '\nx[B,T]: V = s["w"] |> words(lower=true)\ny[B,T]: K = s["ne"]'
    for lines in (by_number, by_name):
        dataset = bind_lines(lines, tmp_path)
        assert words(dataset) == ["eu·rejects·#", "peter", "<unknown>"]
        assert words(dataset, "y") == ["B-ORG·O·I-X", "B-PER", "B-LOC"]
        assert dataset.parts["test"].tolist() == [2]


def test_pairs(tmp_path):
    write(tmp_path, a_en="one two\n\nthree\n", a_de="eins zwei\nleer\ndrei", b_en="two\n", b_de="zwei\n")
    lines = """p = pairs("a.en", "a.de", validation=["b.en", "b.de"])
    x[B,S]: V = p["source"] |> words
    i[B,T]: W, o[B,T]: W = p["target"] |> words |> shifted"""
    dataset = bind_lines(lines, tmp_path)
    assert words(dataset) == ["one·two", "three", "two"]
    assert words(dataset, "o") == ["eins·zwei·<end>", "drei·<end>", "zwei·<end>"]
    assert {part: rows.tolist() for part, rows in dataset.parts.items()} == {"train": [0, 1], "validation": [2]}
    with pytest.raises(ArchError, match="no other file can stand in"):
        dataset.apply(tmp_path / "a.en")


def test_pairs_in_one_file(tmp_path):
    write(
        tmp_path,
        t_tsv='"Go," he said.\tVa !\tby someone\n\nRun\tCours\n \tx\n',
        u_tsv="Go\tVa\n",
        bad_tsv="Go\tVa\nRun Cours\n",
    )
    lines = 'p = pairs("{}", test="u.tsv")\nx[B,S]: V = p["source"] |> words\ny[B,T]: W = p["target"] |> words'
    dataset = bind_lines(lines.format("t.tsv"), tmp_path)
    assert words(dataset) == ['"Go,"·he·said.', "Run", "<unknown>"]
    assert words(dataset, "y") == ["Va·!", "Cours", "Va"]
    assert dataset.parts["test"].tolist() == [2]
    with pytest.raises(ArchError, match=r"line 2 of `bad\.tsv` has no TAB between its sides"):
        bind_lines(lines.format("bad.tsv"), tmp_path)


LETTERS = st.text("ab \t\n\r#.-1é\x85\u2028\x00", max_size=40)
CALLS = ["text", "lines", "labelled", "conll", "pairs", "folder"]


@settings(deadline=None, max_examples=200)
@given(LETTERS | st.binary(max_size=40), st.sampled_from(CALLS), st.sampled_from(["chars", "words", "words |> shifted"]))
def test_any_file_gives_rows_or_located_mistakes(tmp_path_factory, content, call, steps):
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "t.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    column = {"conll": "c0", "pairs": "target"}.get(call, "text")
    fields = "x[B,T]: V, y[B,T]: V" if "shifted" in steps else "x[B,T]: V"
    cutting = " |> windows(2)" if call == "text" and "shifted" not in steps else ""
    fields = "x[B,N]: V, y[B,N]: V" if cutting else fields
    try:
        dataset = bind_lines(f's = {call}("t.txt")\n{fields} = s["{column}"] |> {steps}{cutting}', folder)
    except ArchError as error:
        assert all(d.span is not None for d in error.diagnostics)
    else:
        assert dataset.rows > 0 and len(dataset.parts["train"]) > 0


def test_text_beside_numbers_in_a_table(tmp_path):
    write(tmp_path, t_csv='stars,review\n5,"good, NA"\n1,bad\n')
    dataset = bind_lines(
        's = csv("t.csv")\nx[B,T]: V = s["review"] |> words\ny[B] = s["stars"]\nz[B]: K = s["stars"]', tmp_path
    )
    assert words(dataset) == ["good,·NA", "bad"]
    assert dataset.field("y").array.tolist() == [5, 1]
    assert dataset.classes["K"] == ("1", "5")


def test_a_stratified_split_of_text(tmp_path):
    write(tmp_path, t_txt="".join(f"{k % 2} w{k}\n" for k in range(20)))
    lines = 's = labelled("t.txt")\nx[B,T]: V = s |> words\ny[B]: K = s["label"]\nsplit = holdout(test=4, stratify=true)'
    dataset = bind_lines(lines, tmp_path)
    assert np.bincount(dataset.field("y").array[dataset.parts["test"]]).tolist() == [2, 2]


def test_sources_side_by_side(tmp_path):
    write(tmp_path, a_txt="x y\nz\n", b_csv="v\n1\n2\n", c_csv="v\n1\n")
    dataset = bind_lines('a = lines("a.txt")\nb = csv("b.csv")\nx[B,T]: V = a |> words\ny[B] = b["v"]', tmp_path)
    assert same(dataset.field("x").array, [[1, 2], [3]]) and dataset.field("y").array.tolist() == [1, 2]
    with pytest.raises(ArchError, match="D22"):
        bind_lines('a = lines("a.txt")\nb = csv("c.csv")\nx[B,T]: V = a |> words\ny[B] = b["v"]', tmp_path)


def test_a_packed_bomb_is_refused(tmp_path, monkeypatch):
    from archspec.data import files

    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    write(tmp_path, t_gz=gzip.compress(b"a" * 2000))
    for source in ("text", "lines", "labelled", "conll", "npz"):
        with pytest.raises(ArchError, match="D24"):
            bind_lines(f's = {source}("t.gz")\nx[B,T]: V = s |> words', tmp_path)


def test_folders_of_files_are_bounded_together(tmp_path, monkeypatch):
    from archspec.data import texts

    write(tmp_path, a_txt="a" * 600, b_txt="b" * 600)
    monkeypatch.setattr(texts, "MAX_BYTES", 1000)
    with pytest.raises(ArchError, match="D24"):
        bind_lines('s = folder("*.txt")\nx[B,T]: V = s |> words', tmp_path)
    monkeypatch.setattr(texts, "MAX_FILES", 1)
    with pytest.raises(ArchError, match="D24"):
        bind_lines('s = folder("*.txt")\nx[B,T]: V = s |> words', tmp_path)
