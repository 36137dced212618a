"""Reports: written from a run directory, read back safely, exported, and turned into an exit code."""
