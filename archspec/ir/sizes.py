"""Sizes as polynomials: `4*H`, `E + H`, `64`.

The name of an axis is its size, so two axes are one when their polynomials are equal, whatever numbers the symbols
stand for. A division that is not exact becomes a symbol of its own, `(D/N)`; N of them are D again. So does one that is
rounded down, `floor(T/2)`: a window that moves on by several points has as many places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, cached_property, lru_cache, reduce
from math import gcd
from operator import mul

from archspec.records import field, record

Monomial = tuple[str, ...]


@record(order=True, interned=True)
class Size:
    """A polynomial with integer coefficients: sorted pairs of a sorted product of symbols and its coefficient. Equal ones are
    one object, so that comparing axes and shapes, which every stage does all the time, is comparing addresses."""

    terms: tuple[tuple[Monomial, int], ...]

    @staticmethod
    @cache
    def number(value: int) -> Size:
        return Size((((), value),) if value else ())

    @staticmethod
    @cache
    def symbol(name: str) -> Size:
        return Size((((name,), 1),))

    def __add__(self, other: Size) -> Size:
        if not self.terms or not other.terms:
            return self if self.terms else other
        return _sum(self, other)

    def __sub__(self, other: Size) -> Size:
        return self + other * Size.number(-1)

    def __mul__(self, other: Size) -> Size:
        if other.terms == _ONE or self.terms == _ONE:
            return self if other.terms == _ONE else other
        return _product(self, other)

    def divide(self, other: Size) -> Size:
        """The quotient: a polynomial where it is exact term by term, a new symbol otherwise."""
        exact = _divide(self, other)
        if exact is not None:
            return exact
        left, right = _without_common(self, other)
        if right == ONE:
            return left
        above = left.text if len(left.terms) == 1 else f"({left})"
        below = right.text if right.is_single else f"({right})"
        name = f"({above}/{below})"
        _QUOTIENTS[name] = left, right
        return Size.symbol(name)

    def floor_divide(self, by: int) -> Size:
        """The quotient rounded down, for all whole numbers that the symbols may stand for.

        Written in one way only: floor((2*T+3)/2) is T+1, and floor(floor(T/2)/2) is floor(T/4).
        """
        whole = _collect((m, c // by) for m, c in self.terms)
        rest = {m: c % by for m, c in self.terms if c % by}
        left = rest.pop((), 0)
        if not rest:
            return whole
        common = gcd(by, *rest.values())
        above = _collect([((), left // common), *((m, c // common) for m, c in rest.items())])
        return whole + _floored(above, by // common)

    def evaluate(self, sizes: Mapping[str, int]) -> int | None:
        """The number that this is with `sizes` for its symbols; None where one of them has no size yet."""
        numbers = tuple([_number(name, sizes) for name in self.names])
        return None if None in numbers else _filled(self, numbers).constant

    def known(self, sizes: Mapping[str, int]) -> Size:
        """The same with the numbers of `sizes` put in for their symbols; what has no size yet stays."""
        return _filled(self, tuple([_number(name, sizes) for name in self.names])) if self.names else self

    def renamed(self, names: Mapping[str, str]) -> Size:
        """The same with other names for its symbols."""
        return _collect((tuple(sorted(names.get(s, s) for s in monomial)), c) for monomial, c in self.terms)

    @cached_property
    def symbols(self) -> frozenset[str]:
        return frozenset(name for monomial, _ in self.terms for name in monomial)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Its symbols in order."""
        return tuple(sorted(self.symbols))

    @property
    def roots(self) -> frozenset[str]:
        """The symbols that it hangs on: T for `floor(T/2)`."""
        inside = (_FLOORS[s][0].roots if s in _FLOORS else {s} for s in self.symbols)
        return frozenset(name for names in inside for name in names)

    @cached_property
    def constant(self) -> int | None:
        """The number where no symbol is left, else None."""
        return sum(c for _, c in self.terms) if not self.symbols else None

    @property
    def is_single(self) -> bool:
        """Whether it is one symbol or one number."""
        [monomial, coefficient] = self.terms[0] if len(self.terms) == 1 else ((), 0)
        return len(self.terms) < 2 and (not monomial or (len(monomial) == 1 and coefficient == 1))

    @cached_property
    def text(self) -> str:
        text = " + ".join(_term_text(m, c) for m, c in sorted(self.terms, key=lambda t: (-len(t[0]), t)))
        return text.replace(" + -", " - ").replace(" ", "") or "0"

    def __str__(self) -> str:
        return self.text


_ONE = (((), 1),)
ZERO, ONE = Size(()), Size(_ONE)


def _collect(terms: Iterable[tuple[Monomial, int]]) -> Size:
    totals: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        totals[monomial] = totals.get(monomial, 0) + coefficient
    return _multiplied_out(Size(tuple(sorted((m, c) for m, c in totals.items() if c))))


