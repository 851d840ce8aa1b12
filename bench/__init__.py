"""Measurements of fleets beside other ways to do the same, and of memory and unchanged runs."""
