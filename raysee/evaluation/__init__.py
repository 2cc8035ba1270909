"""Who is trained on and who is tested on, and how good the answers are."""
