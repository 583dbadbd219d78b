"""Writes tides.csv: an invented harbour, 600 readings of its water level by a closed formula, the same on every machine.

python specs/make_tides.py
"""

import csv
import math
from pathlib import Path

ROWS = 600
SKIES = {"calm": 0.0, "rain": 0.15, "storm": 0.6}
HEADER = ("hour", "day", "wind", "sky", "level", "ferry")


def reading(i: int) -> tuple[float, float, float, str, float, str]:
    """Reading i: when it was taken, the weather, the level in metres, and whether the ferry sailed."""
    hour = round(24 * _share(i, 2), 2)
    day = round(14.77 * _share(i, 3), 1)
    wind = round(15 * _share(i, 5) ** 2, 1)
    sky = list(SKIES)[int(3 * _share(i, 7))]
    height = 1.2 + 0.4 * math.cos(2 * math.pi * day / 14.77)  # spring tides come every 14.77 days
    tide = height * math.cos(2 * math.pi * hour / 12.42)
    level = 2 + tide + 0.02 * wind**1.5 + SKIES[sky]
    sails = level > 1.5 and wind < 12 and sky != "storm"  # it needs water under its keel, and no storm
    return hour, day, wind, sky, round(level, 3), "sails" if sails else "stays"


def _share(i: int, base: int) -> float:
    """The van der Corput sequence: points that fill [0, 1) evenly, one base for each column."""
    value, unit = 0.0, 1.0
    while i:
        i, digit = divmod(i, base)
        unit /= base
        value += digit * unit
    return value


def rows() -> list[list[str]]:
    """All lines of the file. Every 50th reading of the wind is missing, as in real tables."""
    lines = [list(HEADER)]
    for i in range(1, ROWS + 1):
        hour, day, wind, sky, level, ferry = reading(i)
        lines.append([f"{hour:.2f}", f"{day:.1f}", "" if i % 50 == 0 else f"{wind:.1f}", sky, f"{level:.3f}", ferry])
    return lines


if __name__ == "__main__":
    with Path(__file__).with_name("tides.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows())
