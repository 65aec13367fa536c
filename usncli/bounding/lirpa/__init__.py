"""Bounds by auto_LiRPA, carried in lines that its forward and backward rules share."""
