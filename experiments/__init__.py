"""Experiments: each computes numbers and stores them in a folder; ``python -m experiments list`` names them.

Run from a checkout. What the numbers look like is the business of ``paper_figures``, which reads the folders.

Matrices are small here, so that the threads of a linear-algebra library mostly wait for each other: one thread is used
unless the environment says otherwise. The libraries read these variables when they are imported, which is after this.
"""

import os

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
