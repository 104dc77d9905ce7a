"""benchmarks/ holds scripts: they find one another because Python adds a script's own folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
