"""Writes spellings.csv: pairs of spellings, and whether both are of one word.

python specs/make_spellings.py
"""

import random
from pathlib import Path

WORDS = """anchor basket candle dragon engine forest garden hammer island jungle kettle ladder magnet needle orchid pepper
quartz rocket saddle temple umpire violet walnut yellow zipper bridge copper desert falcon guitar""".split()
PAIRS = 360


def misspelled(word: str, draw: random.Random) -> str:
    """The word with two letters exchanged, one left out, or one doubled; never the first."""
    at = draw.randrange(1, len(word) - 1)
    kind = draw.randrange(3)
    if kind == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + word[at + 1 :] if kind == 1 else word[:at] + word[at] + word[at:]


def rows(seed: int = 1) -> list[list[str]]:
    draw = random.Random(seed)
    found = [["left", "right", "word"]]
    for k in range(PAIRS):
        left = draw.choice(WORDS)
        right = left if k % 2 else draw.choice([w for w in WORDS if w != left])
        found.append([misspelled(left, draw), misspelled(right, draw), "same" if k % 2 else "other"])
    return found


if __name__ == "__main__":
    text = "\n".join(",".join(cells) for cells in rows()) + "\n"
    Path(__file__).with_name("spellings.csv").write_text(text, encoding="utf-8")
