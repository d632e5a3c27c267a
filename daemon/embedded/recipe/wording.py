"""Captions: the same subject as a sentence, as tags, or the way people type."""

from __future__ import annotations

from random import Random

from daemon.embedded.recipe.landscapes import Landscape
from daemon.embedded.recipe.subjects import Placed, Subject

NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}
SIZES = {"small": ("small", "small", "little", "tiny"), "big": ("big", "large", "big", "huge")}
SHORT_PLACES = {
    "in the top left corner": ("top left",),
    "in the top right corner": ("top right",),
    "in the bottom left corner": ("bottom left",),
    "in the bottom right corner": ("bottom right",),
    "at the top": ("top",),
    "at the bottom": ("bottom",),
    "on the left": ("left", "left side"),
    "on the right": ("right", "right side"),
    "in the center": ("center", "centered", "in the middle"),
}
BEHIND = (
    *(" on a {} background",) * 5,
    " on {}",
    " against a {} background",
    ", {} background",
    " with a {} background",
)
PAIRS = {
    "and": ("{A} and {B}", "{A} next to {B}", "{A} beside {B}", "{a}, {b}"),
    "inside": (
        "{A} inside {B}",
        "a small {a} inside a big {b}",
        "{A} in {B}",
        "{B} with {A} inside",
    ),
    "left": (
        "{A} to the left of {B}",
        "{A} left of {B}",
        "{A} on the left and {B} on the right",
        "{a} on the left, {b} on the right",
    ),
    "right": (
        "{A} to the right of {B}",
        "{A} right of {B}",
        "{A} on the right and {B} on the left",
    ),
    "above": (
        "{A} above {B}",
        "{A} over {B}",
        "{A} on top of {B}",
        "{A} at the top and {B} at the bottom",
    ),
    "below": ("{A} below {B}", "{A} under {B}", "{A} underneath {B}"),
}
GROUNDS = {
    "meadow": ("on a green meadow", "in a meadow", "on the grass", "on a green field"),
    "snow": ("in the snow", "on snow", "in a snowy landscape"),
    "desert": ("in the desert", "on the sand"),
    "sea": ("on the sea", "on the water", "in the ocean", "at sea"),
}
TIMES = {
    "day": ("under a blue sky", "on a sunny day", "during the day", "", "", ""),
    "night": ("at night", "under a starry sky", "at night with stars"),
    "sunset": ("at sunset", "at dusk", "under an orange sky"),
}
EMPTY = {
    "meadow": "a green meadow",
    "snow": "a snowy landscape",
    "desert": "a desert",
    "sea": "the sea",
}
GROUND_TAGS = {
    "meadow": ("meadow", "grass"),
    "snow": ("snow", "winter"),
    "desert": ("desert", "sand"),
    "sea": ("sea", "ocean", "water"),
}
TIME_TAGS = {
    "day": ("blue sky", "day"),
    "night": ("night", "starry sky"),
    "sunset": ("sunset", "orange sky"),
}
EXTRAS = {
    "sun": ("a yellow sun",),
    "moon": ("a moon", "the moon"),
    "mountains": ("mountains", "mountains in the background"),
    "clouds": ("clouds",),
}
BEFORE = (
    "a picture of ", "an image of ", "a drawing of ", "a photo of ", "a painting of ",
    "an illustration of ", "a simple picture of ", "draw ", "pic of ", "picture of ", "i want ",
)  # fmt: skip
AFTER = (
    ", simple", ", cute", ", high quality", ", detailed", ", best quality", ", masterpiece",
    ", illustration", ", beautiful", ", flat design", ", digital art", ", 4k", " please", " pls",
)  # fmt: skip


def caption(rng: Random, shown: Subject) -> str:
    """One way of many to ask for this picture; what it says is true of it, but may not be all."""
    wordings = {"single": _single, "pair": _pair, "count": _count, "view": _view}
    text = wordings[shown.kind](rng, shown)
    if rng.random() < 0.05:
        text = text.removeprefix("a ").removeprefix("an ").replace(" a ", " ").replace(" an ", " ")
    if rng.random() < 0.1:
        text = rng.choice(BEFORE) + text
    return text + rng.choice(AFTER) if rng.random() < 0.1 else text


def with_article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def behind(rng: Random, background: str) -> str:
    phrase = rng.choice(BEHIND).format(background)
    return phrase.replace(" a orange", " an orange")


def plural(figure: str) -> str:
    return figure if figure == "fish" else figure + "s"


def _single(rng: Random, shown: Subject) -> str:
    figure = shown.placed[0]
    background = str(shown.background)
    size = rng.choice(SIZES[shown.size]) + " " if shown.size else ""
    named = f"{size}{figure.colour} {figure.figure}"
    place = f" {shown.place}" if shown.place else ""
    tags = [named, *([rng.choice(SHORT_PLACES[shown.place])] if place else [])]
    tags.append(f"{background} background")
    if rng.random() < 0.25:
        rng.shuffle(tags)
    ways = {
        with_article(named) + place + behind(rng, background): 0.62,
        ", ".join(tags): 0.22,
        with_article(named) + place: 0.09,
        figure.figure: 0.02,
        figure.colour: 0.015,
        f"{background} background": 0.015,
        f"{figure.figure}, {background} background": 0.02,
    }
    return rng.choices(list(ways), list(ways.values()))[0]


def _pair(rng: Random, shown: Subject) -> str:
    placed = shown.placed[::-1] if shown.relation == "inside" else shown.placed
    a, b = (f"{figure.colour} {figure.figure}" for figure in placed)
    pattern = rng.choice(PAIRS[shown.relation])
    text = pattern.format(a=a, b=b, A=with_article(a), B=with_article(b))
    return text + behind(rng, str(shown.background)) if rng.random() < 0.85 else text


def _count(rng: Random, shown: Subject) -> str:
    number, figure = len(shown.placed), shown.placed[0]
    counted = rng.choice([NUMBERS[number], NUMBERS[number], str(number)])
    text = f"{counted} {figure.colour} {plural(figure.figure)}"
    return text + behind(rng, str(shown.background)) if rng.random() < 0.9 else text


def _view(rng: Random, shown: Subject) -> str:
    scenery = shown.background
    assert isinstance(scenery, Landscape)
    extras = [extra for extra in sorted(scenery.extras) if rng.random() < 0.85]
    names = [_name(figure) for figure in shown.placed]
    if rng.random() < 0.66:
        return _sentence(rng, scenery, names, extras)
    tags = [*names, rng.choice(GROUND_TAGS[scenery.ground]), rng.choice(TIME_TAGS[scenery.time])]
    tags += extras
    if rng.random() < 0.3:
        rng.shuffle(tags)
    return ", ".join(tags)


def _name(figure: Placed) -> str:
    return f"{figure.colour} {figure.figure}" if figure.named else figure.figure


def _sentence(rng: Random, scenery: Landscape, names: list[str], extras: list[str]) -> str:
    if names:
        text = " and ".join(with_article(name) for name in names)
    elif rng.random() < 0.6:
        text = EMPTY[scenery.ground]
    else:
        text = rng.choice(["a landscape", "a scene", "a view"])
    if text != EMPTY[scenery.ground]:
        text += " " + rng.choice(GROUNDS[scenery.ground])
    text = f"{text} {rng.choice(TIMES[scenery.time])}".rstrip()
    if not extras:
        return text
    told = " and ".join(rng.choice(EXTRAS[extra]) for extra in extras)
    return text + rng.choice([" with ", ", "]) + told
