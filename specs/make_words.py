"""Writes numbers.csv, reviews.txt and sentences.conll: small texts by closed rules, the same on every machine.

python specs/make_words.py
"""

from itertools import product
from pathlib import Path

# --- numbers.csv: 1 to 99 in words of four languages -------------------------------------------------------------------

ENGLISH = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen".split(),
    "twenty thirty forty fifty sixty seventy eighty ninety".split(),
)
GERMAN = (
    "eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn "
    "neunzehn".split(),
    "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split(),
)
ITALIAN = (
    "uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici diciassette "
    "diciotto diciannove".split(),
    "venti trenta quaranta cinquanta sessanta settanta ottanta novanta".split(),
)
SPANISH = (
    "uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete dieciocho "
    "diecinueve".split(),
    "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa".split(),
)


def english(tens: str, one: str) -> str:
    return f"{tens}-{one}"


def german(tens: str, one: str) -> str:
    return f"{'ein' if one == 'eins' else one}und{tens}"


def italian(tens: str, one: str) -> str:
    """The last vowel of the tens goes before another vowel; a `tre` at the end takes an accent."""
    return (tens[:-1] if one[0] in "ou" else tens) + ("tré" if one == "tre" else one)


def spanish(tens: str, one: str) -> str:
    """From 21 to 29 in one word."""
    if tens == "veinte":
        return "veinti" + {"dos": "dós", "tres": "trés", "seis": "séis"}.get(one, one)
    return f"{tens} y {one}"


LANGUAGES = {
    "english": (ENGLISH, english),
    "german": (GERMAN, german),
    "italian": (ITALIAN, italian),
    "spanish": (SPANISH, spanish),
}


def numbers() -> str:
    lines = ["language,word,digits"]
    for name, ((small, tens), join) in LANGUAGES.items():
        for n in range(1, 100):
            word = small[n - 1] if n < 20 else tens[n // 10 - 2] if n % 10 == 0 else join(tens[n // 10 - 2], small[n % 10 - 1])
            lines.append(f"{name},{word},{n}")
    return "\n".join(lines) + "\n"


# --- reviews.txt: praise and blame, with `not` ---------------------------------------------------------------------------

THINGS = "the food,our room,the view,this ferry,the music".split(",")
GOOD, BAD = "good lovely great".split(), "bad dull awful".split()
FRAMES = ("{thing} was {word}", "we thought {thing} was {word} again", "{word} , that is what {thing} was")
NEGATED = ("{thing} was not {word}", "nobody found that {thing} was {word}", "we did not think {thing} was {word}")


def reviews() -> str:
    lines = []
    for thing, word in product(THINGS, GOOD + BAD):
        label, other = ("good", "bad") if word in GOOD else ("bad", "good")
        lines += [f"{label} {frame.format(thing=thing, word=word)}" for frame in FRAMES]
        lines += [f"{other} {frame.format(thing=thing, word=word)}" for frame in NEGATED]
    return "\n".join(lines) + "\n"


# --- sentences.conll: words that are nouns here and verbs there -----------------------------------------------------------

BOTH = "lights boats waves calls winds".split()
SUBJECTS = ("the pilot", "a gull", "the old sailor", "our captain")
OBJECTS = ("the lamp", "a rope", "her hand")


def sentences() -> str:
    """`the boats come` and `the old boats the lamp`: what follows tells which."""
    rows = []
    for k, (word, subject, thing) in enumerate(product(BOTH, SUBJECTS, OBJECTS)):
        rows.append(f"{subject} {word} {thing}" if k % 2 else f"{subject} {word} in {thing}")
        adjective = ("old", "long", "first")[k % 3]
        rows.append(f"the {adjective} {word} fall on {thing}" if k % 4 < 2 else f"the {word} of {subject} come")
    for adjective, word, thing in product(("old", "young", "first"), BOTH, OBJECTS):
        rows.append(f"the {adjective} {word} {thing}")
    return "\n".join("".join(f"{w}\t{t}\n" for w, t in tagged(row.split())) for row in rows)


TAGS = {
    **dict.fromkeys(("the", "a", "our", "her"), "DET"),
    **dict.fromkeys(("in", "of", "on"), "ADP"),
    **dict.fromkeys(("pilot", "gull", "sailor", "captain", "lamp", "rope", "hand"), "NOUN"),
    **dict.fromkeys(("come", "fall"), "VERB"),
    **dict.fromkeys(("long",), "ADJ"),
}
ADJECTIVES = ("old", "young", "first")


def tagged(words: list[str]) -> list[tuple[str, str]]:
    """A word of `BOTH` is a verb before a determiner or after a noun; an adjective before such a verb is a noun."""
    found: list[tuple[str, str]] = []
    for k, word in enumerate(words):
        after = words[k + 1] if k + 1 < len(words) else ""
        later = words[k + 2] if k + 2 < len(words) else ""
        if word in BOTH:
            is_verb = TAGS.get(after) == "DET" or (k > 0 and found[-1][1] == "NOUN")
            found.append((word, "VERB" if is_verb else "NOUN"))
        elif word in ADJECTIVES:
            found.append((word, "NOUN" if after in BOTH and TAGS.get(later) == "DET" else "ADJ"))
        else:
            found.append((word, TAGS[word]))
    return found


FILES = {"numbers.csv": numbers, "reviews.txt": reviews, "sentences.conll": sentences}

if __name__ == "__main__":
    for name, text in FILES.items():
        Path(__file__).with_name(name).write_text(text(), encoding="utf-8")
