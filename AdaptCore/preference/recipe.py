"""Every constant of preference learning, with its source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How picks are offered and what they teach. Sources: SPA = Zhu et al., "SPA", section 4.2; ours.

    Attributes:
        samples: masks drawn in each round (SPA: N = 48).
        axes: of z along which the masks of a round differ, those that vary most (ours).
        spread: standard deviations of the masks of a round along these axes, as a share of the profile's (ours).
        habit: standard deviation of how much of a component's mean a mask gets, 1 in the mean (ours).
        candidates: most masks to pick from (SPA: K = 4).
        sizes: most of them that are answers at other sizes of the window (ours).
        size_likelihood: an answer at another size is offered if it is at least so likely (ours).
        size_distinct: and if at least this share of its union with the recommended mask is in one only (ours).
        openings: most candidates for an object that are answers in other windows (ours).
        opening_likelihood: such an answer is offered if it is at least so likely (ours).
        narrowing: after a pick, the next masks of the same question have this share of the variance (ours).
        agreeing: drawn masks that contradict a click are left out where at least so many do not (ours).
        distinct: two masks differ when at least this share of their union is in one of them only (ours).
        grid_side: the maps are clustered at this many block means a side, over the box where the masks differ; those of
            objects at as many in all (ours).
        starts: k-means begins so many times and the tightest clusters count (ours).
        iterations: most steps of k-means each time (ours).
        later: at most so many questions after the first are fitted to an accepted mask (ours).
        weights_strength: the prior's weights count as much as so many picks (ours).
        means_strength: so does the prior's mean of each component, against picks of that component (ours).
        variances_strength: so does its variance (ours).
        half_life: picks after which an earlier pick counts half as much; `math.inf` for never (ours).
        undoable: latest picks that can be taken back, all those of one image (SPA: at most 6 rounds).
    """

    samples: int = 48
    axes: int = 8
    spread: float = 0.6
    habit: float = 0.3
    candidates: int = 4
    sizes: int = 2
    size_likelihood: float = 0.05
    size_distinct: float = 0.2
    openings: int = 3
    opening_likelihood: float = 0.02
    narrowing: float = 0.6
    agreeing: int = 8
    distinct: float = 0.02
    grid_side: int = 32
    starts: int = 4
    iterations: int = 20
    later: int = 4
    weights_strength: float = 10.0
    means_strength: float = 1.0
    variances_strength: float = 4.0
    half_life: float = 200.0
    undoable: int = 6


DEFAULT = Recipe()
