"""Text to indices: exact numbers on small files, and plain loops beside them."""

from collections import Counter

import numpy as np
import pytest
from data_helpers import bind_lines, same
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec.data import columns, tokens
from archspec.data.encode import END, START, UNKNOWN
from archspec.diagnostics import ArchError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "names.txt").write_text("anna\nbob\n\nab\n")
    (tmp_path / "story.txt").write_text("to be or not to be that is\n")
    (tmp_path / "more.txt").write_text("no!\n")
    return tmp_path


def strings(dataset, field):
    """The rows of a field spelled out."""
    array, names = dataset.field(field).array, dataset.classes[dataset.field(field).of]
    rows = [array.row(r) for r in range(len(array))] if hasattr(array, "row") else array
    return [[names[i] for i in np.atleast_1d(row)] for row in rows]


def test_chars_of_lines(folder):
    dataset = bind_lines('s = lines("names.txt")\nname[B,T]: V = s |> chars', folder)
    assert dataset.classes["V"] == ("a", "b", "n", "o")  # 3 a, 3 b, 2 n, 1 o: by count, then by text
    assert same(dataset.field("name").array, [[0, 2, 2, 0], [1, 3, 1], [0, 1]])
    assert (dataset.rows, dataset.dims, dataset.axis) == (3, {"V": 4}, "B")


def test_rows_of_one_length_need_no_ragged_axis(tmp_path):
    (tmp_path / "t.txt").write_text("ab\nba\n")
    dataset = bind_lines('s = lines("t.txt")\nx[B,N]: V = s |> chars', tmp_path)
    assert dataset.field("x").array.tolist() == [[0, 1], [1, 0]]
    assert dataset.dims == {"N": 2, "V": 2}


def test_words_always_have_an_unknown_entry(folder):
    dataset = bind_lines('s = lines("story.txt")\nx[B,T]: V = s |> words(min=2)', folder)
    assert dataset.classes["V"] == (UNKNOWN, "be", "to")
    assert same(dataset.field("x").array, [[2, 1, 0, 0, 2, 1, 0, 0]])


def test_characters_have_one_where_a_later_part_needs_it(folder):
    lines = 's = lines("names.txt", test="{}")\nname[B,T]: V = s |> chars'
    assert UNKNOWN not in bind_lines(lines.format("names.txt"), folder).classes["V"]
    dataset = bind_lines(lines.format("more.txt"), folder)
    assert dataset.classes["V"] == (UNKNOWN, "a", "b", "n", "o")
    assert strings(dataset, "name")[-1] == ["n", "o", UNKNOWN]
    assert UNKNOWN in bind_lines('s = lines("names.txt")\nname[B,T]: V = s |> chars(min=2)', folder).classes["V"]


def test_the_vocabulary_is_that_of_the_training_part(tmp_path):
    (tmp_path / "t.txt").write_text("a b\nb\nb c\nd d d\n")
    dataset = bind_lines('s = lines("t.txt")\nx[B,T]: V = s |> words\nsplit = tail(test=1)', tmp_path)
    assert dataset.classes["V"] == (UNKNOWN, "b", "a", "c")
    assert strings(dataset, "x")[-1] == [UNKNOWN] * 3


def test_settings_of_a_vocabulary(tmp_path):
    (tmp_path / "t.txt").write_text("The cat. THE hat? the Cat!\n")
    names = lambda call: bind_lines(f's = lines("t.txt")\nx[B,T]: V = s |> {call}', tmp_path).classes["V"][1:]  # noqa: E731
    assert names("words") == ("Cat!", "THE", "The", "cat.", "hat?", "the")
    assert names("words(lower=true)") == ("the", "cat!", "cat.", "hat?")
    assert names("words(lower=true, punctuation=true)") == ("the", "cat", "!", ".", "?", "hat")
    assert names("words(lower=true, punctuation=true, most=2)") == ("the", "cat")
    assert names("words(lower=true, min=3)") == ("the",)


