"""Vectors of texts and photos: made once per content, packed as the lake keeps them, joined, compared.

The encoders themselves are resources. Imports intake and what lies below.
"""
