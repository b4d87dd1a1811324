"""Figures of the papers: ``python -m paper_figures`` draws what the experiments stored, and makes one page of it.

Run from a checkout. A figure reads results and computes nothing; what is missing is run through ``experiments`` first.
"""

import experiments  # noqa: F401  (before any array library, see there)
