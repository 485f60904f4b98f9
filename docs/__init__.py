"""Documents. A package only so that `python -m docs.pictures` finds its module."""