MOST_REMEMBERED = 1 << 14


@lru_cache(MOST_REMEMBERED)
def _sum(left: Size, right: Size) -> Size:
    return _collect([*left.terms, *right.terms])


@lru_cache(MOST_REMEMBERED)
def _product(left: Size, right: Size) -> Size:
    return _collect((tuple(sorted(a + b)), m * n) for a, m in left.terms for b, n in right.terms)


@lru_cache(MOST_REMEMBERED)
def _filled(size: Size, numbers: tuple[int | None, ...]) -> Size:
    """`size` with numbers for its symbols, in the order of `names`, where they are known."""
    known = {name: number for name, number in zip(size.names, numbers, strict=True) if number is not None}
    if not known:
        return size
    filled = []
    for monomial, coefficient in size.terms:
        factors = (known[name] for name in monomial if name in known)
        filled.append((tuple(name for name in monomial if name not in known), reduce(mul, factors, coefficient)))
    return _collect(filled)


_QUOTIENTS: dict[str, tuple[Size, Size]] = {}  # what the symbols of inexact divisions stand for
_FLOORS: dict[str, tuple[Size, int]] = {}  # and those of divisions that are rounded down


def floor_of(symbol: str) -> tuple[Size, int] | None:
    """What a symbol such as `floor(T/2)` divides by what; None for any other."""
    return _FLOORS.get(symbol)


def _floored(above: Size, by: int) -> Size:
    """floor(above / by), where nothing can be taken out of it; floor((floor(a/n) + c)/by) is floor((a + c*n)/(n*by))."""
    symbols = [(m, c) for m, c in above.terms if m]
    if len(symbols) == 1 and symbols[0][1] == 1 and len(symbols[0][0]) == 1 and (inner := floor_of(symbols[0][0][0])):
        left = above - Size.symbol(symbols[0][0][0])
        return (inner[0] + left * Size.number(inner[1])).floor_divide(inner[1] * by)
    name = f"floor({above}/{by})" if len(above.terms) == 1 else f"floor(({above})/{by})"
    _FLOORS[name] = above, by
    return Size.symbol(name)


def _number(name: str, sizes: Mapping[str, int]) -> int | None:
    """The number of a symbol."""
    value = sizes.get(name)
    if value is None and name in _FLOORS:
        above, by = _FLOORS[name]
        inside = above.evaluate(sizes)
        return None if inside is None else inside // by
    return value


def _multiplied_out(size: Size) -> Size:
    """`N*(D/N)` is `D`, and `2*(D/2)` too."""
    for term in size.terms:
        monomial, coefficient = term
        for quotient in (s for s in monomial if s in _QUOTIENTS):
            above, below = _QUOTIENTS[quotient]
            rest = list(monomial)
            rest.remove(quotient)
            factor = _divide(Size(((tuple(rest), coefficient),)), below)
            if factor is not None:
                return Size(tuple(t for t in size.terms if t != term)) + above * factor
    return size


def _without_common(left: Size, right: Size) -> tuple[Size, Size]:
    """2*H over 4 is H over 2: both without the whole factor that all coefficients share."""
    common = gcd(*(c for _, c in (*left.terms, *right.terms)))
    return tuple(Size(tuple((m, c // common) for m, c in size.terms)) for size in (left, right))  # type: ignore[return-value]


def _divide(left: Size, right: Size) -> Size | None:
    if len(right.terms) != 1:
        return Size.number(1) if left == right else None
    (divisor, factor) = right.terms[0]
    quotients = []
    for monomial, coefficient in left.terms:
        rest = list(monomial)
        for name in divisor:
            if name not in rest:
                return None
            rest.remove(name)
        if coefficient % factor:
            return None
        quotients.append((tuple(rest), coefficient // factor))
    return _collect(quotients)


def _term_text(monomial: Monomial, coefficient: int) -> str:
    if not monomial:
        return str(coefficient)
    product = "*".join(monomial)
    return product if coefficient == 1 else f"-{product}" if coefficient == -1 else f"{coefficient}*{product}"


@record(order=True, interned=True)
class Axis:
    """An axis of a tensor. Its size is its identity; `ragged` says that rows differ in length along it."""

    size: Size
    ragged: bool = field(default=False, compare=False)

    @staticmethod
    def named(name: str, ragged: bool = False) -> Axis:
        return Axis(Size.symbol(name), ragged)

    def __str__(self) -> str:
        return self.size.text


def product(axes: Iterable[Axis]) -> Size:
    """The number of elements that `axes` span."""
    return _points(tuple([a.size for a in axes]))


@lru_cache(MOST_REMEMBERED)
def _points(sizes: tuple[Size, ...]) -> Size:
    return reduce(mul, sizes, ONE)


def shape_text(axes: Iterable[Axis]) -> str:
    """`[B, T, 4*H]`, as messages show a shape."""
    return f"[{', '.join([a.size.text for a in axes])}]"
