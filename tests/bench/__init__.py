"""`make bench`: what genzo costs, as ratios and medians taken in one run.

Machines differ and are shared, so each figure is a ratio of two things measured side by side, or
a latency far from its bound; none is a test.
"""
