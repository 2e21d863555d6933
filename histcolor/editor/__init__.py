"""The histogram editor and the attention explorer for notebooks."""
