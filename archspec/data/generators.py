"""Data that need no file: exercises of the literature, functions of their settings and the seed of the run alone.

Each has two columns, `input` and `target`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from archspec.data.columns import Column, Opened, Part, Tokens
from archspec.data.files import Folder
from archspec.data.problems import problem
from archspec.data.ragged import Indices, offsets_of
from archspec.data.random import bells, integers, uniforms
from archspec.data.values import Source
from archspec.diagnostics import Span

MAX_ENTRIES = 1 << 26
BRACKETS = "()[]{}<>"

Settings: TypeAlias = Mapping[str, Any]
Pair: TypeAlias = tuple[Column, Column]


def opener(name: str, make: Callable[[Settings, int], Pair]) -> Callable[[Folder, Settings, Span], Source]:
    """The function that opens a generator as a source."""

    def open_generator(_: Folder, settings: Settings, span: Span) -> Source:
        _check(name, settings, span)

        def read(wanted: frozenset[str], seed: int) -> Part:
            given, target = make(settings, seed)
            return Part({"input": given, "target": target}, np.arange(1, settings["rows"] + 1))

        opened = Opened(f"{name}(…)", ("input", "target"), read, noun="row")
        return Source(f"{name}:{span.line}:{span.column}", {"train": opened}, span)

    return open_generator


def _check(name: str, settings: Settings, span: Span) -> None:
    entries = settings["rows"] * (settings.get("length", 2) + settings.get("delay", 0))
    if entries > MAX_ENTRIES:
        raise problem("D24", f"`{name}` makes {entries:,} entries; at most {MAX_ENTRIES:,} are made", span)
    shortest = settings.get("shortest")
    if shortest is not None and shortest > settings["length"]:
        raise problem("D03", f"`shortest={shortest}` is more than `length={settings['length']}`", span)


def copying(settings: Settings, seed: int) -> Pair:
    """Symbols to remember, blanks, a mark, and time to say them again (Hochreiter & Schmidhuber 1997, sec. 5.1).

    0 is the blank, 1..symbols are the symbols, symbols + 1 is the mark; `delay` steps lie between the last symbol and
    the first one said again (Arjovsky, Shah & Bengio 2016, sec. 4.1, has length 10 and 8 symbols).
    """
    rows, length, symbols, delay = (settings[key] for key in ("rows", "length", "symbols", "delay"))
    memory = 1 + integers(rows * length, symbols, seed, "copying").reshape(rows, length)
    given, target = np.zeros((2, rows, length + delay + length), np.int64)
    given[:, :length] = memory
    given[:, length + delay - 1] = symbols + 1
    target[:, length + delay :] = memory
    names = tuple(str(k) for k in range(symbols + 2))
    return _dense(given, names), _dense(target, names)


def reversing(settings: Settings, seed: int) -> Pair:
    """Symbols, and the same from the last to the first (Sutskever, Vinyals & Le 2014 turn their sources so)."""
    lengths, symbols = _lengths(settings, seed, "reversing"), settings["symbols"]
    offsets = offsets_of(lengths)
    codes = integers(int(offsets[-1]), symbols, seed, "reversing", "symbols")
    ends = np.repeat(offsets[1:] - 1 + offsets[:-1], lengths)
    names = tuple(str(k + 1) for k in range(symbols))
    return Tokens(codes, offsets, names), Tokens(codes[ends - np.arange(len(codes))], offsets, names)


def adding(settings: Settings, seed: int) -> Pair:
    """Numbers from [0, 1) with two of them marked, one in each half, and their sum (Le, Jaitly & Hinton 2015, sec. 4.1).

    input  (rows, length, 2): the number, and 1 where it is marked
    """
    rows, length = settings["rows"], settings["length"]
    numbers = uniforms(rows * length, seed, "adding").reshape(rows, length)
    half = length // 2
    first = integers(rows, half, seed, "adding", "first")
    second = half + integers(rows, length - half, seed, "adding", "second")
    marks = np.zeros((rows, length))
    every = np.arange(rows)
    marks[every, first] = marks[every, second] = 1.0
    return np.stack([numbers, marks], axis=-1), numbers[every, first] + numbers[every, second]


def dyck(settings: Settings, seed: int) -> Pair:
    """Balanced brackets, and after each the one that must close next, `-` where none is open.

    Words are drawn by walking: open or close by a coin, closing where no room is left, opening where nothing is open
    (as Hewitt et al. 2020, sec. 4, with the length fixed).
    """
    rows, kinds = settings["rows"], settings["kinds"]
    lengths = 2 * np.maximum(_lengths(settings, seed, "dyck") // 2, 1)
    longest = int(lengths.max())
    coins = integers(rows * longest, 2, seed, "dyck", "coins").reshape(rows, longest)
    choices = integers(rows * longest, kinds, seed, "dyck", "kinds").reshape(rows, longest)
    given, target = np.zeros((2, rows, longest), np.int64)
    stacks, depth, every = np.zeros((rows, longest // 2 + 2), np.int64), np.zeros(rows, np.int64), np.arange(rows)
    for t in range(longest):
        opens = (depth == 0) | ((coins[:, t] == 1) & (depth < lengths - t))
        stacks[every, depth + opens] = np.where(opens, choices[:, t], stacks[every, depth + opens])
        given[:, t] = 2 * stacks[every, depth + opens] + ~opens
        depth = np.clip(depth + np.where(opens, 1, -1), 0, longest // 2)
        target[:, t] = np.where(depth > 0, 1 + stacks[every, depth], 0)
    inside = np.arange(longest) < lengths[:, None]
    closing = ("-", *BRACKETS[1 : 2 * kinds : 2])
    offsets = offsets_of(lengths)
    return Tokens(given[inside], offsets, tuple(BRACKETS[: 2 * kinds])), Tokens(target[inside], offsets, closing)


def spirals(settings: Settings, seed: int) -> Pair:
    """Points on arms that wind about one another, and the arm of each (Lang & Witbrock 1988, two arms without noise).

    input  (rows, 2), rounded to 10^-6, since the last bits of a sine differ between machines
    """
    rows, arms = settings["rows"], settings["arms"]
    arm = np.arange(rows) % arms
    radius = np.sqrt(uniforms(rows, seed, "spirals"))
    angle = 2 * np.pi * (radius * settings["turns"] + arm / arms)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    points += settings["noise"] * bells(2 * rows, seed, "spirals", "noise").reshape(rows, 2)
    return np.round(points, 6), arm


def _lengths(settings: Settings, seed: int, name: str) -> Indices:
    """(rows,): all the longest, or drawn between `shortest` and `length`."""
    rows, longest = settings["rows"], settings["length"]
    shortest = longest if settings["shortest"] is None else settings["shortest"]
    drawn: Indices = shortest + integers(rows, longest - shortest + 1, seed, name, "lengths")
    return drawn


def _dense(codes: NDArray[np.int64], names: tuple[str, ...]) -> Tokens:
    rows, length = codes.shape
    return Tokens(codes.reshape(-1), np.arange(rows + 1) * length, names)
