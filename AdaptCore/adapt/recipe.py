"""Every constant of online adaptation, with its source, and the recipes that can be compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from AdaptCore.errors import AdaptSegError

Teaching = Literal["latest", "all"]


@dataclass(frozen=True)
class Recipe:
    """How the decoder learns. Sources: S = Schoen et al. 2024, O = OAIMS, ours = tried in `docs/adaptation.md`.

    Attributes:
        name: of the recipe.
        erosion: pseudo-labels are sure farther from the outline than this share of the largest inscribed radius (ours;
            S erodes, by an amount that its abstract does not give).
        erosion_limits: least and most erosion in mask pixels (ours).
        band_weight: weight of the band between the sure parts (ours; 0 ignores it, S).
        mid_steps: Adam steps after each click but the first (O: updates after each click; number ours).
        mid_rate: their learning rate (ours).
        mid_head_only: they move only what lies behind the decoder's transformer (ours: a quarter faster, no worse).
        clicks_teach: the latest teach, in a Gaussian around them, the answer to the question without them (O, our
            reading), or all clicks so far teach their own pixels at once in the answer to all of them (S, our reading).
        mid_whole: weight of the whole prediction with the new clicks as pseudo-label (O, our reading; ours 0).
        click_sigma: standard deviation of the Gaussian as a share of the object's equivalent radius (ours).
        min_click_sigma: and at least so many mask pixels (ours).
        click_cut: the Gaussian ends after so many standard deviations (ours).
        tether: weight of staying with the present prediction away from the click (ours).
        post_steps: Adam steps after each accepted mask (ours; S and O update after each image).
        post_rate: their learning rate (ours).
        post_click_weight: weight of the Gaussian around the clicks in the accepted mask's loss (O: in both losses).
        later_prompts: learn from one random later question besides the first (ours).
        replayed: accepted images from the memory in each step (ours).
        memory_bytes: most memory of the replay memory (ours).
    """

    name: str
    erosion: float = 0.25
    erosion_limits: tuple[float, float] = (1.0, 6.0)
    band_weight: float = 0.3
    mid_steps: int = 1
    mid_rate: float = 1e-4
    mid_head_only: bool = True
    clicks_teach: Teaching = "latest"
    mid_whole: float = 0.0
    click_sigma: float = 0.3
    min_click_sigma: float = 2.0
    click_cut: float = 3.0
    tether: float = 1.0
    post_steps: int = 3
    post_rate: float = 1e-4
    post_click_weight: float = 1.0
    later_prompts: bool = True
    replayed: int = 2
    memory_bytes: int = 64 * 2**20

    @property
    def learns_mid(self) -> bool:
        return self.mid_steps > 0

    @property
    def learns_post(self) -> bool:
        return self.post_steps > 0


DEFAULT = Recipe("default")

SCHOEN = Recipe(
    "schoen",
    band_weight=0.0,
    mid_head_only=False,
    clicks_teach="all",
    tether=0.0,
    post_click_weight=0.0,
    later_prompts=False,
    replayed=0,
)
"""Cross-entropy on the pixels of all clicks so far during it, eroded masks without the band after it.

The text says that clicks and eroded masks become pseudo-labels for the decoder. It leaves open, so that the default's
values are taken: how far masks are eroded, steps, learning rates, the loss of the masks, and whether weights outlive
the image that clicks moved them for (they do not, here).
"""

OAIMS = Recipe(
    "oaims",
    erosion=0.0,
    erosion_limits=(0.0, 0.0),
    band_weight=1.0,
    mid_head_only=False,
    mid_whole=1.0,
    tether=0.0,
    later_prompts=False,
    replayed=0,
)
"""The whole prediction as pseudo-label and the click-centred Gaussian loss in both processes, nothing remembered.

The text leaves open, so that the default's values are taken: width and cut of the Gaussian, the weight between both
losses (1), steps and learning rates. That the trained output during the interaction is the one without the new clicks
is our reading.
"""

VOLUMES = replace(DEFAULT, name="volumes", post_steps=12, post_rate=5e-4)
"""For the model of volumes, whose weights are far from trained through: larger steps, and more of them."""

RECIPES = {recipe.name: recipe for recipe in (DEFAULT, SCHOEN, OAIMS, VOLUMES)}

ABLATIONS = {
    recipe.name: recipe
    for recipe in (
        replace(DEFAULT, name="no-erosion", erosion=0.0, erosion_limits=(0.0, 0.0)),
        replace(DEFAULT, name="no-band", band_weight=0.0),
        replace(DEFAULT, name="no-memory", replayed=0),
        replace(DEFAULT, name="no-click-loss", post_click_weight=0.0),
        replace(DEFAULT, name="no-later-questions", later_prompts=False),
        replace(DEFAULT, name="whole-decoder", mid_head_only=False),
        replace(DEFAULT, name="all-clicks", clicks_teach="all"),
    )
}
"""The default with one part switched off or exchanged, for the benchmark."""


def recipe_named(name: str) -> Recipe:
    """The recipe or ablation of a name.

    Raises:
        AdaptSegError: there is none of that name.
    """
    known = {**RECIPES, **ABLATIONS}
    if name not in known:
        raise AdaptSegError(f"Expected one of the recipes {', '.join(known)}, got {name!r}.")
    return known[name]


def without(recipe: Recipe, *, mid: bool = False, post: bool = False) -> Recipe:
    """The recipe without its steps during (`mid`) or after (`post`) the interaction."""
    return replace(recipe, mid_steps=0 if mid else recipe.mid_steps, post_steps=0 if post else recipe.post_steps)
