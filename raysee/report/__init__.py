"""Receipts and tables -> one HTML page that needs nothing else. No Ray in here."""
