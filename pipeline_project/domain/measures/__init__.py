"""Every figure there is one function for: probabilities judged, realised costs, maturity, the delay of labels.

A figure that is shown in two places is computed here. Imports features and what lies below, never a model.
"""
