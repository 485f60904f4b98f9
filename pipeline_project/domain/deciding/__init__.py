"""The decision rule: act or ask a person, at the lowest expected cost, within costs, places, promises and exploration.

What an option sets off belongs to delivery, who answers to review.
"""
