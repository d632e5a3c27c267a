"""How often the model draws what people ask for in words that training never showed.

Thirty prompts written by hand before the model was asked any of them; the n-th has seed n.
"""

from __future__ import annotations

from daemon.embedded.recipe import looks
from daemon.embedded.recipe.classifier import Classifier
from daemon.embedded.recipe.evaluation import Painter, Share
from daemon.embedded.recipe.scenes import Scene
from daemon.embedded.recipe.subjects import Placed, Subject

_ASKED = (
    # What is written; the figure, its colour, and the background if one is named.
    ("there is a red ball on blue", "circle", "red", "blue"),
    ("I want a green star, please", "star", "green", None),
    ("could you draw me a yellow heart", "heart", "yellow", None),
    ("show me something: a purple diamond on white", "diamond", "purple", "white"),
    ("my friend's house is red", "house", "red", None),
    ("please paint one orange fish swimming", "fish", "orange", None),
    ("a star. make it blue. make the background yellow", "star", "blue", "yellow"),
    ("the triangle should be green and the background black", "triangle", "green", "black"),
    ("white background with a pink heart in it", "heart", "pink", "white"),
    ("gimme a big brown square", "square", "brown", None),
    ("a photo of a red apple", "apple", "red", None),
    ("an oil painting of a blue boat", "boat", "blue", None),
    ("i like mushrooms, draw a red one", "mushroom", "red", None),
    ("black cat, 4k, masterpiece, best quality", "cat", "black", None),
    ("teal circle in front of a gray wall", "circle", "teal", "gray"),
    ("what would an orange car look like on white", "car", "orange", "white"),
    ("rocket that is white, with a black background", "rocket", "white", "black"),
    ("can I see a yellow moon on a dark blue backdrop", "moon", "yellow", "blue"),
    ("only a green tree", "tree", "green", None),
    ("a lovely pink flower for my mother", "flower", "pink", None),
    ("a balloon, red, nothing else, white behind it", "balloon", "red", "white"),
    ("on a yellow background there is a purple square", "square", "purple", "yellow"),
    ("draw: blue diamond", "diamond", "blue", None),
    ("a cute little brown cat sitting alone", "cat", "brown", None),
    ("it's a gray cloud", "cloud", "gray", None),
    ("imagine an orange sun on teal", "sun", "orange", "teal"),
    ("the background is green; on it stands a white house", "house", "white", "green"),
    ("one heart coloured black upon pink", "heart", "black", "pink"),
    ("a fish in blue, please, on orange", "fish", "blue", "orange"),
    ("triangle red yellow background", "triangle", "red", "yellow"),
)


def free_scenes() -> list[Scene]:
    """The prompts, each with a subject that would be right; a background not asked for is white."""
    return [
        Scene(
            Subject("single", (Placed(figure, colour, 0.5, 0.5, 0.28),), background or "white"),
            prompt,
            seed,
        )
        for seed, (prompt, figure, colour, background) in enumerate(_ASKED)
    ]


def evaluate_free_wording(paint: Painter, classifier: Classifier) -> dict[str, Share]:
    """Figure, object colour, the background where one was named, and all of what was asked."""
    pictures = paint(free_scenes())
    figures, colours, backgrounds, all_right = [], [], [], []
    for (_, figure, colour, background), picture, name in zip(
        _ASKED, pictures, classifier.names(pictures), strict=True
    ):
        seen = looks.pixels(picture)
        figures.append(name == figure)
        colours.append(looks.main_colour(seen, looks.foreground(seen)) == colour)
        right = [figures[-1], colours[-1]]
        if background is not None:
            backgrounds.append(looks.nearest_colour(looks.background_of(seen)) == background)
            right.append(backgrounds[-1])
        all_right.append(all(right))
    lines = {
        "free wording: figure": figures,
        "free wording: object colour": colours,
        "free wording: background": backgrounds,
        "free wording: all of it": all_right,
    }
    return {line: Share(sum(right), len(right)) for line, right in lines.items()}
