"""Questions to the log in SQL, answered by DuckDB.

`columns` names what can be asked for, `index` keeps a columnar copy of the log, `database` answers, `questions` holds
the usual ones, `opening` puts them together.
"""
