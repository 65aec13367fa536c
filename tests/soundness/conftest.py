from __future__ import annotations

import sys
from pathlib import Path

# Soundness tests share the tiny pipelines of tests/certifying, and what tests of our own engine are made of, whichever
# folder is run.
_CERTIFYING = Path(__file__).parent.parent / "certifying"
sys.path[:0] = [str(_CERTIFYING), str(_CERTIFYING / "affine")]
