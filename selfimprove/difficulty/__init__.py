"""How hard a problem is: the solve rate that its question lets one expect."""
