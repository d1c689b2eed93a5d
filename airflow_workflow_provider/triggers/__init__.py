"""Triggers: waiting in the triggerer's event loop."""
