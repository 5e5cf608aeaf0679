"""Online learning: fresh samples at each step, at three levels that must agree."""
