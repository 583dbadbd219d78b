"""The data part of the language page: its examples are bound, and its tables name what the registries hold."""

import gzip
import re
import struct

import pytest
from data_helpers import bind_text
from support import REPOSITORY

from archspec.data.kinds import ARRAY_SOURCES, GENERATORS, TEXT_SOURCES
from archspec.data.parameters import REQUIRED
from archspec.data.sequences import SEQUENCES

PAGE = (REPOSITORY / "docs" / "language.md").read_text(encoding="utf-8")
PART = PAGE[PAGE.index("### Text") : PAGE.index("## Train")]
EXAMPLES = re.findall(r"^```arch\n(.*?)^```$", PART, re.MULTILINE | re.DOTALL)
REVIEWS = "1 A good film\n0 a bad film\n1 good\n"
WORDS = "".join(f"{k}\tfilm\tfilm\tNOUN\t_\t_\t0\troot\t_\t_\n" for k in (1, 2)) + "\n"
FILES = {
    "reviews.train": REVIEWS,
    "reviews.dev": REVIEWS,
    "reviews.test": REVIEWS,
    "book.txt": "to be or not to be " * 40,
    "train.en": "a b\na b\n",
    "train.de": "x y\nx\n",
    "dev.en": "a\n",
    "dev.de": "x\n",
    "train.conllu": WORDS,
    "dev.conllu": WORDS,
    "train-images.gz": gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 2, 2, 2) + bytes(8)),
    "t10k-images.gz": gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 2, 2, 2) + bytes(8)),
    "train-labels.gz": gzip.compress(struct.pack(">4BI", 0, 0, 8, 1, 2) + bytes([0, 1])),
    "t10k-labels.gz": gzip.compress(struct.pack(">4BI", 0, 0, 8, 1, 2) + bytes([1, 1])),
}


@pytest.mark.parametrize("example", EXAMPLES, ids=[re.search(r"= (\w+)\(", text)[1] for text in EXAMPLES])
def test_example(example, tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    dataset = bind_text(example, tmp_path)
    assert {field.name for field in dataset.fields} == set(re.findall(r"(\w+)\[B", example))
    assert dataset.parts["train"].size


def row(name, settings, doc):
    """A function as a table shows it: how it is called, and what it gives."""
    return f"| `{name}({', '.join(map(argument, settings))})` | {doc} |"


def argument(setting):
    if setting.default is REQUIRED:
        return setting.name
    return f"{setting.name}={shown(setting.default)}"


def shown(value):
    if value is None or value == ():
        return "…"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


@pytest.mark.parametrize("registry", [TEXT_SOURCES, SEQUENCES, ARRAY_SOURCES, GENERATORS])
def test_tables(registry):
    rows = [row(name, entry.settings, entry.doc) for name, entry in registry.items()]
    assert "\n".join(rows) in PART, "\n".join(rows)
