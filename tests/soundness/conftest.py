from __future__ import annotations

import sys
from pathlib import Path

# Soundness tests share the tiny pipelines of tests/certifying, whichever folder is run.
sys.path.insert(0, str(Path(__file__).parent.parent / "certifying"))
