"""A call -> windows of speech by channel -> probabilities -> their mean by channel. No Ray in here."""
