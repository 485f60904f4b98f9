"""Accounts, roles and sessions of people at the desk."""
