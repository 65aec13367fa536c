"""Whether a cut set is stable yet, by what the cut sets of two halves of a sample share, and what limits it."""

from __future__ import annotations

from enum import StrEnum

from usncli.scoring.selection import Overlap

STABLE_SHARE = 0.8
"""Share that both halves must cut alike; docs/sample-size.md says how close a set is to that of many images then."""


class SampleLimit(StrEnum):
    """What there is too little of."""

    IMAGES = "images"
    THETAS = "thetas"


def limited_by(images: Overlap | None, thetas: Overlap | None) -> SampleLimit | None:
    """Return what keeps a cut set from being stable, that whose halves agree least; none if it is stable.

    Args:
        images: of the cut sets of two halves of the images; none means that there were too few to compare.
        thetas: of two halves of the thetas; none where they have no halves, as in quadrature.
    """
    shares = {
        SampleLimit.IMAGES: images.share if images else 0.0,
        SampleLimit.THETAS: thetas.share if thetas else 1.0,
    }
    limit = min(SampleLimit, key=lambda of: shares[of])
    return limit if shares[limit] < STABLE_SHARE else None
