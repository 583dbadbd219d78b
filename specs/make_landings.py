"""Writes landings.csv: twelve flights of an invented lander, as the pilot of landing.arch flies them.

python specs/make_landings.py

The lander falls with 1.6 m/s² and, with the engine on, gains 2.6 m/s² upwards. The pilot fires when braking from now on would
bring it to rest just above the ground, and looks at his instruments twice a second.
"""

import random
from pathlib import Path

GRAVITY, THRUST, STEP = 1.6, 4.2, 0.5
FLIGHTS = 16


def fires(height: float, speed: float) -> bool:
    """Whether the stopping distance at full thrust, and what one look takes, is longer than the way that is left."""
    return speed < -1 and speed * speed / (2 * (THRUST - GRAVITY)) - speed * STEP > height


def rows(seed: int = 1) -> list[list[str]]:
    draw = random.Random(seed)
    found = [["flight", "height", "speed", "engine"]]
    for flight in range(FLIGHTS):
        height, speed = draw.uniform(40, 120), draw.uniform(-8, 4)
        while height > 0:
            engine = fires(height, speed)
            found.append([str(flight), f"{height:.1f}", f"{speed:.2f}", "on" if engine else "off"])
            speed += STEP * ((THRUST if engine else 0) - GRAVITY + draw.uniform(-0.2, 0.2))
            height += STEP * speed
    return found


if __name__ == "__main__":
    text = "\n".join(",".join(cells) for cells in rows()) + "\n"
    Path(__file__).with_name("landings.csv").write_text(text, encoding="utf-8")
