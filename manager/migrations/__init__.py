"""How the database came to be what `manager/store/tables.py` says, step by step."""
