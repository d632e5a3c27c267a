"""Weights as people own them: single files, split files, folders; what is in them, and loading."""
