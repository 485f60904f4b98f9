"""Long-running servers and what keeps them running: the processes of `pipeline up` under one supervisor, and the guard
before pages that know no sign-in (same origin, the desk's session).

No command belongs here and no application: a command starts these with plain values. Only `commands` imports it.
"""
