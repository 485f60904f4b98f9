"""What people read: the page of a night, its index, results, and what somebody should hear although nothing failed.

Figures come from measures; here they are put into words and pictures.
"""
