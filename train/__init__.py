"""Stage one: a concept folder becomes an adapter."""
