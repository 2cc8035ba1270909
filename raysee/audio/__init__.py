"""Bytes -> samples: decode, mix, resample, find speech, cut windows."""
