"""What the notebooks and ``histcolor reproduce`` need."""
