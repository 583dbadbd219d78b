"""Every mistake in `data` has the message that stands beside it; ARCHSPEC_UPDATE=1 writes the messages anew."""

import os
import re

import pytest
from data_helpers import bind_text
from support import REPOSITORY

from archspec.data import problems
from archspec.diagnostics import ArchError

FOLDER = REPOSITORY / "tests" / "malformed" / "data"
SPECS = sorted(FOLDER.glob("*.arch"))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_message(spec):
    with pytest.raises(ArchError) as caught:
        bind_text(spec.read_text(), FOLDER, name=spec.name)
    message, expected = f"{caught.value}\n", spec.with_suffix(".txt")
    if os.environ.get("ARCHSPEC_UPDATE"):
        expected.write_text(message)
    assert message == expected.read_text()


def test_every_code_has_an_example():
    known = set(re.findall(r"D\d\d", problems.__doc__))
    shown = {code for spec in SPECS for code in re.findall(r"D\d\d", spec.with_suffix(".txt").read_text())}
    assert shown <= known
    assert known - shown == {"D24"}  # sizes out of bounds: other tests make such files as they go


def test_no_message_without_its_spec():
    assert {text.stem for text in FOLDER.glob("*.txt")} == {spec.stem for spec in SPECS}
