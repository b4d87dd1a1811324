"""The tests of matode and nn.

Small matrices on few cores: threads only stand in each other's way. The libraries read these variables when they are
imported, which is after this file.
"""

import os

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
