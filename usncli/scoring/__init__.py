"""How stable each channel is under a perturbation: groups, activations, instability, importance, what to cut."""
