"""Records against the dataclasses of the standard library: the same behaviour, without the time to make them."""

import dataclasses

import pytest

from archspec import records


def make(decorator, field):
    @decorator
    class Point:
        x: int
        y: int = 2
        note: str = field(default="", compare=False)
        tags: list = field(default_factory=list, compare=False, repr=False)

        @property
        def sum(self):
            return self.x + self.y

    @decorator
    class Named(Point):
        name: str = "p"

    return Point, Named


OURS = make(records.record, records.field)
THEIRS = make(dataclasses.dataclass(frozen=True), dataclasses.field)


@pytest.mark.parametrize("which", [0, 1])
def test_like_a_dataclass(which):
    ours, theirs = OURS[which], THEIRS[which]
    for arguments in ({"x": 1}, {"x": 1, "y": 5, "note": "n"}, {"x": 3, "tags": [4]}):
        a, b = ours(**arguments), theirs(**arguments)
        assert repr(a) == repr(b)
        assert records.as_dict(a) == dataclasses.asdict(b)
        assert (a == ours(x=1)) == (b == theirs(x=1))
        assert hash(a) == hash(ours(**arguments))
        assert a.sum == b.sum
        assert repr(records.replace(a, y=9)) == repr(dataclasses.replace(b, y=9))
    assert ours.__match_args__ == theirs.__match_args__


def test_frozen():
    point = OURS[0](1)
    with pytest.raises(AttributeError, match="frozen"):
        point.x = 2
    with pytest.raises(AttributeError, match="frozen"):
        del point.x
    assert point.x == 1


def test_what_is_made_anew_is_not_shared():
    assert OURS[0](1).tags is not OURS[0](1).tags


def test_classes_differ():
    assert OURS[0](1) != OURS[1](1)
    assert OURS[0](1) != THEIRS[0](1)


def test_order_identity_and_change():
    @records.record(order=True)
    class Version:
        major: int
        minor: int

    @records.record(eq=False)
    class Place:
        name: str

    @records.record(frozen=False)
    class Count:
        n: int = 0

        def __post_init__(self):
            self.n += 1

    assert sorted([Version(2, 0), Version(1, 5)]) == [Version(1, 5), Version(2, 0)]
    assert Place("a") != Place("a")
    assert len({Place("a"), Place("a")}) == 2
    count = Count(4)
    count.n += 1
    assert count == Count(5)
    with pytest.raises(TypeError):
        hash(count)
    with pytest.raises(TypeError):
        Version(1)
