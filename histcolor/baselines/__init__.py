"""Methods that the paper is compared with, or that need no training."""
