"""Sensors: waiting for a run that something else started."""
