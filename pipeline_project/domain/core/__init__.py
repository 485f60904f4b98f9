"""What every other package speaks of: fields of cases, nights, costs, people's roles, errors that say what to do.

Nothing that only one package needs belongs here. Imports nothing of the domain; whoever likes imports it.
"""
