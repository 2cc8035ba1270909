"""Fitting one fold: batches, loop, model file and card. No Ray in here."""
