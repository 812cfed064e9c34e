"""Mechanics of a sample from one representation of its interacting pairs."""
