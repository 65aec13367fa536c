"""Before work starts: what of a network stands in its way, and what certifying it will take."""
