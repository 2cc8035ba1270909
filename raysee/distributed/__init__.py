"""The one place that knows Ray: the stages, mapped over a cluster. No science in here."""
