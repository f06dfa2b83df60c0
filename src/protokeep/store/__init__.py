"""The only place that speaks SQL. Rows in, core values out."""
