"""Samples in files: written, kept in a ring, found again by time, played."""
