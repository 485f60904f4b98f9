"""From what came in to cases: how files are read, ids and contents told apart, rows admitted, refused or found twice.

What a case is worth or looks like to a model belongs elsewhere. Imports core and privacy.
"""