def test_words_that_look_like_entries_are_those_entries(tmp_path):
    (tmp_path / "t.txt").write_text("<unknown> a <unknown> <start>\n")
    dataset = bind_lines('s = lines("t.txt")\nx[B,T]: V, y[B,T]: V = s |> words |> shifted', tmp_path)
    assert dataset.classes["V"] == (UNKNOWN, START, END, "a")
    assert same(dataset.field("x").array, [[1, 0, 3, 0, 1]])


def test_crop_and_shift(folder):
    dataset = bind_lines('s = lines("names.txt")\nx[B,T]: V, y[B,T]: V = s |> chars |> crop(3) |> shifted', folder)
    assert strings(dataset, "x") == [[START, *"ann"], [START, *"bob"], [START, *"ab"]]
    assert strings(dataset, "y") == [[*"ann", END], [*"bob", END], [*"ab", END]]
    assert dataset.classes["V"][:2] == (START, END)


def test_fields_over_one_axis_share_a_vocabulary(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\nx y,y z\nx,z z\n")
    dataset = bind_lines('s = csv("t.csv")\na[B,T]: V = s["a"] |> words\nb[B,S]: V = s["b"] |> words', tmp_path)
    assert dataset.classes["V"] == (UNKNOWN, "z", "x", "y")
    assert strings(dataset, "b") == [["y", "z"], ["z", "z"]]


def test_windows_are_views_and_parts_choose_among_them(folder):
    lines = 's = text("story.txt")\nids[B,N]: V, next[B,N]: V = s |> chars |> windows(4, stride=2)\nsplit = tail(validation=10)'
    dataset = bind_lines(lines, folder)
    text = (folder / "story.txt").read_text()
    ids, after = dataset.field("ids").array, dataset.field("next").array
    assert dataset.dims == {"N": 4, "V": len(dataset.classes["V"])}
    assert dataset.rows == len(ids) == len(text) - 4
    assert ids.dtype == np.int64 and np.shares_memory(ids[0], ids[1])
    assert dataset.parts["train"].tolist() == list(range(0, 13, 2))  # 17 entries, five for a window and its next
    assert dataset.parts["validation"].tolist() == [17, 21]
    spelled = ["".join(row) for row in strings(dataset, "ids")]
    if UNKNOWN not in "".join(spelled):
        assert spelled == [text[k : k + 4] for k in range(len(text) - 4)]
    assert np.array_equal(ids[1:], after[:-1])


def test_parts_of_a_text_may_be_files(folder):
    lines = 's = text("story.txt", test="more.txt")\nids[B,N]: V, next[B,N]: V = s |> chars |> windows(2)'
    dataset = bind_lines(lines, folder)
    assert dataset.parts["train"].tolist() == list(range(0, 25, 2))  # 27 characters; no window reaches into the other file
    assert dataset.parts["test"].tolist() == [27]
    assert strings(dataset, "next")[27] == ["o", UNKNOWN]


def test_windows_of_lines_stay_in_their_lines(tmp_path):
    (tmp_path / "t.txt").write_text("abcdef\nab\nabc\n")
    dataset = bind_lines('s = lines("t.txt")\na[B,N]: V, b[B,N]: V = s |> chars |> windows(2)', tmp_path)
    rows = dataset.parts["train"]
    assert [strings(dataset, "a")[r] for r in rows] == [["a", "b"], ["c", "d"], ["a", "b"]]
    assert [strings(dataset, "b")[r] for r in rows] == [["b", "c"], ["d", "e"], ["b", "c"]]


def test_the_last_tenth_of_a_text_is_kept_back(tmp_path):
    (tmp_path / "t.txt").write_text("ab" * 50)
    lines = 's = text("t.txt")\na[B,N]: V, b[B,N]: V = s |> chars |> windows(3)\nsplit = tail(validation=0.1, test=0.2)'
    parts = bind_lines(lines, tmp_path).parts
    assert parts["train"].tolist() == list(range(0, 67, 3))[:23]
    assert (parts["validation"][0], parts["test"][0]) == (70, 80)


TEXTS = st.lists(st.text("ab c", min_size=1, max_size=9).filter(str.strip), min_size=2, max_size=6)


@settings(deadline=None, max_examples=60)
@given(TEXTS, st.integers(1, 3))
def test_skipgrams_against_a_loop(tmp_path_factory, texts, window):
    folder = tmp_path_factory.mktemp("skipgrams")
    (folder / "t.txt").write_text("\n".join(texts))
    call = f's = lines("t.txt")\nc[B]: V, o[B]: V = s |> words |> skipgrams(window={window})\nsplit = tail(test=1)'
    rows = [text.split() for text in texts]
    pairs = [[(a, b) for row in part for i, a in enumerate(row) for j, b in enumerate(row) if 0 < abs(i - j) <= window]
             for part in (rows[:-1], rows[-1:])]  # fmt: skip
    if not all(pairs):
        with pytest.raises(ArchError, match="D27"):
            bind_lines(call, folder)
        return
    dataset = bind_lines(call, folder)
    known = set(dataset.classes["V"])
    expected = [tuple(word if word in known else UNKNOWN for word in pair) for part in pairs for pair in part]
    found = [(a[0], b[0]) for a, b in zip(strings(dataset, "c"), strings(dataset, "o"), strict=True)]
    assert found == expected
    assert [len(rows) for rows in dataset.parts.values()] == [len(part) for part in pairs]


@settings(deadline=None, max_examples=60)
@given(TEXTS, st.sampled_from([str.split, list]), st.integers(1, 2))
def test_vocabularies_against_a_counter(tmp_path_factory, texts, cut, least):
    folder = tmp_path_factory.mktemp("vocabulary")
    (folder / "t.txt").write_text("\n".join(texts))
    name = "words" if cut is str.split else "chars"
    count = Counter(token for text in texts for token in cut(text))
    expected = sorted((t for t in count if count[t] >= least), key=lambda t: (-count[t], t))
    try:
        dataset = bind_lines(f's = lines("t.txt")\nx[B,T]: V = s |> {name}(min={least})', folder)
    except ArchError:
        assert not expected
        return
    assert [n for n in dataset.classes["V"] if n != UNKNOWN] == expected
    assert strings(dataset, "x") == [[t if t in expected else UNKNOWN for t in cut(text)] for text in texts]


def test_words_of_a_long_text_are_found_in_pieces(monkeypatch):
    text = "".join(f"w{k % 37} \n"[: 3 + k % 4] for k in range(500))
    whole = tokens.words((text, "a b"))
    for piece in (1, 7, 100):
        monkeypatch.setattr(tokens, "PIECE", piece)
        monkeypatch.setattr(columns, "PIECE", piece)
        cut = tokens.words((text, "a b"))
        assert np.array_equal(cut.codes, whole.codes) and cut.values == whole.values
        assert np.array_equal(cut.offsets, whole.offsets)


def test_characters_outside_the_first_plane():
    cut = tokens.chars(("aé漢😀a", "😀"))
    assert [cut.values[code] for code in cut.codes] == list("aé漢😀a😀")
    assert cut.offsets.tolist() == [0, 5, 6]


def test_new_text_is_encoded_by_the_fitted_vocabulary(folder):
    lines = 's = text("story.txt")\nids[B,N]: V, next[B,N]: V = s |> chars |> windows(4)'
    dataset = bind_lines(lines, folder)
    encoded = dataset.encode("ids", ["to be", "", "not"])
    assert encoded.lengths.tolist() == [5, 0, 3]
    assert "".join(dataset.classes["V"][i] for i in encoded.row(0)) == "to be"
    with pytest.raises(ArchError, match=r"D25.*`Q` did not occur in training"):
        dataset.encode("ids", ["Q"])
    with pytest.raises(ArchError, match="there is no field `idx`"):
        dataset.encode("idx", ["a"])


def test_prompts_start_where_training_rows_started(folder):
    lines = 's = lines("story.txt")\nx[B,T]: V, y[B,T]: V = s |> words(lower=true) |> crop(3) |> shifted'
    dataset = bind_lines(lines, folder)
    names = dataset.classes["V"]
    assert [names[i] for i in dataset.encode("x", ["To BE zzz or"]).row(0)] == [START, "to", "be", UNKNOWN]
    assert [names[i] for i in dataset.encode("y", ["To be"]).row(0)] == ["to", "be", END]
    assert [names[i] for i in dataset.encode("x", [""]).row(0)] == [START]


def test_labels_are_not_encoded(tmp_path):
    (tmp_path / "t.txt").write_text("0 a\n1 b\n")
    dataset = bind_lines('s = labelled("t.txt")\nx[B,T]: V = s |> words\ny[B]: K = s["label"]', tmp_path)
    with pytest.raises(ArchError, match="`y` is not made by `chars` or `words`"):
        dataset.encode("y", ["a"])


def test_another_file_by_the_fitted_vocabulary(tmp_path):
    (tmp_path / "t.txt").write_text("0 a b\n1 b\n")
    (tmp_path / "new.txt").write_text("1 b zzz\n")
    dataset = bind_lines('s = labelled("t.txt")\nx[B,T]: V = s |> words\ny[B]: K = s["label"]', tmp_path)
    new = dataset.apply(tmp_path / "new.txt")
    assert same(new["x"], [[1, 0]]) and new["y"].tolist() == [1]
    (tmp_path / "new.txt").write_text("2 b\n")
    with pytest.raises(ArchError, match="label `2` of column `label` did not occur in training"):
        dataset.apply(tmp_path / "new.txt")


def test_windows_of_another_text(folder):
    dataset = bind_lines('s = text("story.txt")\na[B,N]: V, b[B,N]: V = s |> chars |> windows(3)', folder)
    (folder / "new.txt").write_text("to be to")
    new = dataset.apply(folder / "new.txt")
    assert ["".join(dataset.classes["V"][i] for i in row) for row in new["a"]] == ["to ", "be "]
    assert ["".join(dataset.classes["V"][i] for i in row) for row in new["b"]] == ["o b", "e t"]


def test_two_fields_can_be_kept_for_later(folder):
    both = bind_lines('s = lines("names.txt")\nboth = s |> chars |> shifted\nx[B,T]: V, y[B,T]: V = both', folder)
    assert strings(both, "x")[1] == [START, *"bob"]


def test_recipes_are_frozen_and_hold_no_data(folder):
    dataset = bind_lines('s = lines("names.txt")\nname[B,T]: V = s |> chars', folder)
    assert isinstance(hash(dataset.field("name").recipe), int)


def test_columns_over_a_ragged_axis_are_ragged(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n")
    dataset = bind_lines('s = csv("t.csv")\nx[B,T] = s["*"]', tmp_path)
    assert same(dataset.field("x").array, [[1, 2], [3, 4]])
    assert dataset.dims == {}


def test_a_decoder_shares_the_vocabulary_of_its_source(tmp_path):
    lines = """s = reversing(rows=5, length=4, shortest=2)
    src[B,S]: V = s["input"] |> words
    tgt[B,T]: V, next[B,T]: V = s["target"] |> words |> shifted"""
    dataset = bind_lines(lines, tmp_path)
    assert dataset.classes["V"][:3] == (UNKNOWN, START, END)
    assert [row[::-1] for row in strings(dataset, "src")] == [row[1:] for row in strings(dataset, "tgt")]
    assert dataset.encode("src", ["1 2"]).lengths.tolist() == [2]


def test_text_in_another_table(tmp_path):
    (tmp_path / "t.csv").write_text("title,n\na b,1\nb,2\n")
    (tmp_path / "new.csv").write_text("title\nb b zzz\n")
    dataset = bind_lines('s = csv("t.csv")\nx[B,T]: V = s["title"] |> words\ny[B] = s["n"]', tmp_path)
    new = dataset.apply(tmp_path / "new.csv")
    assert list(new) == ["x"] and same(new["x"], [[1, 1, 0]])
