"""Our own bound engine: every operation, over a piece of theta, is an affine map plus an error radius."""
