"""Which unlabelled cases a semi-supervised round may learn from.

ASSFT (Selective Semi-supervised Fine-tuning) admits cases by predictive confidence and semantic distance to labelled
ones and gives no formula; this is ours: of all unlabelled cases those stay whose difficulty is not among the highest,
and whose distance to the nearest labelled case is not among the largest (`KEPT` of them by each measure).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from AdaptCore.cohort.description import Description, distances

KEPT = 0.7


def trusted(labelled: Sequence[Description], unlabelled: Sequence[Description]) -> tuple[list[int], str]:
    """Indices of the unlabelled cases that take part in the next round, and why these, in words.

    None takes part while nothing is labelled.
    """
    if not labelled or not unlabelled:
        return [], "no labelled case to compare with" if unlabelled else "no unlabelled case"
    difficulty = np.array([one.difficulty for one in unlabelled])
    distance = distances(list(unlabelled), list(labelled)).min(1)
    sure, near = (values <= np.quantile(values, KEPT) for values in (difficulty, distance))
    kept = np.flatnonzero(sure & near)
    reason = (
        f"{len(kept)} of {len(unlabelled)} cases are confident and near a labelled one; "
        f"{int((~sure).sum())} are not confident, {int((sure & ~near).sum())} more are unlike every labelled one"
    )
    return kept.tolist(), reason
