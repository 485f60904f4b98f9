"""What several commands share: app context, console, options, exit codes, running nights in this process.

No command stands here; what is not about being called from a shell belongs in `services`, `operations` or `serving`.
"""
